//! The oracle: what the committed log means, said as simply as possible and without the product's own code for it.

use std::collections::{BTreeMap, BTreeSet};

use quorate::model::{PreconditionKind, TupleFilter, TupleUpdate, UpdateKind};
use quorate::raft::CommandBody;
use quorate::raft::simulation::LoggedEntry;

/// A tuple that came, or went.
pub type Change = (bool, String);

/// What one entry did.
#[derive(Debug, Clone)]
pub struct Effect {
    pub index: u64,
    /// Which write of which client it is.
    pub op: Option<u64>,
    /// Whether it took effect.
    pub done: bool,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// All states of a run.
#[derive(Default)]
pub struct Model {
    pub effects: Vec<Effect>,
    /// For each tuple, when it came and went.
    history: BTreeMap<String, Vec<(u64, bool)>>,
    /// Indexes of which nothing is known.
    pub missing: Vec<u64>,
}

/// The name of a tuple's update.
pub fn name(update: &TupleUpdate) -> String {
    update.tuple.key.to_string()
}

/// The number that a client gave its write.
pub fn op_of(metadata_json: &str) -> Option<u64> {
    metadata_json.strip_prefix("{\"op\":")?.strip_suffix('}')?.parse().ok()
}

impl Model {
    pub fn replay(log: &[LoggedEntry]) -> Self {
        let mut model = Self::default();
        let mut state = BTreeSet::new();
        let mut schema = None;
        let mut expected = 0;
        for entry in log {
            model.missing.extend(expected..entry.index);
            expected = entry.index + 1;
            let Some(command) = &entry.command else { continue };
            match &command.body {
                CommandBody::WriteTuples(write) => {
                    let judged = Some(write.schema_revision.index()) == schema
                        && write.preconditions.iter().all(|condition| {
                            let there = state.contains(&exact(&condition.filter));
                            there == (condition.kind == PreconditionKind::MustMatch)
                        })
                        && !write.updates.iter().any(|u| u.kind == UpdateKind::Create && state.contains(&name(u)));
                    let changes =
                        if judged { model.write(&mut state, entry.index, &write.updates) } else { Vec::new() };
                    let op = op_of(&write.metadata_json);
                    model.effects.push(Effect { index: entry.index, op, done: judged, changes });
                }
                CommandBody::WriteSchema(_) => {
                    assert!(schema.is_none(), "the workload writes one schema");
                    schema = Some(entry.index);
                }
                _ => {}
            }
        }
        model
    }

    fn write(&mut self, state: &mut BTreeSet<String>, index: u64, updates: &[TupleUpdate]) -> Vec<Change> {
        let mut changes = Vec::new();
        for update in updates {
            let (tuple, comes) = (name(update), update.kind != UpdateKind::Delete);
            let changed = if comes { state.insert(tuple.clone()) } else { state.remove(&tuple) };
            if changed {
                self.history.entry(tuple.clone()).or_default().push((index, comes));
                changes.push((comes, tuple));
            }
        }
        changes
    }

    /// Whether the tuple is there in the state at `index`.
    pub fn holds(&self, tuple: &str, index: u64) -> bool {
        let changes = self.history.get(tuple).map_or(&[][..], Vec::as_slice);
        let upto = changes.partition_point(|(at, _)| *at <= index);
        changes[..upto].last().is_some_and(|(_, there)| *there)
    }

    /// All tuples of the state at `index`.
    pub fn state(&self, index: u64) -> BTreeSet<String> {
        self.history.keys().filter(|tuple| self.holds(tuple, index)).cloned().collect()
    }
}

/// The one tuple that the workload's preconditions name.
fn exact(filter: &TupleFilter) -> String {
    let object = |kind: &Option<quorate::model::TypeName>, id: &Option<quorate::model::ObjectId>| {
        let (kind, id) = (kind.as_ref().expect("given"), id.as_ref().expect("given"));
        format!("{}:{}", kind.as_str(), id.as_str())
    };
    let subject = filter.subject.as_ref().expect("given");
    let relation = filter.relation.as_ref().expect("given");
    let resource = object(&filter.resource_type, &filter.resource_id);
    let subject = object(&Some(subject.subject_type.clone()), &subject.subject_id);
    format!("{resource}#{}@{subject}", relation.as_str())
}
