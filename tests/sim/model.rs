//! The oracle: what the committed log means, said as simply as possible and without the product's own code for it.

use std::collections::{BTreeMap, BTreeSet};

use quorate::model::{
    Precondition, PreconditionKind, Qualifiers, Revision, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter,
    TupleKey, TupleUpdate, UpdateKind,
};
use quorate::raft::simulation::LoggedEntry;
use quorate::raft::{CommandBody, DeleteTuples, WriteSchema, WriteTuples};

use crate::history::{Seen, Verdict, WallClocks};
use crate::workload::{Question, WITHOUT_BANNED, op_of};

/// A tuple that came with what qualifies it, or went. A new schema is one that came, too.
pub type Change = (bool, String);

/// How a watcher is told of a new schema.
pub const SCHEMA: &str = "schema";

/// What one entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub index: u64,
    /// Which change of which client it is.
    pub op: Option<u64>,
    pub key: Option<String>,
    /// Whether it took effect.
    pub done: bool,
    /// How many tuples a removal by filter took.
    pub count: Option<u64>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// All states of a run.
#[derive(Default)]
pub struct Model {
    pub effects: Vec<Effect>,
    /// For each tuple, what became of it and when.
    history: BTreeMap<TupleKey, Vec<(u64, Option<Qualifiers>)>>,
    /// When `view` changed, and whether it is without those who are banned.
    views: Vec<(u64, bool)>,
    /// The cluster's time.
    times: Vec<(u64, u64)>,
    clocks: WallClocks,
    /// Indexes of which nothing is known.
    pub missing: Vec<u64>,
}

/// The state while the log is replayed.
#[derive(Default)]
struct State {
    tuples: BTreeMap<TupleKey, Qualifiers>,
    schema: Option<Revision>,
    time: TimestampMs,
    /// The keys of the changes that took effect.
    keys: BTreeSet<String>,
}

/// A tuple, as a watcher is told of it.
pub fn change(update: &TupleUpdate) -> Change {
    match update.kind {
        UpdateKind::Delete => (false, update.tuple.key.to_string()),
        UpdateKind::Create | UpdateKind::Touch => (true, name(&update.tuple)),
    }
}

/// A tuple and what qualifies it.
pub fn name(Tuple { key, qualifiers }: &Tuple) -> String {
    let caveat = qualifiers.caveat.as_ref().map(|caveat| format!("[{}:{}]", caveat.name, caveat.context_json));
    let expires = qualifiers.expires_at.map(|at| format!("[until {}]", at.0));
    format!("{key}{}{}", caveat.unwrap_or_default(), expires.unwrap_or_default())
}

impl Model {
    pub fn replay(log: &[LoggedEntry], clocks: WallClocks) -> Self {
        let mut model = Self { clocks, ..Self::default() };
        let mut state = State::default();
        let mut expected = 0;
        for entry in log {
            model.missing.extend(expected..entry.index);
            expected = entry.index + 1;
            let Some(command) = &entry.command else { continue };
            state.time = state.time.max(command.proposed_at);
            model.times.push((entry.index, state.time.0));
            let Some(Judged { op, done, count, updates }) = state.judge(&command.body) else { continue };
            let key = command.body.keyed().map(|(_, request)| request.key.as_str().to_owned());
            let repeated = key.as_ref().is_some_and(|key| state.keys.contains(key));
            let done = done && !repeated;
            let mut effect = Effect { index: entry.index, op, key, done, count: None, changes: Vec::new() };
            if done {
                state.keys.extend(effect.key.clone());
                effect.count = count;
                effect.changes = model.write(&mut state, entry.index, updates);
                if let CommandBody::WriteSchema(write) = &*command.body {
                    state.schema = Some(Revision::new(entry.index));
                    model.views.push((entry.index, write.text.contains(WITHOUT_BANNED)));
                    effect.changes = vec![(true, SCHEMA.to_owned())];
                }
            }
            model.effects.push(effect);
        }
        model
    }

