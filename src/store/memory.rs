//! The store in memory: the oracle that the durable one is compared with, and the store of tests that need no disk.
//!
//! Invariant: obviously right before fast. Every version is kept, and a scan looks at every tuple. It must not share code
//! with what it judges: no key codec, no iterator logic.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::model::{
    Counter, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectRef, Tuple, TupleFilter,
    TupleKey,
};

use super::bounds::{Retained, WriteOrder};
use super::writer::{WriterPermit, WriterSlot};
use super::{
    ChangeRecord, Footprint, MetaKey, ReadView, RequestRecord, ScanOrder, StateBatch, StateStore, StoreError,
    StoredSchema, SubjectRow, TupleRow,
};

/// A store that lives and dies with the process. What has expired is refused, and kept all the same.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// Views keep the one that they were made of, so that an install does not change what they show.
    live: RwLock<Arc<RwLock<State>>>,
    pub(super) writer: WriterSlot,
}

/// `None` is a tombstone.
type Versions = BTreeMap<Revision, Option<Qualifiers>>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) applied: Revision,
    pub(super) oldest: Revision,
    pub(super) meta: BTreeMap<MetaKey, Vec<u8>>,
    stores: BTreeMap<StoreId, Tenant>,
    requests: BTreeMap<(StoreId, IdempotencyKey), RequestRecord>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tenant {
    tuples: BTreeMap<(ObjectRef, RelationName), BTreeMap<SubjectRef, Versions>>,
    schemas: BTreeMap<Revision, Arc<str>>,
    counters: BTreeMap<Revision, Vec<Counter>>,
    changes: BTreeMap<Revision, ChangeRecord>,
}

impl State {
    fn retained(&self) -> Retained {
        Retained { oldest: self.oldest, applied: self.applied }
    }
}

impl Tenant {
    fn versions(&self, key: &TupleKey) -> Option<&Versions> {
        self.tuples.get(&(key.resource.clone(), key.relation.clone()))?.get(&key.subject)
    }

    fn write(&mut self, key: TupleKey, at: Revision, what: Option<Qualifiers>) {
        let subjects = self.tuples.entry((key.resource, key.relation)).or_default();
        subjects.entry(key.subject).or_default().insert(at, what);
    }
}

/// The live version at `revision`, and when it was written.
fn live_at(versions: &Versions, revision: Revision) -> Option<(Revision, &Qualifiers)> {
    let (written_at, what) = versions.range(..=revision).next_back()?;
    Some((*written_at, what.as_ref()?))
}

impl MemoryStore {
    /// An empty store at revision zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own with the same content: what a crash right now would leave of a durable one.
    #[must_use]
    pub fn fork(&self) -> Self {
        let copy = read(&self.state()).clone();
        Self { live: RwLock::new(Arc::new(RwLock::new(copy))), writer: WriterSlot::default() }
    }

    pub(super) fn state(&self) -> Arc<RwLock<State>> {
        Arc::clone(&read(&self.live))
    }

    pub(super) fn replace(&self, state: State) {
        *write(&self.live) = Arc::new(RwLock::new(state));
    }
}

pub(super) fn read<T>(state: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    state.read().expect("a writer panicked half way: the state is not to be trusted")
}

fn write<T>(state: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    state.write().expect("a writer panicked half way: the state is not to be trusted")
}

impl StateStore for MemoryStore {
    type Batch<'a> = MemoryBatch<'a>;

    fn meta(&self, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(read(&self.state()).meta.get(&key).cloned())
    }

    fn applied(&self) -> Revision {
        read(&self.state()).applied
    }

    fn oldest(&self) -> Revision {
        read(&self.state()).oldest
    }

    fn footprint(&self) -> Footprint {
        Footprint::default()
    }

    fn view(&self, store: StoreId, revision: Revision) -> Result<Arc<dyn ReadView>, StoreError> {
        read(&self.state()).retained().check(revision)?;
        Ok(Arc::new(MemoryView { state: self.state(), store, revision }))
    }

