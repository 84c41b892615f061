//! Applies entries to a store, many in one batch where that changes nothing.
//!
//! Commands that look at more than single keys (preconditions, deletion by filter, orphan guards) scan the committed state,
//! so a batch is committed before each of them: what they see is exactly the state that the entry before them left. Requests
//! that are remembered are looked up by their keys, through the batch, so they end none.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::EntryPayload;

use super::state::AppliedState;
use super::{ClusterSettings, FloorTable, cluster, counters, floors, judge, requests};
use crate::model::{Revision, StoreId, TimestampMs, Tuple, TupleKey, TupleUpdate, UpdateKind};
use crate::mutants::Mutant;
use crate::raft::repeat;
use crate::raft::types::{Entry, StoredMembership};
use crate::raft::{
    Applied, Command, CommandBody, DeleteTuples, FeatureLevel, Outcome, Refusal, SupportedLevels, WriteSchema,
    WriteTuples, codec,
};
use crate::store::{ChangeRecord, MetaKey, ReadView, StateBatch, StateStore, StoreError};

/// Where a command stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Its index.
    pub(super) at: Revision,
    /// The cluster's time, by which expiration is judged.
    pub(super) now: TimestampMs,
    /// Its operation.
    pub(super) op_id: u128,
}

/// The one writer of a store.
pub(in crate::raft) struct Applier<S> {
    store: Arc<S>,
    state: AppliedState,
    floors: Arc<FloorTable>,
    settings: Arc<ClusterSettings>,
    supported: SupportedLevels,
}

/// Why entries were not applied. The node must stop.
#[derive(Debug, thiserror::Error)]
pub(in crate::raft) enum ApplyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What follows may mean something else than this program knows.
    #[error(
        "the cluster is at feature level {level}, and this version supports {supported}: start the version that ran before, or \
         a newer one"
    )]
    Level {
        /// The cluster's.
        level: FeatureLevel,
        /// This program's.
        supported: SupportedLevels,
    },
}

/// Applying, whatever the store.
pub(in crate::raft) trait Apply: Send + Sync {
    /// Where the log stands in the store.
    fn state(&self) -> &AppliedState;

    /// The floors in force. Another one after each change.
    fn floors(&self) -> &Arc<FloorTable>;

    /// The cluster's settings in force. Another one after each change.
    fn settings(&self) -> &Arc<ClusterSettings>;

    /// Reads the state anew, after the store's content was replaced.
    fn reload(&mut self) -> Result<(), StoreError>;

    /// Applies consecutive entries; one answer each, in order. On an error the node must stop: what is in memory is then
    /// ahead of what is in the store.
    fn apply(&mut self, entries: &[Entry]) -> Result<Vec<Applied>, ApplyError>;
}

impl<S: StateStore> Apply for Applier<S> {
    fn state(&self) -> &AppliedState {
        &self.state
    }

    fn floors(&self) -> &Arc<FloorTable> {
        &self.floors
    }

    fn settings(&self) -> &Arc<ClusterSettings> {
        &self.settings
    }

    fn reload(&mut self) -> Result<(), StoreError> {
        self.state = read_state(&*self.store)?;
        self.floors = Arc::new(FloorTable::read(&*self.store)?);
        self.settings = Arc::new(ClusterSettings::read(&*self.store)?);
        Ok(())
    }

    fn apply(&mut self, entries: &[Entry]) -> Result<Vec<Applied>, ApplyError> {
        let mut applied = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            let cut = rest.iter().skip(1).position(scans).map_or(rest.len(), |at| at + 1);
            let (segment, later) = rest.split_at(cut);
            self.apply_segment(segment, &mut applied)?;
            rest = later;
        }
        Ok(applied)
    }
}

impl<S: StateStore> Applier<S> {
    /// Takes up where `store` stands.
    pub(in crate::raft) fn open(store: Arc<S>) -> Result<Self, StoreError> {
        let (state, floors) = (read_state(&*store)?, Arc::new(FloorTable::read(&*store)?));
        let settings = Arc::new(ClusterSettings::read(&*store)?);
        Ok(Self { store, state, floors, settings, supported: SupportedLevels::OURS })
    }

    /// The same in a program that supports these levels only.
    pub(in crate::raft) fn supporting(self, supported: SupportedLevels) -> Self {
        Self { supported, ..self }
    }

    /// Applies entries of which only the first may scan, as one batch.
    fn apply_segment(&mut self, segment: &[Entry], applied: &mut Vec<Applied>) -> Result<(), ApplyError> {
        let store = Arc::clone(&self.store);
        let mut batch = store.batch();
        batch.fetch(&mut segment.iter().flat_map(written))?;
        for entry in segment {
            applied.push(self.step(&*store, &mut batch, entry)?);
            let (level, supported) = (self.settings.level, self.supported);
            if !supported.include(level) {
                return Err(ApplyError::Level { level, supported });
            }
        }
        batch.put_meta(MetaKey::Applied, &codec::encode_at(self.settings.level, &self.state))?;
        Ok(batch.commit(self.state.revision())?)
    }

