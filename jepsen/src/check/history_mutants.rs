//! Lies put into a clean record, one at a time. Every one breaks the contract, so the checkers must object to every one; a
//! checker that lets one pass would let a bug pass that looks the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Record;
use super::bounds::Bounds;
use super::floor::{above, floors};
use crate::history::{
    Answer, Beside, Ended, Ending, Failure, LogEntry, Mode, Operation, Outcome, Request, Subject, Tree, Update,
    Workload,
};
use crate::oracle::VERSIONS;

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
    /// One relationship left out of a listing, or one object or user of what was found.
    Listing {
        /// Position of the operation.
        at: usize,
        /// Position of what is left out.
        part: usize,
    },
    /// Somebody more in a tree.
    Tree {
        /// Position of the operation.
        at: usize,
    },
    /// Parts of different states.
    Torn {
        /// Position of the operation.
        at: usize,
    },
    /// A floor that was not told, or told without need.
    Raised {
        /// Position of the operation.
        at: usize,
    },
    /// An answer where a floor forbids one.
    Unrefused {
        /// Position of the operation.
        at: usize,
    },
    /// A repetition that calls itself the first.
    First {
        /// Position of the operation.
        at: usize,
    },
    /// Another content accepted under a key.
    Reused {
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
    /// A node that ended by itself.
    Ended {
        /// Which.
        node: usize,
    },
    /// A node that takes up more and more.
    Grown {
        /// Position of the first look at it.
        from: usize,
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
    let bounds = Bounds::of(record);
    for (at, operation) in record.operations.iter().enumerate() {
        match &operation.outcome {
            Outcome::Ok(answer) => {
                of_answer(&mut mutants, (record, &bounds), (at, operation), answer);
                let forbidden = forbidden(&bounds, operation).filter(|_| answer.index().is_some());
                mutants.extend(forbidden.map(|index| HistoryMutant::Index { at, index }));
            }
            Outcome::Fail(failure) if failure.reason == Failure::BELOW_FLOOR => {
                mutants.push(HistoryMutant::Unrefused { at });
            }
            Outcome::Fail(failure) if failure.reason == Failure::KEY_REUSED => {
                mutants.push(HistoryMutant::Reused { at });
            }
            Outcome::Fail(_) | Outcome::Info(_) => {}
        }
    }
    of_log(&mut mutants, record);
    mutants.push(HistoryMutant::Ended { node: 1 });
    mutants
        .extend((record.footprints.len() >= 8).then_some(HistoryMutant::Grown { from: record.footprints.len() / 2 }));
    mutants
}

fn of_answer(
    mutants: &mut Vec<HistoryMutant>,
    (record, bounds): (&Record, &Bounds),
    (at, operation): (usize, &Operation),
    answer: &Answer,
) {
    let is_read = operation.request.mode().is_some();
    mutants.extend(is_read.then_some(HistoryMutant::Torn { at }));
    let is_under_floor = floors(record).is_some_and(|floors| above(floors, operation).is_some());
    mutants.extend((is_read && is_under_floor).then_some(HistoryMutant::Raised { at }));
    // What depends on a schema that is not known may be anything.
    if !is_known(record, &operation.request) {
        return;
    }
    let count = match answer {
        Answer::Listed { relationships, .. } => relationships.len(),
        Answer::Found { ids, .. } => ids.len(),
        Answer::Written { .. } | Answer::Decided { .. } | Answer::Expanded { .. } => 0,
    };
    // To find nothing at all is a lie only where there was something all the time.
    if count > 1 || (count == 1 && is_never_empty(record, bounds, operation)) {
        mutants.extend((0..count).map(|part| HistoryMutant::Listing { at, part }));
    }
    match answer {
        Answer::Decided { allowed, .. } => {
            mutants.extend((0..allowed.len()).map(|part| HistoryMutant::Decision { at, part }));
        }
        Answer::Listed { .. } | Answer::Found { .. } => {}
        Answer::Expanded { .. } => mutants.push(HistoryMutant::Tree { at }),
        Answer::Written { index, replayed } => {
            let logged = record.log.iter().any(|entry| entry.index == *index && entry.op.is_some());
            if logged {
                mutants.push(HistoryMutant::Index { at, index: index + 1 });
            }
            // One attempt of several may well have failed.
            let others = attempts(record, operation);
            if logged && others.is_empty() {
                mutants.push(HistoryMutant::Denied { at });
            }
            let is_first = |other: &&Operation| matches!(other.answer(), Some(Answer::Written { replayed: false, .. }));
            if *replayed && others.iter().any(is_first) {
                mutants.push(HistoryMutant::First { at });
            }
        }
    }
}

/// What is exchanged and never taken away.
const KEPT: [&str; 4] = ["register", "seat", "team", "desk"];

/// Whether what was found in part was never gone, in any state that the read may be of.
fn is_never_empty(record: &Record, bounds: &Bounds, operation: &Operation) -> bool {
    if let Some(Mode::Exact(_)) = operation.request.mode() {
        return true;
    }
    let set_up = record.operations.iter().filter(|o| o.workload == Workload::Setup).filter_map(Operation::answered_at);
    let is_kept = operation.request.kinds().iter().all(|kind| KEPT.contains(kind));
    is_kept && bounds.least(operation) >= set_up.max()
}

/// Whether the oracle can tell what is right: more than one change of the schema of unknown outcome may be any of them.
fn is_known(record: &Record, request: &Request) -> bool {
    let unknown = |o: &&Operation| matches!((&o.request, &o.outcome), (Request::Schema { .. }, Outcome::Info(_)));
    !request.kinds().contains(&"memo") || record.operations.iter().filter(unknown).count() < 2
}

/// An index that the promise of a read forbids.
fn forbidden(bounds: &Bounds, operation: &Operation) -> Option<u64> {
    let least = bounds.least(operation)?;
    if let Some(Mode::Exact(_)) = operation.request.mode() { Some(least + 1) } else { least.checked_sub(1) }
}

fn of_log(mutants: &mut Vec<HistoryMutant>, record: &Record) {
    for (at, entry) in record.log.iter().enumerate() {
        mutants.push(HistoryMutant::RepeatedEntry { at });
        if entry.op.is_some() {
            mutants.extend([HistoryMutant::LostEntry { at }, HistoryMutant::OtherEntry { at }]);
        }
        if entry.schema && changes_schema(record, at) {
            mutants.push(HistoryMutant::LostEntry { at });
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
}

/// Whether an entry was acknowledged as a schema, and another one than was in force for certain.
fn changes_schema(record: &Record, at: usize) -> bool {
    let acknowledged = |entry: &LogEntry| {
        let at_index = record.operations.iter().filter(|o| o.answered_at() == Some(entry.index));
        at_index.filter_map(|o| o.request.schema_version()).map(|version| version % VERSIONS).next()
    };
    let before = record.log[..at].iter().rev().find(|entry| entry.schema).map(acknowledged);
    match (acknowledged(&record.log[at]), before) {
        (Some(_), None) => true,
        (Some(version), Some(Some(before))) => version != before,
        (None, _) | (Some(_), Some(None)) => false,
    }
}

/// Other operations that are attempts at the same write.
fn attempts<'a>(record: &'a Record, operation: &Operation) -> Vec<&'a Operation> {
    let Some(wanted) = operation.request.write() else { return Vec::new() };
    let same = |other: &&Operation| other.request.write().is_some_and(|write| write.op == wanted.op);
    record.operations.iter().filter(|other| other.index != operation.index).filter(same).collect()
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
            Self::Listing { at, part } => match &mut record.operations[at].outcome {
                Outcome::Ok(Answer::Listed { index, relationships, .. }) => {
                    relationships.remove(part);
                    *index = index.filter(|_| !relationships.is_empty());
                }
                Outcome::Ok(Answer::Found { index, ids, .. }) => {
                    ids.remove(part);
                    *index = index.filter(|_| !ids.is_empty());
                }
                Outcome::Ok(Answer::Written { .. } | Answer::Decided { .. } | Answer::Expanded { .. })
                | Outcome::Fail(_)
                | Outcome::Info(_) => {}
            },
            Self::Tree { at } => {
                if let Outcome::Ok(Answer::Expanded { tree, .. }) = &mut record.operations[at].outcome {
                    let whole = tree.clone();
                    *tree = Tree::Union(vec![whole, stranger()]);
                }
            }
            Self::Torn { at } => fail(&mut record.operations[at], Failure::NONSENSE),
            Self::Raised { at } => {
                if let Some(beside) = beside_of(&mut record.operations[at]) {
                    beside.raised = if beside.raised.is_none() { Some("for nothing".to_owned()) } else { None };
                }
            }
            Self::Unrefused { at } => {
                let said = Answer::Decided { index: 1, beside: Beside::default(), allowed: vec![false] };
                record.operations[at].outcome = Outcome::Ok(said);
            }
            Self::First { at } => {
                if let Outcome::Ok(Answer::Written { replayed, .. }) = &mut record.operations[at].outcome {
                    *replayed = false;
                }
            }
            Self::Reused { at } => {
                record.operations[at].outcome = Outcome::Ok(Answer::written(1));
            }
            Self::Index { at, index: new } => match &mut record.operations[at].outcome {
                Outcome::Ok(
                    Answer::Written { index, .. } | Answer::Decided { index, .. } | Answer::Expanded { index, .. },
                ) => *index = new,
                Outcome::Ok(Answer::Listed { index, .. } | Answer::Found { index, .. }) => *index = Some(new),
                Outcome::Fail(_) | Outcome::Info(_) => {}
            },
            Self::Denied { at } => fail(&mut record.operations[at], "UNAVAILABLE"),
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
            Self::OtherEvent { watch, at } => turn_around(Arc::make_mut(&mut record.watches[watch].entries[at])),
            Self::Ended { node } => {
                let (time, how, words) = (0, Ended::Stopped, String::new());
                record.settings.endings.push(Ending { time, node, how, words });
            }
            Self::Grown { from } => {
                record.footprints[from..].iter_mut().for_each(|footprint| footprint.resident_kib *= 4);
            }
            Self::Hash { at } => record.chain[at].hash.push('0'),
        }
        record
    }
}

fn fail(operation: &mut Operation, reason: &str) {
    operation.outcome = Outcome::Fail(Failure { reason: reason.to_owned(), message: String::new() });
}

fn beside_of(operation: &mut Operation) -> Option<&mut Beside> {
    match &mut operation.outcome {
        Outcome::Ok(
            Answer::Decided { beside, .. }
            | Answer::Listed { beside, .. }
            | Answer::Found { beside, .. }
            | Answer::Expanded { beside, .. },
        ) => Some(beside),
        Outcome::Ok(Answer::Written { .. }) | Outcome::Fail(_) | Outcome::Info(_) => None,
    }
}

fn stranger() -> Tree {
    let nowhere = "nowhere".to_owned();
    Tree::Leaf {
        kind: nowhere.clone(),
        id: nowhere.clone(),
        relation: nowhere,
        subjects: vec![Subject::user("stranger")],
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