    fn write(&mut self, state: &mut State, index: u64, updates: Vec<TupleUpdate>) -> Vec<Change> {
        let mut changes = Vec::new();
        for update in updates {
            let Tuple { key, qualifiers } = &update.tuple;
            let next = (update.kind != UpdateKind::Delete).then(|| qualifiers.clone());
            if state.tuples.get(key) == next.as_ref() {
                continue;
            }
            match &next {
                Some(qualifiers) => _ = state.tuples.insert(key.clone(), qualifiers.clone()),
                None => _ = state.tuples.remove(key),
            }
            self.history.entry(key.clone()).or_default().push((index, next));
            changes.push(change(&update));
        }
        changes
    }

    fn tuple(&self, key: &TupleKey, index: u64) -> Option<&Qualifiers> {
        latest(self.history.get(key)?, index)?.as_ref()
    }

    /// All tuples of the state at `index`, expired ones too.
    pub fn state(&self, index: u64) -> Vec<Tuple> {
        let tuple = |key: &TupleKey| self.tuple(key, index).map(|q| Tuple { key: key.clone(), qualifiers: q.clone() });
        self.history.keys().filter_map(tuple).collect()
    }

    /// The earliest and the latest time by which an answer from the state at `index` may judge what has expired: a node goes by
    /// its own clock, but for one that is behind the log.
    pub fn times(&self, index: u64, seen: &Seen) -> [TimestampMs; 2] {
        let cluster = |index: u64| latest(&self.times, index).copied().unwrap_or(0);
        let (earliest, last) = self.clocks.range(seen.node, (seen.begun.ms, seen.ended.ms));
        [TimestampMs(earliest.max(cluster(index))), TimestampMs(last.max(cluster(seen.highest)))]
    }

    /// How many schemas there were.
    pub fn schemas(&self) -> u64 {
        self.views.len() as u64
    }

    /// Whether a check finds something else than it did when the tuple was written, because its time is over.
    pub fn hangs_on_time(&self, question: &Question, index: u64, seen: &Seen) -> bool {
        let viewer = self.tuple(&question.tuple("viewer"), index);
        viewer.is_some_and(|qualifiers| is_over(qualifiers, self.times(index, seen)[0]))
    }

    /// What a check of the state at `index` may find, by each of the times.
    pub fn verdicts(&self, question: &Question, index: u64, times: [TimestampMs; 2]) -> [Verdict; 2] {
        let without_banned = latest(&self.views, index).copied().unwrap_or(false);
        let banned = without_banned && self.tuple(&question.tuple("banned"), index).is_some();
        let viewer = self.tuple(&question.tuple("viewer"), index);
        times.map(|now| match viewer {
            Some(qualifiers) if !banned && !is_over(qualifiers, now) => on_day(qualifiers, question.today),
            Some(_) | None => Verdict::Denied,
        })
    }
}

/// What a command comes to, if it is a client's and the first of its key.
struct Judged {
    op: Option<u64>,
    done: bool,
    count: Option<u64>,
    updates: Vec<TupleUpdate>,
}

impl State {
    fn judge(&self, body: &CommandBody) -> Option<Judged> {
        match body {
            CommandBody::WriteTuples(write) => {
                let (op, updates) = (op_of(&write.metadata_json), write.updates.clone());
                Some(Judged { op, done: self.allows(write), count: None, updates })
            }
            CommandBody::DeleteTuples(delete) => {
                let removed = self.removes(delete);
                let (count, done) = (removed.as_ref().map(|keys| keys.len() as u64), removed.is_some());
                let delete_of = |key| TupleUpdate { kind: UpdateKind::Delete, tuple: Tuple::unqualified(key) };
                let updates = removed.unwrap_or_default().into_iter().map(delete_of).collect();
                Some(Judged { op: op_of(&delete.metadata_json), done, count, updates })
            }
            CommandBody::WriteSchema(write) => {
                let (op, done) = (op_of(&write.text), self.allows_schema(write));
                Some(Judged { op, done, count: None, updates: Vec::new() })
            }
            CommandBody::ChangeCounter(_)
            | CommandBody::AdmitNode(_)
            | CommandBody::AdvanceWatermark { .. }
            | CommandBody::SetFloors(_)
            | CommandBody::RaiseLevel(_)
            | CommandBody::PlaceNode { .. }
            | CommandBody::SetHomeRegion { .. } => None,
        }
    }

