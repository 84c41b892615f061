//! The store itself: which generation is live, who may write, and the whole-store operations.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use rocksdb::{Cache, ReadOptions, properties};

use crate::model::{Revision, StoreId};

use super::super::writer::WriterSlot;
use super::super::{ChangeRecord, CheckpointStore, Footprint, MetaKey, ReadView, StateStore, StoreError, codec};
use super::batch::{RocksBatch, meta_record};
use super::checkpoint::{self, CheckpointInfo};
use super::collect;
use super::generation::{Generation, engine, read_meta};
use super::keys;
use super::layout::{DataFolder, GenerationId};
use super::options::{Family, StoreOptions};
use super::view::RocksView;

/// A store in a folder. What a batch commits survives a crash of the process at once, and a power cut after
/// [`RocksStore::sync`] or a little later.
pub struct RocksStore {
    pub(super) live: RwLock<Arc<Generation>>,
    pub(super) writer: WriterSlot,
    pub(super) folder: Arc<DataFolder>,
    pub(super) options: StoreOptions,
    pub(super) cache: Cache,
}

impl RocksStore {
    /// Opens the store in `dir`, which is created where it is missing, and finishes or undoes what a crash interrupted.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let folder = Arc::new(DataFolder::open(dir)?);
        let generation = match folder.current()? {
            Some(id) => Generation::open(&folder, id, &options, &cache)?,
            None => first_generation(&folder, &options, &cache)?,
        };
        let removed = folder.remove_leftovers(generation.id())?;
        tracing::info!(dir = %dir.display(), applied = %generation.applied(), removed, "opened the state");
        Ok(Self { live: RwLock::new(Arc::new(generation)), writer: WriterSlot::default(), folder, options, cache })
    }

    /// The live generation. Each operation takes it once, so that an install in between cannot mix two states.
    pub(super) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.live.read())
    }

    /// Makes all that was committed before the call survive a power cut, and returns the revision that is now safe. Entries
    /// of the log above it must be kept: they may be needed again.
    pub fn sync(&self) -> Result<Revision, StoreError> {
        let generation = self.generation();
        let applied = generation.applied();
        generation.db().flush_wal(true).map_err(engine)?;
        Ok(applied)
    }
}

/// The database of a folder without a pointer: a new one, or the one that a crash left just before the pointer was written.
fn first_generation(folder: &Arc<DataFolder>, options: &StoreOptions, cache: &Cache) -> Result<Generation, StoreError> {
    let lost = |what: String| StoreError::Corrupt { place: "the data folder", what };
    let first = match folder.generations()?.as_slice() {
        [] => Generation::create(folder, options, cache)?,
        [GenerationId::FIRST] => Generation::open(folder, GenerationId::FIRST, options, cache)?,
        [_, ..] => return Err(lost("CURRENT is missing and there is data: restore it, or empty the folder".into())),
    };
    if first.applied() != Revision::ZERO {
        return Err(lost(format!("CURRENT is missing and the data is at revision {}", first.applied())));
    }
    folder.write_pointer(first.id())?;
    folder.swap_pointer()?;
    Ok(first)
}

impl StateStore for RocksStore {
    type Batch<'a> = RocksBatch<'a>;

    fn meta(&self, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError> {
        read_meta(self.generation().db(), meta_record(key))
    }

    fn applied(&self) -> Revision {
        self.generation().applied()
    }

    fn oldest(&self) -> Revision {
        self.generation().retained().oldest
    }

    fn footprint(&self) -> Footprint {
        let generation = self.generation();
        let of = |family, name: &properties::PropName| {
            // What the engine does not know counts for nothing: these are figures to look at.
            let value = generation.db().property_int_value_cf(generation.handle(family), name);
            value.ok().flatten().unwrap_or(0)
        };
        let all = |name| Family::ALL.map(|family| of(family, name)).iter().sum();
        Footprint {
            memtables: all(properties::CUR_SIZE_ALL_MEM_TABLES),
            // One cache for all families.
            block_cache: of(Family::TuplesByResource, properties::BLOCK_CACHE_USAGE),
            files: all(properties::TOTAL_SST_FILES_SIZE),
            pending_compaction: all(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
        }
    }

    fn view(&self, store: StoreId, revision: Revision) -> Result<Arc<dyn ReadView>, StoreError> {
        let generation = self.generation();
        // Pinned first and judged then, against the collector: see `collect`.
        let view = RocksView::new(Arc::clone(&generation), store, revision);
        generation.retained().check(revision)?;
        Ok(Arc::new(view))
    }

    fn changes(
        &self,
        store: StoreId,
        after: Revision,
        through: Revision,
        visit: &mut dyn FnMut(Revision, ChangeRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let generation = self.generation();
        // As for a view: the records after `after` are safe as long as somebody reads there.
        let _pin = generation.pins().pin(after);
        let retained = generation.retained();
        retained.check(through)?;
        retained.check(after)?;
        if after >= through {
            return Ok(());
        }
        // Both lie at or below applied, so neither overflows.
        let next = |revision: Revision| keys::change_key(store, Revision::new(revision.index().saturating_add(1)));
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(next(through));
        let mut iterator = generation.db().raw_iterator_cf_opt(generation.handle(Family::Changelog), options);
        iterator.seek(next(after));
        while let Some((key, value)) = iterator.item() {
            if visit(keys::decode_change_key(key)?, codec::decode_change(value)?).is_break() {
                return Ok(());
            }
            iterator.next();
        }
        iterator.status().map_err(engine)
    }

    fn changed_within(&self, after: Revision, through: Revision) -> Result<bool, StoreError> {
        collect::changed_within(&self.generation(), after, through)
    }

    fn batch(&self) -> RocksBatch<'_> {
        let permit = self.writer.take();
        RocksBatch::new(self.generation(), permit)
    }
}

impl CheckpointStore for RocksStore {
    fn checkpoint(&self, into: &Path) -> Result<CheckpointInfo, StoreError> {
        checkpoint::create(self.generation().db(), &self.options, into)
    }

    fn install(&self, from: &Path) -> Result<(), StoreError> {
        self.replace_by(from)
    }

    fn peek(&self, from: &Path, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError> {
        checkpoint::peek(&self.options, from, meta_record(key))
    }
}
