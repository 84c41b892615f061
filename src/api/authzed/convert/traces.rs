//! Explanations as traces: the form in which SpiceDB tells how a check was resolved.
//!
//! A trace has no place for relationships. They stand in `source`, each with the index of the log at which it was written.

use prost_types::value::Kind;
use prost_types::{Duration, Struct, Value};

use super::json::from_context;
use super::responses::{to_object, to_subject, to_timestamp};
use crate::model::SubjectRef;
use crate::service::{CaveatResult, Condition, Explained, Proof, Standing, Step, TupleProof};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::check_debug_trace::{PermissionType, Permissionship, Resolution, SubProblems};

/// What every source begins with: clients show what stands before the first colon as the origin of a trace.
const ORIGIN: &str = "quorate:";
const NOTE_DIVIDER: &str = "; ";

/// How a check was resolved.
pub(super) fn to_debug_information(explained: Explained) -> wire::DebugInformation {
    let mut numbers = 0;
    let mut check = to_trace(&explained.explanation.root, &explained.subject, Vec::new(), &mut numbers);
    check.duration = Some(Duration {
        seconds: i64::try_from(explained.took.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(explained.took.subsec_nanos()).expect("below a thousand million"),
    });
    if explained.explanation.truncated {
        let divider = if check.source == ORIGIN { "" } else { NOTE_DIVIDER };
        check.source.push_str(divider);
        check.source.push_str("cut, since the whole is too large to show");
    }
    wire::DebugInformation { check: Some(check), schema_used: explained.schema.to_string() }
}

/// `led` says by which relationship the trace was come to.
fn to_trace(proof: &Proof, subject: &SubjectRef, led: Vec<String>, numbers: &mut u32) -> wire::CheckDebugTrace {
    *numbers += 1;
    let number = *numbers;
    let (mut traces, mut notes) = (Vec::new(), led);
    let mut expires_at = None;
    for step in &proof.steps {
        match step {
            Step { tuple, proof: Some(below), excluded } => {
                let mut led: Vec<String> = tuple.iter().map(to_note).collect();
                if *excluded {
                    led.push("excludes".to_owned());
                }
                traces.push(to_trace(below, subject, led, numbers));
            }
            Step { tuple: Some(tuple), proof: None, .. } => {
                notes.push(to_note(tuple));
                expires_at = expires_at.max(tuple.expires_at);
            }
            Step { tuple: None, proof: None, .. } => {}
        }
    }
    if proof.shown_before {
        notes.push("shown before".to_owned());
    }
    let resolution = if traces.is_empty() {
        Resolution::WasCachedResult(false)
    } else {
        Resolution::SubProblems(SubProblems { traces })
    };
    wire::CheckDebugTrace {
        resource: Some(to_object(&proof.resource)),
        permission: proof.permission.to_string(),
        permission_type: if proof.is_relation { PermissionType::Relation } else { PermissionType::Permission }.into(),
        subject: Some(to_subject(subject)),
        result: to_result(proof).into(),
        caveat_evaluation_info: proof.condition.as_ref().map(|it| to_caveat_info(it, proof.standing)),
        duration: None,
        optional_expires_at: expires_at.map(to_timestamp),
        trace_operation_id: number.to_string(),
        source: format!("{ORIGIN}{}", notes.join(NOTE_DIVIDER)),
        resolution: Some(resolution),
    }
}

/// As in SpiceDB: where caveats had a say, the result is conditional, and what it came to stands beside it.
fn to_result(proof: &Proof) -> Permissionship {
    match (&proof.condition, proof.standing) {
        (Some(_), _) | (None, Standing::Open) => Permissionship::ConditionalPermission,
        (None, Standing::True) => Permissionship::HasPermission,
        (None, Standing::False) => Permissionship::NoPermission,
    }
}

fn to_caveat_info(condition: &Condition, standing: Standing) -> wire::CaveatEvalInfo {
    use wire::caveat_eval_info::Result;
    let result = match standing {
        Standing::True => Result::True,
        Standing::False => Result::False,
        Standing::Open => Result::MissingSomeContext,
    };
    let missing_required_context = condition.missing.clone();
    wire::CaveatEvalInfo {
        expression: condition.expression.clone(),
        result: result.into(),
        context: Some(shallow(from_context(&condition.context))),
        partial_caveat_info: (standing == Standing::Open)
            .then_some(wire::PartialCaveatInfo { missing_required_context }),
        caveat_name: condition.name.clone(),
    }
}

/// Without the values that nest so deeply that clients could not decode the deepest trace that holds them.
fn shallow(mut context: Struct) -> Struct {
    const DEEPEST: usize = 4;
    context.fields.retain(|_, value| nesting(value) <= DEEPEST);
    context
}

fn nesting(value: &Value) -> usize {
    match &value.kind {
        Some(Kind::StructValue(object)) => 1 + object.fields.values().map(nesting).max().unwrap_or_default(),
        Some(Kind::ListValue(list)) => 1 + list.values.iter().map(nesting).max().unwrap_or_default(),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::StringValue(_) | Kind::BoolValue(_)) | None => 0,
    }
}

