//! Explanations as traces: the form in which SpiceDB tells how a check was resolved.
//!
//! A trace has no place for relationships. They stand in `source`, each with the index of the log at which it was written.

use prost_types::Duration;

use super::json::from_context;
use super::responses::{to_object, to_subject, to_timestamp};
use crate::model::SubjectRef;
use crate::service::{CaveatResult, Condition, Explained, Proof, Standing, Step, TupleProof};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::check_debug_trace::{PermissionType, Permissionship, Resolution, SubProblems};

/// What every source begins with: clients show what stands before the first colon as the origin of a trace.
const ORIGIN: &str = "quorate:";

/// How a check was resolved.
pub(super) fn to_debug_information(explained: Explained) -> wire::DebugInformation {
    let mut numbers = 0;
    let mut check = to_trace(&explained.explanation.root, &explained.subject, Vec::new(), &mut numbers);
    check.duration = Some(Duration {
        seconds: i64::try_from(explained.took.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(explained.took.subsec_nanos()).expect("below a thousand million"),
    });
    if explained.explanation.truncated {
        check.source.push_str(" (cut: the whole is too large to show)");
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
        source: format!("{ORIGIN}{}", notes.join(" ")),
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
        context: Some(from_context(&condition.context)),
        partial_caveat_info: (standing == Standing::Open)
            .then_some(wire::PartialCaveatInfo { missing_required_context }),
        caveat_name: condition.name.clone(),
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
    note.push(';');
    note
}