    fn is_there(&self, filter: &TupleFilter) -> bool {
        self.tuples.iter().any(|(key, qualifiers)| !is_over(qualifiers, self.time) && matches(filter, key, qualifiers))
    }

    fn holds(&self, conditions: &[Precondition]) -> bool {
        conditions.iter().all(|it| self.is_there(&it.filter) == (it.kind == PreconditionKind::MustMatch))
    }

    fn allows(&self, write: &WriteTuples) -> bool {
        let exists =
            |update: &TupleUpdate| update.kind == UpdateKind::Create && self.tuples.contains_key(&update.tuple.key);
        Some(write.schema_revision) == self.schema
            && self.holds(&write.preconditions)
            && !write.updates.iter().any(exists)
    }

    fn allows_schema(&self, write: &WriteSchema) -> bool {
        write.replaces == self.schema
            && self.time >= write.expired_by
            && !write.orphan_guards.iter().any(|guard| self.is_there(guard))
    }

    /// What a removal by filter takes; nothing where it is refused. What has expired goes last.
    fn removes(&self, delete: &DeleteTuples) -> Option<Vec<TupleKey>> {
        if !self.holds(&delete.preconditions) {
            return None;
        }
        let limit = usize::try_from(delete.limit).expect("small");
        let meant = self.tuples.iter().filter(|(key, qualifiers)| matches(&delete.filter, key, qualifiers));
        let mut meant: Vec<_> = meant.map(|(key, qualifiers)| (is_over(qualifiers, self.time), key.clone())).collect();
        if !delete.allow_partial {
            if meant.iter().filter(|(over, _)| !over).count() > limit {
                return None;
            }
            meant.sort();
        }
        Some(meant.into_iter().take(limit).map(|(_, key)| key).collect())
    }
}

/// The last of `values` up to `index`.
fn latest<T>(values: &[(u64, T)], index: u64) -> Option<&T> {
    let upto = values.partition_point(|(at, _)| *at <= index);
    values[..upto].last().map(|(_, value)| value)
}

/// Whether the tuple's time is over.
pub fn is_over(qualifiers: &Qualifiers, now: TimestampMs) -> bool {
    qualifiers.expires_at.is_some_and(|at| at <= now)
}

/// What the caveat says.
fn on_day(qualifiers: &Qualifiers, today: Option<i64>) -> Verdict {
    let Some(caveat) = &qualifiers.caveat else { return Verdict::Allowed };
    let day = caveat.context_json.strip_prefix("{\"day\":").and_then(|rest| rest.strip_suffix('}'));
    match (day, today) {
        (Some(day), Some(today)) if day == today.to_string() => Verdict::Allowed,
        (Some(_), Some(_)) => Verdict::Denied,
        (None, _) | (_, None) => Verdict::Conditional,
    }
}

fn matches(filter: &TupleFilter, key: &TupleKey, qualifiers: &Qualifiers) -> bool {
    let TupleFilter { resource_type, resource_id, resource_id_prefix, relation, subject, traits } = filter;
    assert!(resource_id_prefix.is_none(), "the workload asks for no prefix");
    let subject_fits = subject.as_ref().is_none_or(|subject| {
        // All subjects of the workload are objects themselves.
        let relation_fits = !matches!(subject.relation, SubjectRelationFilter::Relation(_));
        relation_fits
            && subject.subject_type == key.subject.object.object_type
            && subject.subject_id.as_ref().is_none_or(|id| *id == key.subject.object.object_id)
    });
    let traits_fit = traits.as_ref().is_none_or(|traits| {
        let caveat = qualifiers.caveat.as_ref().map(|caveat| &caveat.name);
        traits.caveat.as_ref() == caveat && traits.expires == qualifiers.expires_at.is_some()
    });
    subject_fits
        && traits_fit
        && resource_type.as_ref().is_none_or(|wanted| *wanted == key.resource.object_type)
        && resource_id.as_ref().is_none_or(|wanted| *wanted == key.resource.object_id)
        && relation.as_ref().is_none_or(|wanted| *wanted == key.relation)
}