    fn step(&mut self, store: &S, batch: &mut S::Batch<'_>, entry: &Entry) -> Result<Applied, StoreError> {
        let at = Revision::new(entry.log_id.index);
        let applied = match &entry.payload {
            EntryPayload::Blank => Applied::first(at, Outcome::Done),
            EntryPayload::Normal(command) => self.command(store, batch, at, command)?,
            EntryPayload::Membership(membership) => {
                let kept: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
                let before = self.state.membership.membership().nodes().map(|(id, _)| *id);
                let gone: Vec<u64> = before.filter(|id| !kept.contains(id)).collect();
                self.state.retired.extend(gone);
                self.state.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                cluster::retain(batch, &mut self.settings, &kept)?;
                Applied::first(at, Outcome::Done)
            }
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&self.state.chain).update(&codec::encode(entry)).update(&codec::encode(&applied));
        self.state.chain = *hash.finalize().as_bytes();
        self.state.last = Some(entry.log_id);
        Ok(applied)
    }

    fn command(
        &mut self,
        store: &S,
        batch: &mut S::Batch<'_>,
        at: Revision,
        command: &Command,
    ) -> Result<Applied, StoreError> {
        self.state.cluster_time = self.state.cluster_time.max(command.proposed_at);
        let stamp = Stamp { at, now: self.state.cluster_time, op_id: command.op_id };
        let applied = match command.body.keyed() {
            None => Applied::first(at, self.body(store, batch, stamp, &command.body)?),
            Some((id, request)) => match batch.request(id, &request.key)?.filter(|_| !Mutant::DedupeInMemory.is_on()) {
                Some(record) => repeat::recall(&record, request, at)?,
                None => {
                    let outcome = self.body(store, batch, stamp, &command.body)?;
                    requests::remember(batch, &mut self.state, stamp, (id, request), &outcome)?;
                    Applied::first(at, outcome)
                }
            },
        };
        requests::forget(batch, &mut self.state, stamp)?;
        Ok(applied)
    }

    fn body(
        &mut self,
        store: &S,
        batch: &mut S::Batch<'_>,
        stamp: Stamp,
        body: &CommandBody,
    ) -> Result<Outcome, StoreError> {
        if body.level() > self.settings.level {
            return Ok(Outcome::Refused(Refusal::WrongLevel { current: self.settings.level }));
        }
        match body {
            CommandBody::WriteTuples(write) => write_tuples(store, batch, stamp, write),
            CommandBody::DeleteTuples(delete) => delete_tuples(store, batch, stamp, delete),
            CommandBody::WriteSchema(write) => write_schema(store, batch, stamp, write),
            CommandBody::ChangeCounter(change) => counters::change(batch, stamp.at, change),
            CommandBody::AdmitNode(_) => {
                let node_id = self.state.next_node_id;
                self.state.next_node_id += 1;
                Ok(Outcome::Admitted { node_id })
            }
            CommandBody::AdvanceWatermark { oldest } => {
                // The state right before this entry is the newest that there surely is.
                batch.expire_below((*oldest).min(Revision::new(stamp.at.index().saturating_sub(1))));
                Ok(Outcome::Done)
            }
            CommandBody::SetFloors(set) => floors::set(batch, &mut self.floors, stamp.at, set),
            CommandBody::RaiseLevel(raise) => {
                let members = self.members();
                cluster::raise(batch, &mut self.settings, &members, raise)
            }
            CommandBody::PlaceNode { node_id, locality } => {
                let members = self.members();
                cluster::place(batch, &mut self.settings, &members, (*node_id, locality))
            }
            CommandBody::SetHomeRegion { region } => cluster::set_home(batch, &mut self.settings, region.as_ref()),
        }
    }

    /// The members, learners too, as of the last applied entry.
    fn members(&self) -> BTreeSet<u64> {
        self.state.membership.membership().nodes().map(|(id, _)| *id).collect()
    }
}

fn read_state<S: StateStore>(store: &S) -> Result<AppliedState, StoreError> {
    let Some(record) = store.meta(MetaKey::Applied)? else { return Ok(AppliedState::default()) };
    codec::decode(&record).map_err(|e| StoreError::Corrupt { place: "applied state", what: e.to_string() })
}

/// Whether an entry must see the committed state of the one before it.
fn scans(entry: &Entry) -> bool {
    let EntryPayload::Normal(command) = &entry.payload else { return false };
    match &*command.body {
        CommandBody::WriteTuples(write) => !write.preconditions.is_empty(),
        CommandBody::DeleteTuples(_) => true,
        CommandBody::WriteSchema(write) => !write.orphan_guards.is_empty(),
        CommandBody::ChangeCounter(_)
        | CommandBody::AdmitNode(_)
        | CommandBody::AdvanceWatermark { .. }
        | CommandBody::SetFloors(_)
        | CommandBody::RaiseLevel(_)
        | CommandBody::PlaceNode { .. }
        | CommandBody::SetHomeRegion { .. } => false,
    }
}

