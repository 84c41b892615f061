//! Collection of history: removes what no readable revision shows any more. Local, unhurried, and no part of apply: what it
//! has removed or not yet removed is seen by nobody.
//!
//! Everything at or below a limit `l` may go that a view at `l` or later does not show: of each tuple, schema and set of
//! counters the versions behind the newest one ≤ `l`, that one too if it is a tombstone, and the changelog up to `l`.
//!
//! The changelog is the list of what is to be done, and the mark of how far it is done. A tuple has a second version, or a
//! tombstone, only by a write that is in the changelog; a record goes in the same batch as what it made obsolete, or after
//! it. So whatever a crash interrupts is found again, and doing it twice removes nothing more.
//!
//! # Why no reader misses what is removed
//!
//! `l` is the oldest readable revision or the oldest pin, whichever is lower, *and the pins are read last*. A reader pins its
//! revision `r` first and asks then whether `r` can be read. Suppose that it may, and that the collector did not see its pin.
//! Both take the lock on the pins, so the collector took it first, and what the collector had read by then, the reader reads
//! the same or newer: the oldest revision that it compared `r` with is at least the one in `l`. So `l` ≤ `r`, and nothing that
//! `r` shows goes. A reader that pins for a moment what it may not read only delays the collector.
//!
//! # Why the writer is not disturbed
//!
//! A batch is written above `applied` ≥ `l`, at keys that the collector never touches. It reads the newest version of a tuple
//! through an iterator that sees one moment: before or after a tombstone and all that is behind it went in one batch, and
//! both say that there is no such tuple.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocksdb::{CompactOptions, FlushOptions, WriteBatch};

use crate::model::{Revision, StoreId, TupleKey};

use super::super::{Reach, ScanOrder, StoreError, codec};
use super::RocksStore;
use super::generation::{Generation, engine};
use super::keys::{self, Names, Prefix};
use super::layout::GenerationId;
use super::merge::merge_small_files;
use super::options::Family;
use super::record;
use super::view::{self, Span};

/// Updates of the changelog after which a step ends. One record is never divided.
const STEP_UPDATES: usize = if cfg!(test) { 6 } else { 4096 };
/// Tuples whose versions go in one batch of the engine.
const BATCH_TUPLES: usize = if cfg!(test) { 3 } else { 1024 };
/// However much there is to remove, small files are merged as often as this.
const MERGE_EVERY: Duration = Duration::from_secs(15);
/// Removed records after which the engine is told to give their space back.
const RECLAIM_AFTER: u64 = 20_000;

/// Collects the history of one store, step by step.
pub struct Collector {
    store: Arc<RocksStore>,
    /// The database that the rest is about; an installed snapshot is another one.
    generation: Option<GenerationId>,
    /// Everything up to here is done.
    through: Revision,
    /// Records removed since space was last given back.
    removed: u64,
    /// How far the changelog of each store was emptied since then.
    emptied: BTreeMap<StoreId, Revision>,
    /// When small files were last merged.
    merged: Option<Instant>,
}

impl Collector {
    /// Collects the history of `store`. There is one for each store.
    #[must_use]
    pub fn new(store: Arc<RocksStore>) -> Self {
        Self { store, generation: None, through: Revision::ZERO, removed: 0, emptied: BTreeMap::new(), merged: None }
    }

    /// Removes a part of what may go, and says whether there may be more. Takes a fraction of a second, but for a record of
    /// very many updates, for giving back space, and for merging small files, which it does when there is no more and every
    /// quarter of a minute. After an error the next step begins where this one did.
    pub fn step(&mut self) -> Result<bool, StoreError> {
        let generation = self.store.generation();
        if self.generation != Some(generation.id()) {
            *self = Self { generation: Some(generation.id()), ..Self::new(Arc::clone(&self.store)) };
        }
        let more = self.collect(&generation)?;
        if !more || self.merged.is_none_or(|at| at.elapsed() >= MERGE_EVERY) {
            merge_small_files(&generation)?;
            self.merged = Some(Instant::now());
        }
        Ok(more)
    }

    fn collect(&mut self, generation: &Generation) -> Result<bool, StoreError> {
        let limit = limit(generation);
        if limit <= self.through {
            return Ok(false);
        }
        if let Some(part) = collect_tuples(generation, limit)? {
            self.removed += part.removed;
            self.emptied.insert(part.store, part.through);
            return Ok(true);
        }
        for family in [Family::Schemas, Family::Counters] {
            self.removed += collect_versions(generation, family, limit)?;
        }
        self.through = limit;
        if self.removed >= RECLAIM_AFTER {
            self.reclaim(generation)?;
        }
        Ok(false)
    }

    /// Has the engine give back the space of what was removed: deletions do nothing for it while they are in memory only.
    /// The files of tuples are compacted by themselves where they hold many deletions; the emptied part of the changelog is
    /// one range, and is done here.
    fn reclaim(&mut self, generation: &Generation) -> Result<(), StoreError> {
        let families = Family::ALL.map(|family| generation.handle(family));
        generation.db().flush_cfs_opt(&families, &FlushOptions::default()).map_err(engine)?;
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        let changelog = generation.handle(Family::Changelog);
        for (store, through) in std::mem::take(&mut self.emptied) {
            let (first, last) = (keys::change_key(store, Revision::ZERO), keys::change_key(store, through));
            generation.db().compact_range_cf_opt(changelog, Some(first), Some(last), &options);
        }
        tracing::debug!(removed = self.removed, through = %self.through, "gave back the space of collected history");
        self.removed = 0;
        Ok(())
    }
}