    fn changes(
        &self,
        store: StoreId,
        after: Revision,
        through: Revision,
        visit: &mut dyn FnMut(Revision, ChangeRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let state = self.state();
        let state = read(&state);
        state.retained().check(through)?;
        state.retained().check(after)?;
        let records: Vec<(Revision, ChangeRecord)> = match state.stores.get(&store) {
            None => return Ok(()),
            Some(tenant) => tenant
                .changes
                .iter()
                .filter(|(at, _)| **at > after && **at <= through)
                .map(|(at, change)| (*at, change.clone()))
                .collect(),
        };
        drop(state);
        for (at, change) in records {
            if visit(at, change).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn changed_within(&self, after: Revision, through: Revision) -> Result<bool, StoreError> {
        let within = |at: &Revision| *at > after && *at <= through;
        Ok(read(&self.state()).stores.values().any(|tenant| tenant.changes.keys().any(within)))
    }

    fn batch(&self) -> MemoryBatch<'_> {
        let permit = self.writer.take();
        let order = WriteOrder::above(read(&self.state()).retained());
        MemoryBatch { state: self.state(), staged: Staged::default(), order, _permit: permit }
    }
}

/// A view of [`MemoryStore`]. The lock is never held while a visitor runs: it may ask the view again.
struct MemoryView {
    state: Arc<RwLock<State>>,
    store: StoreId,
    revision: Revision,
}

impl ReadView for MemoryView {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        let state = read(&self.state);
        let versions = state.stores.get(&self.store).and_then(|tenant| tenant.versions(key));
        Ok(versions.and_then(|versions| live_at(versions, self.revision)).map(|(_, qualifiers)| qualifiers.clone()))
    }

    fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut found: Vec<(SubjectRef, Qualifiers)> = Vec::new();
        if let Some(tenant) = read(&self.state).stores.get(&self.store)
            && let Some(subjects) = tenant.tuples.get(&(resource.clone(), relation.clone()))
        {
            for (subject, versions) in subjects {
                if let Some((_, qualifiers)) = live_at(versions, self.revision) {
                    found.push((subject.clone(), qualifiers.clone()));
                }
            }
        }
        for (subject, qualifiers) in &found {
            let row = SubjectRow {
                subject_type: subject.object.object_type.as_str(),
                subject_id: subject.object.object_id.as_str(),
                subject_relation: subject.relation.as_ref().map(RelationName::as_str),
                qualifiers,
            };
            if visit(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan_some(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        most_rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<Option<TupleKey>, StoreError> {
        let order = ScanOrder::for_filter(filter);
        let mut rows: Vec<TupleRow> = Vec::new();
        if let Some(tenant) = read(&self.state).stores.get(&self.store) {
            for ((resource, relation), subjects) in &tenant.tuples {
                for (subject, versions) in subjects {
                    let Some((written_at, qualifiers)) = live_at(versions, self.revision) else { continue };
                    let names = sort_key(order, (resource, relation, subject));
                    if order.fixed(filter).zip(names).any(|(fixed, name)| fixed != name) {
                        continue;
                    }
                    let (resource, relation) = (resource.clone(), relation.clone());
                    let key = TupleKey { resource, relation, subject: subject.clone() };
                    rows.push(TupleRow { tuple: Tuple { key, qualifiers: qualifiers.clone() }, written_at });
                }
            }
        }
        rows.retain(|row| after.is_none_or(|after| order_of(order, &row.tuple.key) > order_of(order, after)));
        rows.sort_by(|a, b| order_of(order, &a.tuple.key).cmp(&order_of(order, &b.tuple.key)));
        let most_rows = most_rows.max(1);
        let last = rows.get(most_rows - 1).map(|row| row.tuple.key.clone()).filter(|_| rows.len() > most_rows);
        rows.truncate(most_rows);
        for row in rows {
            if filter.matches_qualified(&row.tuple.key, &row.tuple.qualifiers) && visit(row).is_break() {
                return Ok(None);
            }
        }
        Ok(last)
    }

    fn schema(&self) -> Result<Option<StoredSchema>, StoreError> {
        let state = read(&self.state);
        let newest = state.stores.get(&self.store).and_then(|t| t.schemas.range(..=self.revision).next_back());
        Ok(newest.map(|(revision, text)| StoredSchema { revision: *revision, text: Arc::clone(text) }))
    }

    fn schema_revision(&self) -> Result<Option<Revision>, StoreError> {
        Ok(self.schema()?.map(|schema| schema.revision))
    }

    fn counters(&self) -> Result<Vec<Counter>, StoreError> {
        let state = read(&self.state);
        let newest = state.stores.get(&self.store).and_then(|t| t.counters.range(..=self.revision).next_back());
        Ok(newest.map(|(_, counters)| counters.clone()).unwrap_or_default())
    }

    fn request(&self, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        let found = read(&self.state).requests.get(&(self.store, key.clone())).cloned();
        Ok(found.filter(|record| record.at <= self.revision))
    }
}

/// [`sort_key`] of a tuple.
fn order_of(order: ScanOrder, key: &TupleKey) -> [&str; 6] {
    sort_key(order, (&key.resource, &key.relation, &key.subject))
}

/// The six names in the order that [`ScanOrder`] documents; a subject without a relation sorts first.
fn sort_key<'k>(
    order: ScanOrder,
    (resource, relation, subject): (&'k ObjectRef, &'k RelationName, &'k SubjectRef),
) -> [&'k str; 6] {
    let of_resource = (resource.object_type.as_str(), resource.object_id.as_str(), relation.as_str());
    let of_subject = (
        subject.object.object_type.as_str(),
        subject.object.object_id.as_str(),
        subject.relation.as_ref().map_or("", RelationName::as_str),
    );
    match order {
        ScanOrder::ByResource => {
            [of_resource.0, of_resource.1, of_resource.2, of_subject.0, of_subject.1, of_subject.2]
        }
        ScanOrder::BySubject => [of_subject.0, of_subject.1, of_subject.2, of_resource.0, of_resource.2, of_resource.1],
    }
}

#[derive(Debug, Default)]
struct Staged {
    /// In the order of writing: a later write of the same tuple at the same revision replaces the earlier one.
    tuples: Vec<(StoreId, Revision, TupleKey, Option<Qualifiers>)>,
    schemas: Vec<(StoreId, Revision, Arc<str>)>,
    counters: Vec<(StoreId, Revision, Vec<Counter>)>,
    changes: Vec<(StoreId, Revision, ChangeRecord)>,
    /// `None` where one is forgotten.
    requests: BTreeMap<(StoreId, IdempotencyKey), Option<RequestRecord>>,
    meta: BTreeMap<MetaKey, Vec<u8>>,
}

/// The open batch of a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryBatch<'a> {
    state: Arc<RwLock<State>>,
    staged: Staged,
    order: WriteOrder,
    _permit: WriterPermit<'a>,
}

impl StateBatch for MemoryBatch<'_> {
    fn lookup(&mut self, store: StoreId, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        let own = self.staged.tuples.iter().rev().find(|(s, _, k, _)| *s == store && k == key);
        if let Some((_, _, _, what)) = own {
            return Ok(what.clone());
        }
        let state = read(&self.state);
        let latest = state.stores.get(&store).and_then(|tenant| tenant.versions(key)?.values().next_back());
        Ok(latest.cloned().flatten())
    }

    fn schema_revision(&mut self, store: StoreId) -> Result<Option<Revision>, StoreError> {
        let own = self.staged.schemas.iter().rev().find(|(s, _, _)| *s == store).map(|(_, at, _)| *at);
        let state = read(&self.state);
        let stored = state.stores.get(&store).and_then(|tenant| tenant.schemas.keys().next_back()).copied();
        Ok(own.or(stored))
    }

    fn counters(&mut self, store: StoreId) -> Result<Vec<Counter>, StoreError> {
        if let Some((_, _, own)) = self.staged.counters.iter().rev().find(|(s, _, _)| *s == store) {
            return Ok(own.clone());
        }
        let state = read(&self.state);
        let stored = state.stores.get(&store).and_then(|tenant| tenant.counters.values().next_back());
        Ok(stored.cloned().unwrap_or_default())
    }

    fn request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        let place = (store, key.clone());
        match self.staged.requests.get(&place) {
            Some(own) => Ok(own.clone()),
            None => Ok(read(&self.state).requests.get(&place).cloned()),
        }
    }

    fn oldest_request(
        &mut self,
        from: Revision,
    ) -> Result<Option<(StoreId, IdempotencyKey, RequestRecord)>, StoreError> {
        let mut remembered = read(&self.state).requests.clone();
        for (place, own) in &self.staged.requests {
            match own {
                Some(record) => drop(remembered.insert(place.clone(), record.clone())),
                None => drop(remembered.remove(place)),
            }
        }
        let there = remembered.into_iter().filter(|(_, record)| record.at >= from);
        let oldest = there.min_by(|(a, first), (b, second)| (first.at, a).cmp(&(second.at, b)));
        Ok(oldest.map(|((store, key), record)| (store, key, record)))
    }

    fn put(&mut self, store: StoreId, at: Revision, tuple: &Tuple) -> Result<(), StoreError> {
        self.order.note(at);
        self.staged.tuples.push((store, at, tuple.key.clone(), Some(tuple.qualifiers.clone())));
        Ok(())
    }

    fn delete(&mut self, store: StoreId, at: Revision, key: &TupleKey) -> Result<(), StoreError> {
        self.order.note(at);
        self.staged.tuples.push((store, at, key.clone(), None));
        Ok(())
    }

    fn put_schema(&mut self, store: StoreId, at: Revision, text: &str) -> Result<(), StoreError> {
        self.order.note(at);
        self.staged.schemas.push((store, at, Arc::from(text)));
        Ok(())
    }

    fn put_counters(&mut self, store: StoreId, at: Revision, counters: &[Counter]) -> Result<(), StoreError> {
        self.order.note(at);
        self.staged.counters.push((store, at, counters.to_vec()));
        Ok(())
    }

    fn put_change(&mut self, store: StoreId, at: Revision, change: &ChangeRecord) -> Result<(), StoreError> {
        self.order.note(at);
        self.staged.changes.push((store, at, change.clone()));
        Ok(())
    }

    fn put_request(&mut self, store: StoreId, key: &IdempotencyKey, record: &RequestRecord) -> Result<(), StoreError> {
        self.order.note(record.at);
        self.staged.requests.insert((store, key.clone()), Some(record.clone()));
        Ok(())
    }

    fn forget_request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.staged.requests.insert((store, key.clone()), None);
        Ok(())
    }

    fn expire_below(&mut self, oldest: Revision) {
        self.order.expire_below(oldest);
    }

    fn put_meta(&mut self, key: MetaKey, value: &[u8]) -> Result<(), StoreError> {
        self.staged.meta.insert(key, value.to_vec());
        Ok(())
    }

    fn commit(self, applied: Revision) -> Result<(), StoreError> {
        let retained = self.order.finish(applied);
        let mut state = write(&self.state);
        for (store, at, key, what) in self.staged.tuples {
            state.stores.entry(store).or_default().write(key, at, what);
        }
        for (store, at, text) in self.staged.schemas {
            state.stores.entry(store).or_default().schemas.insert(at, text);
        }
        for (store, at, counters) in self.staged.counters {
            state.stores.entry(store).or_default().counters.insert(at, counters);
        }
        for (store, at, change) in self.staged.changes {
            state.stores.entry(store).or_default().changes.insert(at, change);
        }
        for (place, record) in self.staged.requests {
            match record {
                Some(record) => drop(state.requests.insert(place, record)),
                None => drop(state.requests.remove(&place)),
            }
        }
        state.meta.extend(self.staged.meta);
        (state.oldest, state.applied) = (retained.oldest, retained.applied);
        Ok(())
    }
}