/// The tuples that an entry looks at when it is applied.
fn written(entry: &Entry) -> impl Iterator<Item = (StoreId, &TupleKey)> {
    let body = match &entry.payload {
        EntryPayload::Normal(Command { body, .. }) => Some(&**body),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    };
    let write = body.and_then(|body| if let CommandBody::WriteTuples(write) = body { Some(write) } else { None });
    write.into_iter().flat_map(|write| write.updates.iter().map(|update| (write.store, &update.tuple.key)))
}

/// The state right before the entry that is being applied; only right for the first entry of a segment.
fn before<S: StateStore>(store: &S, id: StoreId) -> Result<Arc<dyn ReadView>, StoreError> {
    store.view(id, store.applied())
}

fn write_tuples<S: StateStore>(
    store: &S,
    batch: &mut S::Batch<'_>,
    Stamp { at, now, op_id }: Stamp,
    write: &WriteTuples,
) -> Result<Outcome, StoreError> {
    if let Some(refusal) = judge::schema(batch, write.store, Some(write.schema_revision))? {
        return Ok(Outcome::Refused(refusal));
    }
    if !write.preconditions.is_empty() {
        let view = before(store, write.store)?;
        if let Some(refusal) = judge::preconditions(&*view, &write.preconditions, now)? {
            return Ok(Outcome::Refused(refusal));
        }
    }
    if let Some(refusal) = judge::creations(batch, write.store, &write.updates)? {
        return Ok(Outcome::Refused(refusal));
    }
    let mut changed = Vec::with_capacity(write.updates.len());
    for update in &write.updates {
        if apply_update(batch, write.store, at, update)? {
            changed.push(update.clone());
        }
    }
    record_change(batch, write.store, at, op_id, changed, &write.metadata_json)?;
    Ok(Outcome::Done)
}

/// Whether the update changed anything.
fn apply_update<B: StateBatch>(
    batch: &mut B,
    store: StoreId,
    at: Revision,
    update: &TupleUpdate,
) -> Result<bool, StoreError> {
    let current = batch.lookup(store, &update.tuple.key)?;
    match update.kind {
        UpdateKind::Create | UpdateKind::Touch => {
            if current.as_ref() == Some(&update.tuple.qualifiers) {
                return Ok(false);
            }
            batch.put(store, at, &update.tuple)?;
        }
        UpdateKind::Delete => {
            if current.is_none() {
                return Ok(false);
            }
            batch.delete(store, at, &update.tuple.key)?;
        }
    }
    Ok(true)
}

fn delete_tuples<S: StateStore>(
    store: &S,
    batch: &mut S::Batch<'_>,
    Stamp { at, now, op_id }: Stamp,
    delete: &DeleteTuples,
) -> Result<Outcome, StoreError> {
    let view = before(store, delete.store)?;
    if let Some(refusal) = judge::preconditions(&*view, &delete.preconditions, now)? {
        return Ok(Outcome::Refused(refusal));
    }
    let Some((keys, partial)) = judge::deletions(&*view, delete, now)? else {
        return Ok(Outcome::Refused(Refusal::TooManyDeletes { limit: delete.limit }));
    };
    let count = keys.len() as u64;
    for key in &keys {
        batch.delete(delete.store, at, key)?;
    }
    let removed = |key| TupleUpdate { kind: UpdateKind::Delete, tuple: Tuple::unqualified(key) };
    let updates = keys.into_iter().map(removed).collect();
    record_change(batch, delete.store, at, op_id, updates, &delete.metadata_json)?;
    Ok(Outcome::Deleted { count, partial })
}

fn write_schema<S: StateStore>(
    store: &S,
    batch: &mut S::Batch<'_>,
    Stamp { at, now, op_id }: Stamp,
    write: &WriteSchema,
) -> Result<Outcome, StoreError> {
    if let Some(refusal) = judge::schema(batch, write.store, write.replaces)? {
        return Ok(Outcome::Refused(refusal));
    }
    if !write.orphan_guards.is_empty() {
        let view = before(store, write.store)?;
        if let Some(refusal) = judge::orphans(store, &*view, write, now)? {
            return Ok(Outcome::Refused(refusal));
        }
    }
    batch.put_schema(write.store, at, &write.text)?;
    let change = ChangeRecord { op_id, updates: Vec::new(), schema_changed: true, metadata_json: String::new() };
    batch.put_change(write.store, at, &change)?;
    Ok(Outcome::Done)
}

fn record_change<B: StateBatch>(
    batch: &mut B,
    store: StoreId,
    at: Revision,
    op_id: u128,
    updates: Vec<TupleUpdate>,
    metadata_json: &str,
) -> Result<(), StoreError> {
    if updates.is_empty() {
        return Ok(());
    }
    let change = ChangeRecord { op_id, updates, schema_changed: false, metadata_json: metadata_json.to_owned() };
    batch.put_change(store, at, &change)
}
