//! How a check came about, as a tree of lines or as JSON: from the trace that the server gives with its answer.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::wire::authzed::v1::caveat_eval_info::Result as CaveatResult;
use crate::wire::authzed::v1::check_debug_trace::{Permissionship, Resolution};
use crate::wire::authzed::v1::{CaveatEvalInfo, CheckDebugTrace};

/// Levels that are shown: a server that sends more does not end this command's stack.
const MAX_DEPTH: usize = 400;

fn word(trace: &CheckDebugTrace) -> &'static str {
    let caveat = trace.caveat_evaluation_info.as_ref().map(CaveatEvalInfo::result);
    match (trace.result(), caveat) {
        (Permissionship::HasPermission, _) => "yes",
        (Permissionship::NoPermission, _) => "no",
        (Permissionship::ConditionalPermission, Some(CaveatResult::True)) => "yes",
        (Permissionship::ConditionalPermission, Some(CaveatResult::False)) => "no",
        (Permissionship::ConditionalPermission | Permissionship::Unspecified, _) => "?",
    }
}

/// What the server says of the relationships behind a step, after the name of its product.
fn notes(trace: &CheckDebugTrace) -> Vec<&str> {
    let notes = trace.source.split_once(':').map_or("", |(_, notes)| notes);
    notes.split("; ").filter(|note| !note.is_empty()).collect()
}

fn condition(info: &CaveatEvalInfo) -> String {
    let mut text = format!("if {}", info.expression);
    match info.result() {
        CaveatResult::True => text.push_str(": true"),
        CaveatResult::False => text.push_str(": false"),
        CaveatResult::MissingSomeContext => {
            let missing = info.partial_caveat_info.as_ref().map(|info| info.missing_required_context.join(", "));
            text.push_str(": needs ");
            text.push_str(&missing.unwrap_or_default());
        }
        CaveatResult::Unevaluated | CaveatResult::Unspecified => {}
    }
    text
}

fn below(trace: &CheckDebugTrace) -> &[CheckDebugTrace] {
    match &trace.resolution {
        Some(Resolution::SubProblems(problems)) => &problems.traces,
        Some(Resolution::WasCachedResult(_)) | None => &[],
    }
}

fn name(trace: &CheckDebugTrace) -> String {
    let resource = trace.resource.clone().unwrap_or_default();
    format!("{}:{}#{}", resource.object_type, resource.object_id, trace.permission)
}

/// A line for each step and each relationship, indented by depth.
pub(super) fn to_text(trace: &CheckDebugTrace) -> String {
    let mut text = String::new();
    draw(trace, 0, &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn draw(trace: &CheckDebugTrace, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    // Writing to a string does not fail.
    let _ = writeln!(text, "{indent}{:<3} {}", word(trace), name(trace));
    let caveat = trace.caveat_evaluation_info.as_ref().map(condition);
    for note in notes(trace).into_iter().map(str::to_owned).chain(caveat) {
        let _ = writeln!(text, "{indent}      {note}");
    }
    if depth < MAX_DEPTH {
        below(trace).iter().for_each(|step| draw(step, depth + 1, text));
    }
}

/// The same for programs.
pub(super) fn to_json(trace: &CheckDebugTrace) -> Value {
    nest(trace, 0)
}

fn nest(trace: &CheckDebugTrace, depth: usize) -> Value {
    let steps = if depth < MAX_DEPTH { below(trace) } else { &[] };
    json!({
        "question": name(trace),
        "answer": word(trace),
        "because": notes(trace),
        "condition": trace.caveat_evaluation_info.as_ref().map(condition),
        "steps": steps.iter().map(|step| nest(step, depth + 1)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::authzed::v1::check_debug_trace::SubProblems;
    use crate::wire::authzed::v1::{ObjectReference, PartialCaveatInfo};

    fn trace(id: &str, result: Permissionship, source: &str, steps: Vec<CheckDebugTrace>) -> CheckDebugTrace {
        CheckDebugTrace {
            resource: Some(ObjectReference { object_type: "doc".into(), object_id: id.into() }),
            permission: "view".into(),
            result: result.into(),
            source: source.into(),
            resolution: Some(Resolution::SubProblems(SubProblems { traces: steps })),
            ..CheckDebugTrace::default()
        }
    }

    #[test]
    fn a_trace_is_drawn_as_a_tree() {
        let info = CaveatEvalInfo {
            expression: "a && b".into(),
            result: CaveatResult::MissingSomeContext.into(),
            partial_caveat_info: Some(PartialCaveatInfo { missing_required_context: vec!["a".into(), "b".into()] }),
            ..CaveatEvalInfo::default()
        };
        let leaf = trace("b", Permissionship::NoPermission, "quorate:", Vec::new());
        let middle =
            trace("c", Permissionship::HasPermission, "quorate:doc:c#viewer@user:u at 7; excludes", vec![leaf]);
        let mut root = trace("a", Permissionship::ConditionalPermission, "quorate:", vec![middle]);
        root.caveat_evaluation_info = Some(info);
        let expected = [
            "?   doc:a#view",
            "      if a && b: needs a, b",
            "  yes doc:c#view",
            "        doc:c#viewer@user:u at 7",
            "        excludes",
            "    no  doc:b#view",
        ];
        assert_eq!(to_text(&root), expected.join("\n"));
        let json = to_json(&root);
        assert_eq!(json["steps"][0]["because"][0], "doc:c#viewer@user:u at 7");
        assert_eq!(json["steps"][0]["steps"][0]["answer"], "no");
    }
}
