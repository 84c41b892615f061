//! Replays the log with the oracle and asks it every question that was answered, at the index of the answer.
//!
//! The state is made from what clients *asked* for, in the order of the log. What the log *says* that each entry changed is held
//! against it, so that neither hides a mistake of the other.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Truth;
use super::timeline::{Change, changes};
use super::{Property, Record, Verdict};
use crate::history::{Failure, LogEntry, Operation, Outcome, Request, Update, Write};
use crate::oracle::{State, VERSIONS};

/// What happens at one index.
enum Step<'a> {
    /// The log has an entry.
    Entry(&'a LogEntry),
    /// A write was acknowledged there, and the log of changes has nothing.
    Unlogged(&'a Change<'a>),
}

pub(super) fn check(record: &Record) -> Vec<Verdict> {
    let changes = changes(record);
    let mut replay = Replay {
        state: State::default(),
        versions: BTreeSet::from([0]),
        changes: &changes,
        answers: Verdict::new(Property::Answers),
        once: Verdict::new(Property::ExactlyOnce),
        watch: Verdict::new(Property::Watch),
    };
    let mut steps: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
    for entry in &record.log {
        steps.entry(entry.index).or_default().push(Step::Entry(entry));
    }
    for change in changes.values() {
        for index in change.acknowledged.iter().filter(|index| !change.logged.contains(index)) {
            steps.entry(*index).or_default().push(Step::Unlogged(change));
        }
    }
    let mut answers: Vec<(u64, &Operation)> =
        record.operations.iter().filter_map(|operation| Some((operation.answered_at()?, operation))).collect();
    answers.sort_by_key(|(index, operation)| (*index, operation.index));
    let mut answers = answers.into_iter().peekable();
    for (index, steps) in steps {
        while let Some((_, operation)) = answers.next_if(|(at, _)| *at < index) {
            replay.judge(operation);
        }
        steps.iter().for_each(|step| replay.step(index, step));
    }
    answers.for_each(|(_, operation)| replay.judge(operation));
    nonsense(&mut replay.answers, record);
    vec![replay.answers, replay.once, replay.watch]
}

struct Replay<'a> {
    state: State,
    /// Of the schema, one of which is in force: several only where changes of it have unknown outcomes.
    versions: BTreeSet<usize>,
    changes: &'a BTreeMap<&'a str, Change<'a>>,
    answers: Verdict,
    once: Verdict,
    watch: Verdict,
}

impl Replay<'_> {
    fn step(&mut self, index: u64, step: &Step) {
        match step {
            Step::Entry(entry) if entry.schema => self.schema_entry(index),
            Step::Entry(entry) => match entry.op.as_deref().and_then(|op| self.changes.get(op)) {
                Some(change) => self.write_entry(entry, change),
                // Nobody asked for it, which is a violation that `once` names.
                None => self.state.apply(&entry.updates),
            },
            Step::Unlogged(change) => self.unlogged(index, change),
        }
    }

    fn write_entry(&mut self, entry: &LogEntry, change: &Change) {
        let operations = change.operations();
        let Some(write) = write_of(change) else {
            self.once
                .violation(&operations, format!("the entry at {} is no write, and {} is one", entry.index, change.op));
            return;
        };
        self.once.expect(self.state.accepts(write), &operations, || {
            format!("{} took effect at {}, where its precondition does not hold", change.op, entry.index)
        });
        let effect = self.state.effect_of(&write.updates);
        self.watch.expect(as_set(&effect) == as_set(&entry.updates), &operations, || {
            format!("at {}, {} changes {effect:?}, and the log says {:?}", entry.index, change.op, entry.updates)
        });
        self.state.apply(&write.updates);
    }

    fn unlogged(&mut self, index: u64, change: &Change) {
        let operations = change.operations();
        let Some(write) = write_of(change) else {
            let logged = !change.logged.is_empty();
            // A schema that is in force already changes nothing. Any other is in the log, without a name.
            self.once.expect(!logged, &operations, || format!("{} is a schema, and the log names it", change.op));
            return;
        };
        let effect = self.state.effect_of(&write.updates);
        self.once.expect(effect.is_empty(), &operations, || {
            format!("{} was acknowledged at {index}, the log has nothing of it, and it changes {effect:?}", change.op)
        });
        self.once.expect(self.state.accepts(write), &operations, || {
            format!("{} was acknowledged at {index}, where its precondition does not hold", change.op)
        });
    }

    /// A schema in the log carries no name: it is the one acknowledged there, else one of those whose outcome is unknown.
    fn schema_entry(&mut self, index: u64) {
        let version = |change: &Change| {
            change.attempts.iter().find_map(|attempt| match attempt.request {
                Request::Schema { version, .. } => Some(version % VERSIONS),
                Request::Write(_)
                | Request::Floors { .. }
                | Request::Check { .. }
                | Request::ContentCheck { .. }
                | Request::List { .. }
                | Request::Resources { .. }
                | Request::Subjects { .. }
                | Request::Expand { .. } => None,
            })
        };
        let acknowledged =
            self.changes.values().filter(|change| change.acknowledged.contains(&index)).find_map(version);
        let unknown = |change: &&Change| change.acknowledged.is_empty() && !change.failed();
        let possible = || self.changes.values().filter(unknown).filter_map(version).collect::<BTreeSet<usize>>();
        let versions = acknowledged.map_or_else(possible, |version| BTreeSet::from([version]));
        if versions.is_empty() {
            return self.once.violation(&[], format!("a schema stands at {index}, and nobody wrote one"));
        }
        self.versions = versions;
    }

    fn judge(&mut self, operation: &Operation) {
        Truth { state: &self.state, versions: &self.versions }.judge(&mut self.answers, operation);
    }
}

/// Answers that no state could give: their parts are of several, or they do not say of which.
fn nonsense(verdict: &mut Verdict, record: &Record) {
    for operation in &record.operations {
        if let Outcome::Fail(failure) | Outcome::Info(failure) = &operation.outcome
            && failure.reason == Failure::NONSENSE
        {
            verdict.violation(&[operation.index], format!("node {}: {}", operation.node, failure.message));
        }
    }
}

fn write_of<'a>(change: &Change<'a>) -> Option<&'a Write> {
    change.attempts.iter().find_map(|attempt| attempt.request.write())
}

fn as_set(updates: &[Update]) -> BTreeSet<String> {
    let text = |update: &Update| match update {
        Update::Touch(relationship) => format!("+{relationship}"),
        Update::Delete(relationship) => format!("-{relationship}"),
    };
    updates.iter().map(text).collect()
}