/// Whether the changelog has a record in `(after, through]`: whether there is any history to let go of.
pub(super) fn changed_within(generation: &Generation, after: Revision, through: Revision) -> Result<bool, StoreError> {
    let after = Revision::new(after.index().saturating_add(1));
    let mut iterator = generation.db().raw_iterator_cf(generation.handle(Family::Changelog));
    iterator.seek_to_first();
    while let Some(key) = iterator.key() {
        let (store, at) = keys::split_change_key(key)?;
        if at < after {
            iterator.seek(keys::change_key(store, after));
        } else if at <= through {
            return Ok(true);
        } else if let Some(next) = Prefix::new(store).end() {
            iterator.seek(next);
        } else {
            break;
        }
    }
    iterator.status().map_err(engine).map(|()| false)
}

/// Up to where history may go. The order of the two is what the proof above stands on.
fn limit(generation: &Generation) -> Revision {
    let oldest = generation.retained().oldest;
    generation.pins().oldest().map_or(oldest, |pinned| pinned.min(oldest))
}

/// A piece of the changelog that is done with.
struct Part {
    store: StoreId,
    through: Revision,
    removed: u64,
}

/// Takes the first records of the changelog that are at or below `limit`, removes what they made obsolete, and then them.
fn collect_tuples(generation: &Generation, limit: Revision) -> Result<Option<Part>, StoreError> {
    let changelog = generation.handle(Family::Changelog);
    let mut iterator = generation.db().raw_iterator_cf(changelog);
    iterator.seek_to_first();
    let (store, first) = loop {
        let Some(key) = iterator.key() else { return iterator.status().map_err(engine).map(|()| None) };
        let (store, at) = keys::split_change_key(key)?;
        if at <= limit {
            break (store, at);
        }
        let Some(next) = Prefix::new(store).end() else { return Ok(None) };
        iterator.seek(next);
    };
    let mut part = Part { store, through: first, removed: 0 };
    let mut newest: BTreeMap<TupleKey, Revision> = BTreeMap::new();
    let mut updates = 0;
    while let Some((key, value)) = iterator.item() {
        let (of, at) = keys::split_change_key(key)?;
        if of != store || at > limit || updates >= STEP_UPDATES {
            break;
        }
        for update in codec::decode_change(value)?.updates {
            updates += 1;
            newest.insert(update.tuple.key, at);
            if newest.len() >= BATCH_TUPLES {
                let mut batch = WriteBatch::default();
                part.removed += remove_versions(generation, store, std::mem::take(&mut newest), &mut batch)?;
                generation.db().write(batch).map_err(engine)?;
            }
        }
        part.removed += 1;
        part.through = at;
        iterator.next();
    }
    iterator.status().map_err(engine)?;
    let mut batch = WriteBatch::default();
    part.removed += remove_versions(generation, store, newest, &mut batch)?;
    let end = Revision::new(part.through.index().saturating_add(1));
    batch.delete_range_cf(changelog, keys::change_key(store, first), keys::change_key(store, end));
    generation.db().write(batch).map_err(engine)?;
    Ok(Some(part))
}

/// Of each tuple, removes what is older than the version named, and that one if it is a tombstone; how many there were. All
/// of one tuple goes in one batch: a tombstone that went before what it hides would bring that back.
fn remove_versions(
    generation: &Generation,
    store: StoreId,
    newest: BTreeMap<TupleKey, Revision>,
    batch: &mut WriteBatch,
) -> Result<u64, StoreError> {
    const ORDERS: [ScanOrder; 2] = [ScanOrder::ByResource, ScanOrder::BySubject];
    let mut removed = 0;
    for (key, newest) in newest {
        // Both orders hold the same versions: they are written together and removed together.
        let [by_resource, by_subject] = ORDERS.map(|order| keys::tuple_prefix(store, order, Names::of(&key)));
        let mut iterator =
            view::iterate(generation, Family::TuplesByResource, &by_resource, Span::OneGroup, Reach::Disk);
        iterator.seek(keys::versioned(by_resource.bytes(), newest));
        while let Some((found, value)) = iterator.item() {
            let (_, at) = keys::split_version(ScanOrder::ByResource, found)?;
            let place = keys::place(ScanOrder::ByResource);
            if at < newest || record::decode_tuple(place, value)?.is_none() {
                batch.delete_cf(generation.handle(Family::TuplesByResource), found);
                batch.delete_cf(generation.handle(Family::TuplesBySubject), keys::versioned(by_subject.bytes(), at));
                removed += 1;
            }
            iterator.next();
        }
        iterator.status().map_err(engine)?;
    }
    Ok(removed)
}

/// Of what each store has one of, removes the versions behind the newest one ≤ `limit`; how many there were.
fn collect_versions(generation: &Generation, family: Family, limit: Revision) -> Result<u64, StoreError> {
    let mut removed = 0;
    let mut batch = WriteBatch::default();
    let mut kept = None;
    let mut iterator = generation.db().raw_iterator_cf(generation.handle(family));
    iterator.seek_to_first();
    while let Some(key) = iterator.key() {
        let (store, at) = keys::split_version_key(family.name(), key)?;
        if at > limit {
            // On to the newest one ≤ limit, or to the next store.
            iterator.seek(keys::version_key(store, limit));
            continue;
        }
        if kept == Some(store) {
            batch.delete_cf(generation.handle(family), key);
            removed += 1;
            if batch.len() >= BATCH_TUPLES {
                generation.db().write(std::mem::take(&mut batch)).map_err(engine)?;
            }
        }
        kept = Some(store);
        iterator.next();
    }
    iterator.status().map_err(engine)?;
    generation.db().write(batch).map_err(engine)?;
    Ok(removed)
}
