//! Replays the log with the oracle and asks it every question that was answered, at the index of the answer.
//!
//! The state is made from what clients *asked* for, in the order of the log. What the log *says* that each entry changed is
//! held against it, so that neither hides a mistake of the other.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Truth, who};
use super::bounds::Bounds;
use super::reasons::unexpected;
use super::schemas::{Schemas, version_of};
use super::timeline::{Change, changes};
use super::{Property, Record, Verdict};
use crate::history::{LogEntry, Operation, Update, Write};
use crate::oracle::State;

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
        schemas: Schemas::of(changes.values(), &record.operations),
        changes: &changes,
        waiting: Vec::new(),
        answers: Verdict::new(Property::Answers),
        once: Verdict::new(Property::ExactlyOnce),
        watch: Verdict::new(Property::Watch),
    };
    unexpected(&mut replay.answers, record);
    let Some(log) = record.known_log() else { return vec![replay.answers, replay.once, replay.watch] };
    let mut steps: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
    for entry in log {
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
    let mut empty = empty_answers(record).into_iter().peekable();
    for (index, steps) in steps {
        while let Some((_, operation)) = answers.next_if(|(at, _)| *at < index) {
            replay.judge(operation);
        }
        while let Some(answer) = empty.next_if(|answer| answer.least < index) {
            replay.judge_empty(answer);
        }
        replay.give_up(index);
        steps.iter().for_each(|step| replay.step(index, step));
        replay.try_again();
    }
    answers.for_each(|(_, operation)| replay.judge(operation));
    empty.for_each(|answer| replay.judge_empty(answer));
    replay.give_up(u64::MAX);
    replay.waiting.iter().for_each(|answer| replay.answers.violation(&[answer.operation.index], answer.wrong()));
    vec![replay.answers, replay.once, replay.watch]
}

/// An answer that names no index, since nothing was found.
struct Empty<'a> {
    operation: &'a Operation,
    /// The first and the last index that it may be of.
    least: u64,
    most: u64,
}

impl Empty<'_> {
    fn wrong(&self) -> String {
        let Self { operation, least, most } = self;
        let to = if *most == u64::MAX { "the end".to_owned() } else { most.to_string() };
        format!(
            "{:?}, by {}: nothing was found, and from {least} to {to} there always was something",
            operation.request,
            who(operation)
        )
    }
}

fn empty_answers(record: &Record) -> Vec<Empty<'_>> {
    let bounds = Bounds::of(record);
    let without = record.operations.iter().filter(|o| o.answer().is_some_and(|answer| answer.index().is_none()));
    let empty = without.filter_map(|operation| {
        let (least, most) = bounds.between(operation)?;
        Some(Empty { operation, least, most })
    });
    let mut empty: Vec<Empty> = empty.collect();
    empty.sort_by_key(|answer| answer.least);
    empty
}

struct Replay<'a> {
    state: State,
    schemas: Schemas<'a>,
    changes: &'a BTreeMap<&'a str, Change<'a>>,
    /// Empty answers that were right in no state so far.
    waiting: Vec<Empty<'a>>,
    answers: Verdict,
    once: Verdict,
    watch: Verdict,
}

impl<'a> Replay<'a> {
    fn step(&mut self, index: u64, step: &Step) {
        match step {
            Step::Entry(entry) if entry.schema => self.schema_entry(entry),
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
            // A schema that is in force already changes nothing. Any other is in the log, without a name.
            let logged = !change.logged.is_empty();
            self.once.expect(!logged, &operations, || format!("{} is a schema, and the log names it", change.op));
            let held = version_of(change).is_none_or(|version| self.schemas.repeat(version));
            self.once.expect(held, &operations, || {
                format!("{} was acknowledged at {index}, and the log has no schema there", change.op)
            });
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

    fn schema_entry(&mut self, entry: &LogEntry) {
        let index = entry.index;
        self.watch.expect(entry.updates.is_empty() && entry.op.is_none(), &[], || {
            format!("at {index} the schema changes, and the log has {:?} of {:?} there", entry.updates, entry.op)
        });
        let acknowledged =
            self.changes.values().filter(|change| change.acknowledged.contains(&index)).find_map(version_of);
        if self.schemas.enter(index, acknowledged).is_err() {
            self.once.violation(&[], format!("a schema stands at {index}, and nobody wrote one"));
        }
    }

    fn judge(&mut self, operation: &Operation) {
        Truth { state: &self.state, versions: &self.schemas.versions }.judge(&mut self.answers, operation);
    }

    fn judge_empty(&mut self, answer: Empty<'a>) {
        // Whether it is an empty answer to its request at all.
        let before = self.answers.violations;
        self.judge(answer.operation);
        if self.answers.violations > before {
            return;
        }
        self.answers.opportunities += 1;
        let wrong = self.still_wrong(answer);
        self.waiting.extend(wrong);
    }

    fn try_again(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().filter_map(|answer| self.still_wrong(answer)).collect();
    }

    /// Those that are of no later state than the one before `index`.
    fn give_up(&mut self, index: u64) {
        let (wrong, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|answer| answer.most < index);
        self.waiting = waiting;
        let wrong: Vec<Empty> = wrong;
        wrong.iter().for_each(|answer| self.answers.violation(&[answer.operation.index], answer.wrong()));
    }

    /// The answer, unless it is right in this state, or may be for all that is known of the schema.
    fn still_wrong(&mut self, answer: Empty<'a>) -> Option<Empty<'a>> {
        let truth = Truth { state: &self.state, versions: &self.schemas.versions };
        match truth.is_empty(&answer.operation.request) {
            Some(true) => None,
            Some(false) => Some(answer),
            None => {
                self.answers.undecided += 1;
                None
            }
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
