//! Exact snapshots: the answer is of the index that was asked for, and the same whoever asks and whenever. Needs no oracle.

use std::collections::BTreeMap;

use super::{Property, Record, Verdict};
use crate::history::{Answer, Mode, Request};
use crate::oracle::members;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Exact);
    let mut known: BTreeMap<(u64, String), (String, u64)> = BTreeMap::new();
    for operation in &record.operations {
        let Some(Mode::Exact(token)) = operation.request.mode() else { continue };
        let Some(answer) = operation.answer() else { continue };
        if let Some(index) = answer.index() {
            verdict.expect(index == token.index, &[operation.index, token.from], || {
                format!("asked for the state at {}, answered at {index}", token.index)
            });
        }
        for (question, said) in parts(&operation.request, answer) {
            let first = known.entry((token.index, question.clone())).or_insert_with(|| (said.clone(), operation.index));
            if first.1 != operation.index {
                let (before, by) = first.clone();
                verdict.expect(before == said, &[by, operation.index], || {
                    format!("at {}, {question} was {before} and later {said}", token.index)
                });
            }
        }
    }
    verdict
}

fn parts(request: &Request, answer: &Answer) -> Vec<(String, String)> {
    match (request, answer) {
        (Request::Check { questions, .. }, Answer::Decided { allowed, .. }) => questions
            .iter()
            .zip(allowed)
            .map(|(question, allowed)| (question.to_string(), allowed.to_string()))
            .collect(),
        (Request::List { kind, id, .. }, Answer::Listed { relationships, .. }) => {
            let found = relationships.iter().map(ToString::to_string).collect();
            vec![(format!("{kind}:{}", id.as_deref().unwrap_or("*")), in_order(found))]
        }
        (Request::Resources { kind, permission, user, .. }, Answer::Found { ids, .. }) => {
            vec![(format!("{kind}:*#{permission}@user:{user}"), in_order(ids.clone()))]
        }
        (Request::Subjects { kind, id, permission, .. }, Answer::Found { ids, .. }) => {
            vec![(format!("{kind}:{id}#{permission}@user:*"), in_order(ids.clone()))]
        }
        (Request::Expand { kind, id, permission, .. }, Answer::Expanded { tree, .. }) => {
            vec![(format!("{kind}:{id}#{permission}, expanded"), in_order(members(tree).into_iter().collect()))]
        }
        (
            Request::Check { .. }
            | Request::ContentCheck { .. }
            | Request::List { .. }
            | Request::Resources { .. }
            | Request::Subjects { .. }
            | Request::Expand { .. }
            | Request::Write(_)
            | Request::Schema { .. }
            | Request::Floors { .. },
            _,
        ) => Vec::new(),
    }
}

/// Answers may come in any order.
fn in_order(mut found: Vec<String>) -> String {
    found.sort_unstable();
    found.join(" ")
}
