//! Replays the log with the oracle and asks it every question that was answered, at the index of the answer.
//!
//! The state is made from what clients *asked* for, in the order of the log. What the log *says* that each entry changed is held
//! against it, so that neither hides a mistake of the other.

use std::collections::{BTreeMap, BTreeSet};

use super::timeline::{Change, changes};
use super::{Property, Record, Verdict};
use crate::history::{Answer, LogEntry, Operation, Relationship, Request, Update, Write};
use crate::oracle::{Rules, State, VERSIONS, is_allowed};

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
        schema: Schema::Version(0),
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
    vec![replay.answers, replay.once, replay.watch]
}

/// Which schema is in force, as far as it is known.
enum Schema {
    Version(usize),
    /// Several schema changes have unknown outcomes, and one of them is it.
    OneOf(BTreeSet<usize>),
}

struct Replay<'a> {
    state: State,
    schema: Schema,
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
                Request::Write(_) | Request::Check { .. } | Request::List { .. } => None,
            })
        };
        let acknowledged =
            self.changes.values().filter(|change| change.acknowledged.contains(&index)).find_map(version);
        let unknown = |change: &&Change| change.acknowledged.is_empty() && !change.failed();
        let possible = || self.changes.values().filter(unknown).filter_map(version).collect::<BTreeSet<usize>>();
        self.schema = match acknowledged {
            Some(version) => Schema::Version(version),
            None => {
                let possible = possible();
                match (possible.len(), possible.first()) {
                    (1, Some(version)) => Schema::Version(*version),
                    (0, _) | (_, None) => {
                        self.once.violation(&[], format!("a schema stands at {index}, and nobody wrote one"));
                        return;
                    }
                    (_, Some(_)) => Schema::OneOf(possible),
                }
            }
        };
    }

    fn judge(&mut self, operation: &Operation) {
        match (&operation.request, operation.answer()) {
            (Request::Check { questions, mode }, Some(Answer::Decided { index, allowed, .. })) => {
                if questions.len() != allowed.len() {
                    let what = format!("{} questions and {} answers", questions.len(), allowed.len());
                    self.answers.violation(&[operation.index], what);
                }
                for (question, allowed) in questions.iter().zip(allowed) {
                    let Some(right) = self.decide(question) else {
                        self.answers.undecided += 1;
                        continue;
                    };
                    self.answers.expect(*allowed == right, &[operation.index], || {
                        let (mode, node) = (mode.name(), operation.node);
                        format!("{question} at {index} is {right}, and node {node} said {allowed} ({mode} read)")
                    });
                }
            }
            (Request::List { kind, id, mode }, Some(Answer::Listed { index: Some(index), relationships, .. })) => {
                let right = self.state.list(kind, id.as_deref());
                let said: BTreeSet<Relationship> = relationships.iter().cloned().collect();
                let whole = said.len() == relationships.len();
                self.answers.expect(whole && said == right, &[operation.index], || {
                    let (missing, extra) = (texts(right.difference(&said)), texts(said.difference(&right)));
                    let (mode, node) = (mode.name(), operation.node);
                    format!(
                        "node {node} listed {kind} at {index} ({mode} read): missing {missing:?}, too many {extra:?}"
                    )
                });
            }
            (Request::Check { .. } | Request::List { .. } | Request::Write(_) | Request::Schema { .. }, _) => {}
        }
    }

    /// `None` where the answer hangs on a schema change of unknown outcome.
    fn decide(&self, question: &Relationship) -> Option<bool> {
        match &self.schema {
            Schema::Version(version) => Some(is_allowed(&self.state, &Rules::version(*version), question)),
            Schema::OneOf(versions) => {
                let decide = |version: &usize| is_allowed(&self.state, &Rules::version(*version), question);
                let decisions: BTreeSet<bool> = versions.iter().map(decide).collect();
                if decisions.len() == 1 { decisions.first().copied() } else { None }
            }
        }
    }
}

fn write_of<'a>(change: &Change<'a>) -> Option<&'a Write> {
    change.attempts.iter().find_map(|attempt| match &attempt.request {
        Request::Write(write) => Some(write),
        Request::Schema { .. } | Request::Check { .. } | Request::List { .. } => None,
    })
}

fn as_set(updates: &[Update]) -> BTreeSet<String> {
    let text = |update: &Update| match update {
        Update::Touch(relationship) => format!("+{relationship}"),
        Update::Delete(relationship) => format!("-{relationship}"),
    };
    updates.iter().map(text).collect()
}

fn texts<'a>(relationships: impl Iterator<Item = &'a Relationship>) -> Vec<String> {
    relationships.map(ToString::to_string).collect()
}
