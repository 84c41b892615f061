//! Writing: one batch of the engine, with an overlay of what it holds so far for the batch's own reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use rocksdb::WriteBatch;

use crate::model::{Counter, IdempotencyKey, Qualifiers, Revision, StoreId, Tuple, TupleKey};
use crate::mutants::Mutant;

use super::super::bounds::WriteOrder;
use super::super::writer::WriterPermit;
use super::super::{ChangeRecord, MetaKey, Reach, RequestRecord, ScanOrder, StateBatch, StoreError, codec};
use super::generation::{Generation, engine};
use super::keys::{self, MetaRecord};
use super::options::Family;
use super::reader::Seeker;
use super::{record, view};

/// The newest version there is.
const LATEST: Revision = Revision::new(u64::MAX);

/// The open batch of a [`RocksStore`](super::RocksStore).
pub struct RocksBatch<'a> {
    generation: Arc<Generation>,
    batch: WriteBatch,
    /// What was read and what is written. Looked up, never iterated: its order cannot leak into the state.
    tuples: HashMap<StoreId, HashMap<TupleKey, Option<Qualifiers>>>,
    schemas: BTreeMap<StoreId, Revision>,
    counters: BTreeMap<StoreId, Vec<Counter>>,
    /// `None` where one is forgotten.
    requests: HashMap<(StoreId, IdempotencyKey), Option<RequestRecord>>,
    /// Those of them that are remembered, in their order.
    request_order: BTreeSet<(Revision, StoreId, IdempotencyKey)>,
    order: WriteOrder,
    _permit: WriterPermit<'a>,
}

impl<'a> RocksBatch<'a> {
    pub(super) fn new(generation: Arc<Generation>, permit: WriterPermit<'a>) -> Self {
        let order = WriteOrder::above(generation.retained());
        let (batch, tuples) = (WriteBatch::default(), HashMap::new());
        let (schemas, counters) = (BTreeMap::new(), BTreeMap::new());
        let (requests, request_order) = (HashMap::new(), BTreeSet::new());
        Self { generation, batch, tuples, schemas, counters, requests, request_order, order, _permit: permit }
    }

    fn write(
        &mut self,
        store: StoreId,
        at: Revision,
        key: &TupleKey,
        what: Option<&Qualifiers>,
    ) -> Result<(), StoreError> {
        self.order.note(at);
        let value = record::encode_tuple(what)?;
        for order in [ScanOrder::ByResource, ScanOrder::BySubject] {
            let family = self.generation.handle(Family::of_tuples(order));
            self.batch.put_cf(family, keys::tuple_key(store, order, key, at), &value);
        }
        let tuples = self.tuples.entry(store).or_default();
        match tuples.get_mut(key) {
            Some(own) => *own = what.cloned(),
            None => drop(tuples.insert(key.clone(), what.cloned())),
        }
        Ok(())
    }
}

/// The record that keeps `key`.
pub(super) fn meta_record(key: MetaKey) -> MetaRecord {
    match key {
        MetaKey::Applied => MetaRecord::Applied,
        MetaKey::Identity => MetaRecord::Identity,
        MetaKey::Cluster => MetaRecord::Cluster,
        MetaKey::Floors => MetaRecord::Floors,
        MetaKey::Settings => MetaRecord::Settings,
    }
}

