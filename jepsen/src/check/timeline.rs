//! What was known when: the highest index that any answer had named before a moment, and where each write stands in the log.

use std::collections::{BTreeMap, BTreeSet};

use super::Record;
use crate::history::{Operation, Outcome, Request};

/// The highest index answered before a moment.
pub(super) struct Timeline {
    /// Ends of operations in order, each with the highest index up to it and whose it is.
    steps: Vec<(u64, u64, u64)>,
}

impl Timeline {
    /// Of all answers: whatever state a node answered from was committed by then.
    pub(super) fn of(operations: &[Operation]) -> Self {
        let answered = |o: &Operation| o.answered_at().map(|index| (o.end, index, o.index));
        let mut steps: Vec<(u64, u64, u64)> = operations.iter().filter_map(answered).collect();
        steps.sort_unstable();
        let mut highest = (0, 0);
        for (_, index, operation) in &mut steps {
            highest = highest.max((*index, *operation));
            (*index, *operation) = highest;
        }
        Self { steps }
    }

    /// The highest index answered before `time`, and by which operation; 0 if none.
    pub(super) fn before(&self, time: u64) -> (u64, u64) {
        let count = self.steps.partition_point(|(end, _, _)| *end < time);
        count.checked_sub(1).map_or((0, 0), |last| (self.steps[last].1, self.steps[last].2))
    }
}

/// All attempts at one write or schema change.
pub(super) struct Change<'a> {
    /// Its name.
    pub(super) op: &'a str,
    /// The attempts, in order.
    pub(super) attempts: Vec<&'a Operation>,
    /// Where it was acknowledged to stand. More than one is a violation.
    pub(super) acknowledged: BTreeSet<u64>,
    /// Where the log has it. More than one is a violation.
    pub(super) logged: Vec<u64>,
}

impl Change<'_> {
    /// When it was first sent.
    pub(super) fn start(&self) -> u64 {
        self.attempts.iter().map(|attempt| attempt.start).min().unwrap_or_default()
    }

    /// All indexes that it is said to have.
    pub(super) fn indexes(&self) -> BTreeSet<u64> {
        self.acknowledged.iter().chain(&self.logged).copied().collect()
    }

    /// Whether every attempt certainly failed.
    pub(super) fn failed(&self) -> bool {
        self.attempts.iter().all(|attempt| matches!(attempt.outcome, Outcome::Fail(_)))
    }

    /// The attempts, as they are named in anomalies.
    pub(super) fn operations(&self) -> Vec<u64> {
        self.attempts.iter().map(|attempt| attempt.index).collect()
    }
}

/// All changes by name. Entries of the log that name an operation nobody made are left out; see [`super::once`].
pub(super) fn changes(record: &Record) -> BTreeMap<&str, Change<'_>> {
    let mut changes: BTreeMap<&str, Change<'_>> = BTreeMap::new();
    for operation in &record.operations {
        let op = match &operation.request {
            Request::Write(write) => &write.op,
            Request::Schema { op, .. } => op,
            Request::Floors { .. }
            | Request::Check { .. }
            | Request::ContentCheck { .. }
            | Request::List { .. }
            | Request::Resources { .. }
            | Request::Subjects { .. }
            | Request::Expand { .. } => continue,
        };
        let change = changes.entry(op).or_insert_with(|| Change {
            op,
            attempts: Vec::new(),
            acknowledged: BTreeSet::new(),
            logged: Vec::new(),
        });
        change.attempts.push(operation);
        change.acknowledged.extend(operation.answered_at());
    }
    for entry in &record.log {
        if let Some(change) = entry.op.as_deref().and_then(|op| changes.get_mut(op)) {
            change.logged.push(entry.index);
        }
    }
    changes
}