/// `document:a#viewer@user:b at 17`, and what is to be said of it.
fn to_note(tuple: &TupleProof) -> String {
    let mut note = format!("{} at {}", tuple.key, tuple.written_at);
    if tuple.expired {
        note.push_str(" (expired)");
    }
    match tuple.caveat.as_ref().map(|caveat| (&caveat.name, &caveat.result)) {
        None => {}
        Some((name, CaveatResult::True)) => note.push_str(&format!(" ({name}: true)")),
        Some((name, CaveatResult::False)) => note.push_str(&format!(" ({name}: false)")),
        Some((name, CaveatResult::Missing(names))) => note.push_str(&format!(" ({name}: needs {})", names.join(", "))),
        Some((name, CaveatResult::Failed(_))) => note.push_str(&format!(" ({name}: failed)")),
    }
    note
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prost::Message as _;

    use super::*;
    use crate::caveat::Context;
    use crate::model::limits;
    use crate::model::{ObjectRef, RelationName, Revision, SubjectRef, TimestampMs, TupleKey};
    use crate::service::{CaveatProof, Explanation};

    fn proof(id: &str, permission: &str, standing: Standing, steps: Vec<Step>) -> Proof {
        Proof {
            resource: ObjectRef::new("document", id).expect("valid"),
            permission: RelationName::new(permission).expect("valid"),
            is_relation: permission == "viewer",
            standing,
            condition: None,
            shown_before: false,
            steps,
        }
    }

    fn tuple(subject: &str, relation: &str, caveat: Option<CaveatResult>) -> TupleProof {
        TupleProof {
            key: TupleKey {
                resource: ObjectRef::new("document", "a").expect("valid"),
                relation: RelationName::new("viewer").expect("valid"),
                subject: SubjectRef::new("user", subject, relation).expect("valid"),
            },
            written_at: Revision::new(17),
            expires_at: Some(TimestampMs(2500)),
            expired: false,
            caveat: caveat.map(|result| CaveatProof {
                name: "here".into(),
                expression: "inside".into(),
                context: Context::new(),
                result,
            }),
            standing: Standing::True,
        }
    }

    #[test]
    fn the_deepest_trace_can_be_decoded_whatever_its_context_holds() {
        for levels in 0..12 {
            let json = format!(r#"{{"here":1,"deep":{}1{}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
            let condition = Condition {
                name: "here".into(),
                expression: "inside".into(),
                context: Context::from_json_text(&json).expect("valid"),
                missing: Vec::new(),
            };
            let mut root = proof("a", "viewer", Standing::True, Vec::new());
            root.condition = Some(condition);
            for _ in 1..limits::EXPLAIN_LEVELS {
                root =
                    proof("a", "view", Standing::True, vec![Step { excluded: false, tuple: None, proof: Some(root) }]);
            }
            let explained = Explained {
                subject: SubjectRef::new("user", "b", "").expect("valid"),
                explanation: Explanation { root, truncated: false },
                took: std::time::Duration::ZERO,
                schema: Arc::from(""),
            };
            let item = wire::CheckBulkPermissionsResponseItem {
                debug_trace: Some(to_debug_information(explained)),
                ..Default::default()
            };
            let response = wire::check_bulk_permissions_pair::Response::Item(item);
            let pair = wire::CheckBulkPermissionsPair { response: Some(response), ..Default::default() };
            let answer = wire::CheckBulkPermissionsResponse { pairs: vec![pair], ..Default::default() };
            let decoded = wire::CheckBulkPermissionsResponse::decode(answer.encode_to_vec().as_slice());
            assert_eq!(decoded.as_ref(), Ok(&answer), "{levels}");
        }
    }

    #[test]
    fn a_trace_says_what_it_rests_on_and_when_that_was_written() {
        let step = |tuple, proof| Step { excluded: false, tuple, proof };
        let leaf = step(Some(tuple("b", "", Some(CaveatResult::Missing(vec!["inside".into()])))), None);
        let friends = proof("f", "viewer", Standing::False, Vec::new());
        let led = step(Some(tuple("c", "friend", None)), Some(friends));
        let mut viewer = proof("a", "viewer", Standing::Open, vec![leaf, led]);
        viewer.condition = Some(Condition {
            name: "here".into(),
            expression: "inside".into(),
            context: Context::from_json_text(r#"{"n":1}"#).expect("valid"),
            missing: vec!["inside".into()],
        });
        let banned = proof("a", "banned", Standing::True, Vec::new());
        let steps = vec![step(None, Some(viewer)), Step { excluded: true, tuple: None, proof: Some(banned) }];
        let explained = Explained {
            subject: SubjectRef::new("user", "b", "").expect("valid"),
            explanation: Explanation { root: proof("a", "view", Standing::False, steps), truncated: true },
            took: std::time::Duration::from_millis(1500),
            schema: Arc::from("definition user {}"),
        };
        let information = to_debug_information(explained);
        assert_eq!(information.schema_used, "definition user {}");
        let root = information.check.expect("given");
        assert_eq!((root.result(), root.permission_type()), (Permissionship::NoPermission, PermissionType::Permission));
        assert_eq!(root.duration, Some(Duration { seconds: 1, nanos: 500_000_000 }));
        assert!(root.source.starts_with("quorate:cut"), "{}", root.source);
        let Some(Resolution::SubProblems(problems)) = root.resolution else { panic!("has steps") };
        let [viewer, banned] = problems.traces.as_slice() else { panic!("two steps") };
        assert_eq!(viewer.source, "quorate:document:a#viewer@user:b at 17 (here: needs inside)");
        assert_eq!(viewer.result(), Permissionship::ConditionalPermission);
        assert_eq!(viewer.permission_type(), PermissionType::Relation);
        assert_eq!(viewer.optional_expires_at.as_ref().map(|at| at.seconds), Some(2));
        let info = viewer.caveat_evaluation_info.as_ref().expect("hangs on one");
        assert_eq!(info.result(), wire::caveat_eval_info::Result::MissingSomeContext);
        assert_eq!(info.partial_caveat_info.as_ref().expect("missing").missing_required_context, ["inside"]);
        assert!(info.context.as_ref().expect("given").fields.contains_key("n"));
        let Some(Resolution::SubProblems(problems)) = &viewer.resolution else { panic!("has a step") };
        assert_eq!(problems.traces[0].source, "quorate:document:a#viewer@user:c#friend at 17");
        assert_eq!(problems.traces[0].resolution, Some(Resolution::WasCachedResult(false)));
        assert_eq!(banned.source, "quorate:excludes");
        assert_ne!(viewer.trace_operation_id, banned.trace_operation_id);
    }
}
