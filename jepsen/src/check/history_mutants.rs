//! Lies put into a clean record, one at a time. Every one breaks the contract, so the checkers must object to every one; a
//! checker that lets one pass would let a bug pass that looks the same.

use std::collections::BTreeMap;

use super::Record;
use super::timeline::Floor;
use crate::history::{Answer, Failure, LogEntry, Mode, Outcome, Request, Update};

/// One lie, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryMutant {
    /// One decision of an operation turned around.
    Decision {
        /// Position of the operation.
        at: usize,
        /// Position of the decision.
        part: usize,
    },
    /// One relationship left out of a listing.
    Listing {
        /// Position of the operation.
        at: usize,
    },
    /// An index that its promise forbids.
    Index {
        /// Position of the operation.
        at: usize,
        /// The index.
        index: u64,
    },
    /// A write that took effect, called failed.
    Denied {
        /// Position of the operation.
        at: usize,
    },
    /// An entry of the log left out.
    LostEntry {
        /// Position in the log.
        at: usize,
    },
    /// An entry of the log there twice.
    RepeatedEntry {
        /// Position in the log.
        at: usize,
    },
    /// An entry that changes something else than was asked for.
    OtherEntry {
        /// Position in the log.
        at: usize,
    },
    /// An event of a watch left out.
    LostEvent {
        /// Position of the watcher.
        watch: usize,
        /// Position of the event.
        at: usize,
    },
    /// An event of a watch told twice.
    RepeatedEvent {
        /// Position of the watcher.
        watch: usize,
        /// Position of the event.
        at: usize,
    },
    /// A watch's event that says something else.
    OtherEvent {
        /// Position of the watcher.
        watch: usize,
        /// Position of the event.
        at: usize,
    },
    /// A hash that is another.
    Hash {
        /// Position of the sample.
        at: usize,
    },
}

/// All lies that can be told in this record.
#[must_use]
pub fn mutants_of(record: &Record) -> Vec<HistoryMutant> {
    let mut mutants = Vec::new();
    let floor = Floor::of(&record.operations);
    for (at, operation) in record.operations.iter().enumerate() {
        let Outcome::Ok(answer) = &operation.outcome else { continue };
        match answer {
            Answer::Decided { allowed, .. } => {
                mutants.extend((0..allowed.len()).map(|part| HistoryMutant::Decision { at, part }));
            }
            Answer::Listed { relationships, .. } if !relationships.is_empty() => {
                mutants.push(HistoryMutant::Listing { at });
            }
            Answer::Listed { .. } => {}
            Answer::Written { index } => {
                let logged = record.log.iter().any(|entry| entry.index == *index && entry.op.is_some());
                if logged {
                    mutants.push(HistoryMutant::Index { at, index: index + 1 });
                }
                // One attempt of several may well have failed.
                if logged && attempts(record, &operation.request) == 1 {
                    mutants.push(HistoryMutant::Denied { at });
                }
            }
        }
        let forbidden = match operation.request.mode() {
            Some(Mode::Full) => floor.before(operation.start).0.checked_sub(1),
            Some(Mode::Fresh(token)) => token.index.checked_sub(1),
            Some(Mode::Exact(token)) => Some(token.index + 1),
            Some(Mode::Stale(ms)) => floor.before(operation.start.saturating_sub(ms * 1_000_000)).0.checked_sub(1),
            Some(Mode::Minimal) | None => None,
        };
        mutants.extend(forbidden.filter(|_| answer.index().is_some()).map(|index| HistoryMutant::Index { at, index }));
    }
    for (at, entry) in record.log.iter().enumerate() {
        mutants.push(HistoryMutant::RepeatedEntry { at });
        if entry.op.is_some() {
            mutants.extend([HistoryMutant::LostEntry { at }, HistoryMutant::OtherEntry { at }]);
        }
    }
    for (watch, session) in record.watches.iter().enumerate() {
        for (at, entry) in session.entries.iter().enumerate() {
            mutants.extend([HistoryMutant::LostEvent { watch, at }, HistoryMutant::RepeatedEvent { watch, at }]);
            if entry.op.is_some() {
                mutants.push(HistoryMutant::OtherEvent { watch, at });
            }
        }
    }
    let mut nodes_at: BTreeMap<u64, u64> = BTreeMap::new();
    for sample in &record.chain {
        *nodes_at.entry(sample.applied).or_default() += 1;
    }
    let compared = record.chain.iter().enumerate().filter(|(_, sample)| nodes_at[&sample.applied] > 1);
    mutants.extend(compared.map(|(at, _)| HistoryMutant::Hash { at }));
    mutants
}

/// How many operations are attempts at the same write.
fn attempts(record: &Record, request: &Request) -> usize {
    let name = |request: &Request| match request {
        Request::Write(write) => Some(write.op.clone()),
        Request::Schema { .. } | Request::Check { .. } | Request::List { .. } => None,
    };
    let wanted = name(request);
    record.operations.iter().filter(|operation| wanted.is_some() && name(&operation.request) == wanted).count()
}

impl HistoryMutant {
    /// Its kind, in a word.
    #[must_use]
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    /// The record with this lie in it.
    #[must_use]
    pub fn tell(&self, record: &Record) -> Record {
        let mut record = record.clone();
        match *self {
            Self::Decision { at, part } => {
                if let Outcome::Ok(Answer::Decided { allowed, .. }) = &mut record.operations[at].outcome {
                    allowed[part] = !allowed[part];
                }
            }
            Self::Listing { at } => {
                if let Outcome::Ok(Answer::Listed { relationships, .. }) = &mut record.operations[at].outcome {
                    relationships.pop();
                }
            }
            Self::Index { at, index: new } => match &mut record.operations[at].outcome {
                Outcome::Ok(Answer::Written { index } | Answer::Decided { index, .. }) => *index = new,
                Outcome::Ok(Answer::Listed { index, .. }) => *index = Some(new),
                Outcome::Fail(_) | Outcome::Info(_) => {}
            },
            Self::Denied { at } => {
                let failure = Failure { reason: "UNAVAILABLE".to_owned(), message: String::new() };
                record.operations[at].outcome = Outcome::Fail(failure);
            }
            Self::LostEntry { at } => {
                record.log.remove(at);
            }
            Self::RepeatedEntry { at } => {
                let entry = record.log[at].clone();
                record.log.insert(at, entry);
            }
            Self::OtherEntry { at } => turn_around(&mut record.log[at]),
            Self::LostEvent { watch, at } => {
                record.watches[watch].entries.remove(at);
            }
            Self::RepeatedEvent { watch, at } => {
                let entry = record.watches[watch].entries[at].clone();
                record.watches[watch].entries.insert(at, entry);
            }
            Self::OtherEvent { watch, at } => turn_around(&mut record.watches[watch].entries[at]),
            Self::Hash { at } => record.chain[at].hash.push('0'),
        }
        record
    }
}

fn turn_around(entry: &mut LogEntry) {
    if let Some(update) = entry.updates.first_mut() {
        *update = match update.clone() {
            Update::Touch(relationship) => Update::Delete(relationship),
            Update::Delete(relationship) => Update::Touch(relationship),
        };
    }
}