impl StateBatch for RocksBatch<'_> {
    fn lookup(&mut self, store: StoreId, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        if let Some(own) = self.tuples.get(&store).and_then(|tuples| tuples.get(key)) {
            return Ok(own.clone());
        }
        let found = view::newest(&self.generation, store, key, LATEST, Reach::Disk)?;
        // Whoever judges a tuple mostly looks it up again to change it.
        self.tuples.entry(store).or_default().insert(key.clone(), found.clone());
        Ok(found)
    }

    fn fetch(&mut self, keys: &mut dyn Iterator<Item = (StoreId, &TupleKey)>) -> Result<(), StoreError> {
        let mut seeker = None;
        for (store, key) in keys {
            let tuples = self.tuples.entry(store).or_default();
            if !tuples.contains_key(key) {
                let seeker =
                    seeker.get_or_insert_with(|| Seeker::new(&self.generation, ScanOrder::ByResource, Reach::Disk));
                tuples.insert(key.clone(), seeker.newest(store, key, LATEST)?);
            }
        }
        Ok(())
    }

    fn schema_revision(&mut self, store: StoreId) -> Result<Option<Revision>, StoreError> {
        match self.schemas.get(&store) {
            Some(own) => Ok(Some(*own)),
            None => self.generation.newest_schema(store),
        }
    }

    fn counters(&mut self, store: StoreId) -> Result<Vec<Counter>, StoreError> {
        match self.counters.get(&store) {
            Some(own) => Ok(own.clone()),
            None => view::newest_counters(&self.generation, store, LATEST),
        }
    }

    fn request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        match self.requests.get(&(store, key.clone())) {
            Some(own) => Ok(own.clone()),
            None => view::remembered(&self.generation, store, key),
        }
    }

    fn oldest_request(
        &mut self,
        from: Revision,
    ) -> Result<Option<(StoreId, IdempotencyKey, RequestRecord)>, StoreError> {
        let touched = |store: StoreId, key: &IdempotencyKey| self.requests.contains_key(&(store, key.clone()));
        let stored = view::oldest_request(&self.generation, from, touched)?;
        let own = self.request_order.iter().find(|(at, ..)| *at >= from).cloned();
        let Some((_, store, key)) = own.into_iter().chain(stored).min() else { return Ok(None) };
        let missing =
            || StoreError::Corrupt { place: "requests", what: "one that has a place in the order is gone".into() };
        let record = self.request(store, &key)?.ok_or_else(missing)?;
        Ok(Some((store, key, record)))
    }

    fn put(&mut self, store: StoreId, at: Revision, tuple: &Tuple) -> Result<(), StoreError> {
        self.write(store, at, &tuple.key, Some(&tuple.qualifiers))
    }

    fn delete(&mut self, store: StoreId, at: Revision, key: &TupleKey) -> Result<(), StoreError> {
        self.write(store, at, key, None)
    }

    fn put_schema(&mut self, store: StoreId, at: Revision, text: &str) -> Result<(), StoreError> {
        self.order.note(at);
        let family = self.generation.handle(Family::Schemas);
        self.batch.put_cf(family, keys::version_key(store, at), record::encode_schema(text));
        self.schemas.insert(store, at);
        Ok(())
    }

    fn put_counters(&mut self, store: StoreId, at: Revision, counters: &[Counter]) -> Result<(), StoreError> {
        self.order.note(at);
        let family = self.generation.handle(Family::Counters);
        self.batch.put_cf(family, keys::version_key(store, at), codec::encode_counters(counters)?);
        self.counters.insert(store, counters.to_vec());
        Ok(())
    }

    fn put_change(&mut self, store: StoreId, at: Revision, change: &ChangeRecord) -> Result<(), StoreError> {
        self.order.note(at);
        let family = self.generation.handle(Family::Changelog);
        self.batch.put_cf(family, keys::change_key(store, at), codec::encode_change(change)?);
        Ok(())
    }

    fn put_request(&mut self, store: StoreId, key: &IdempotencyKey, record: &RequestRecord) -> Result<(), StoreError> {
        self.order.note(record.at);
        self.forget_request(store, key)?;
        let order = keys::request_order_key(record.at, store, key);
        self.batch.put_cf(self.generation.handle(Family::RequestOrder), order, []);
        let value = record::encode_request(record);
        self.batch.put_cf(self.generation.handle(Family::Requests), keys::request_key(store, key), value);
        self.requests.insert((store, key.clone()), Some(record.clone()));
        self.request_order.insert((record.at, store, key.clone()));
        Ok(())
    }

    fn forget_request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<(), StoreError> {
        let Some(record) = self.request(store, key)? else { return Ok(()) };
        let order = keys::request_order_key(record.at, store, key);
        self.batch.delete_cf(self.generation.handle(Family::RequestOrder), order);
        self.batch.delete_cf(self.generation.handle(Family::Requests), keys::request_key(store, key));
        self.requests.insert((store, key.clone()), None);
        self.request_order.remove(&(record.at, store, key.clone()));
        Ok(())
    }

    fn expire_below(&mut self, oldest: Revision) {
        self.order.expire_below(oldest);
    }

    fn put_meta(&mut self, key: MetaKey, value: &[u8]) -> Result<(), StoreError> {
        let (family, record) = (self.generation.handle(Family::Meta), meta_record(key).key());
        if Mutant::IndexBeforeData.is_on() {
            return self.generation.db().put_cf(family, record, value).map_err(engine);
        }
        self.batch.put_cf(family, record, value);
        Ok(())
    }

    fn commit(mut self, applied: Revision) -> Result<(), StoreError> {
        let retained = self.order.finish(applied);
        let meta = self.generation.handle(Family::Meta);
        self.batch.put_cf(meta, MetaRecord::AppliedRevision.key(), record::encode_revision(applied));
        if retained.oldest != self.generation.retained().oldest {
            self.batch.put_cf(meta, MetaRecord::OldestRevision.key(), record::encode_revision(retained.oldest));
        }
        for (store, at) in &self.schemas {
            self.generation.note_schema(*store, *at);
        }
        if Mutant::IndexBeforeData.is_on() {
            self.generation.db().write_without_wal(self.batch).map_err(engine)?;
        } else {
            self.generation.db().write(self.batch).map_err(engine)?;
        }
        self.generation.publish(retained);
        Ok(())
    }
}
