//! Is an answer the oracle's, on one state and under one schema? Every part of it is asked about on the same state, so an
//! answer that mixes two states is wrong unless both say the same.

use std::collections::BTreeSet;

use super::Verdict;
use crate::history::{Answer, Operation, Relationship, Request};
use crate::oracle::{Rules, State, is_allowed, members, resources, users, wrong_leaves};

/// What an answer is held against: a state, and the versions of the schema one of which is in force.
pub(super) struct Truth<'a> {
    pub(super) state: &'a State,
    pub(super) versions: &'a BTreeSet<usize>,
}

impl Truth<'_> {
    /// What is right under every version that may be in force; `None` where they differ.
    fn agreed<T: Ord>(&self, decide: impl Fn(&State, &Rules) -> T) -> Option<T> {
        let mut found: BTreeSet<T> =
            self.versions.iter().map(|version| decide(self.state, &Rules::version(*version))).collect();
        if found.len() == 1 { found.pop_first() } else { None }
    }

    /// Judges one answer.
    pub(super) fn judge(&self, verdict: &mut Verdict, operation: &Operation) {
        let Some(answer) = operation.answer() else { return };
        match (&operation.request, answer) {
            (Request::Check { questions, .. }, Answer::Decided { index, allowed, .. }) => {
                self.decisions(verdict, operation, *index, (questions, allowed));
            }
            (Request::ContentCheck { question }, Answer::Decided { index, allowed, .. }) => {
                self.decisions(verdict, operation, *index, (std::slice::from_ref(question), allowed));
            }
            (Request::List { kind, id, .. }, Answer::Listed { index: Some(index), relationships, .. }) => {
                let right = Some(self.state.list(kind, id.as_deref()));
                self.all_of(verdict, operation, *index, relationships, right);
            }
            (Request::Resources { kind, permission, user, .. }, Answer::Found { index: Some(index), ids, .. }) => {
                let right = self.agreed(|state, rules| resources(state, rules, (kind, permission), user));
                self.all_of(verdict, operation, *index, ids, right);
            }
            (Request::Subjects { kind, id, permission, .. }, Answer::Found { index: Some(index), ids, .. }) => {
                let right = self.agreed(|state, rules| users(state, rules, (kind, id), permission));
                self.all_of(verdict, operation, *index, ids, right);
            }
            (Request::Expand { kind, id, permission, .. }, Answer::Expanded { index, tree, .. }) => {
                let said: Vec<String> = members(tree).into_iter().collect();
                let right = self.agreed(|state, rules| users(state, rules, (kind, id), permission));
                self.all_of(verdict, operation, *index, &said, right);
                let wrong = wrong_leaves(self.state, tree);
                verdict.expect(wrong.is_empty(), &[operation.index], || {
                    format!("at {index}, node {} expanded {wrong:?}", operation.node)
                });
            }
            (Request::List { .. }, Answer::Listed { index: None, relationships, .. }) => {
                without_index(verdict, operation, relationships);
            }
            (Request::Resources { .. } | Request::Subjects { .. }, Answer::Found { index: None, ids, .. }) => {
                without_index(verdict, operation, ids);
            }
            (Request::Write(_) | Request::Schema { .. } | Request::Floors { .. }, Answer::Written { .. }) => {}
            (
                request,
                Answer::Written { .. }
                | Answer::Decided { .. }
                | Answer::Listed { .. }
                | Answer::Found { .. }
                | Answer::Expanded { .. },
            ) => verdict.violation(&[operation.index], format!("{answer:?} is no answer to a {}", request.name())),
        }
    }

    /// Whether finding nothing is right; `None` where that depends on the schema.
    pub(super) fn is_empty(&self, request: &Request) -> Option<bool> {
        match request {
            Request::List { kind, id, .. } => Some(self.state.list(kind, id.as_deref()).is_empty()),
            Request::Resources { kind, permission, user, .. } => {
                self.agreed(|state, rules| resources(state, rules, (kind, permission), user).is_empty())
            }
            Request::Subjects { kind, id, permission, .. } => {
                self.agreed(|state, rules| users(state, rules, (kind, id), permission).is_empty())
            }
            Request::Write(_)
            | Request::Schema { .. }
            | Request::Floors { .. }
            | Request::Check { .. }
            | Request::ContentCheck { .. }
            | Request::Expand { .. } => Some(false),
        }
    }

    fn decisions(
        &self,
        verdict: &mut Verdict,
        operation: &Operation,
        index: u64,
        (questions, allowed): (&[Relationship], &[bool]),
    ) {
        if questions.len() != allowed.len() {
            let what = format!("{} questions and {} answers", questions.len(), allowed.len());
            verdict.violation(&[operation.index], what);
        }
        for (question, allowed) in questions.iter().zip(allowed) {
            let Some(right) = self.agreed(|state, rules| is_allowed(state, rules, question)) else {
                verdict.undecided += 1;
                continue;
            };
            verdict.expect(*allowed == right, &[operation.index], || {
                format!("{question} at {index} is {right}, and {} said {allowed}", who(operation))
            });
        }
    }

    /// Everything that is right, each once, and nothing else.
    fn all_of<T: Ord + Clone + std::fmt::Debug>(
        &self,
        verdict: &mut Verdict,
        operation: &Operation,
        index: u64,
        said: &[T],
        right: Option<BTreeSet<T>>,
    ) {
        let Some(right) = right else {
            verdict.undecided += 1;
            return;
        };
        let distinct: BTreeSet<T> = said.iter().cloned().collect();
        verdict.expect(distinct.len() == said.len() && distinct == right, &[operation.index], || {
            let (missing, extra) = (right.difference(&distinct), distinct.difference(&right));
            let (missing, extra): (Vec<_>, Vec<_>) = (missing.collect(), extra.collect());
            let twice = said.len() - distinct.len();
            format!(
                "{:?} at {index}, by {}: missing {missing:?}, too many {extra:?}, {twice} twice",
                operation.request,
                who(operation)
            )
        });
    }
}

/// Only what is empty may name no index; of which state it is, is for the replay.
fn without_index<T>(verdict: &mut Verdict, operation: &Operation, said: &[T]) {
    if !said.is_empty() {
        verdict.violation(&[operation.index], format!("{} things were found, of no state", said.len()));
    }
}

pub(super) fn who(operation: &Operation) -> String {
    let mode = operation.request.mode().map_or("no", |mode| mode.name());
    format!("node {} ({mode} read)", operation.node)
}
