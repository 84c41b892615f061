//! One open database: what it can be asked, and what becomes of its folder.
//!
//! Invariant: `applied` is published only after the batch that reached it is committed, so whoever reads it finds every
//! batch up to it complete.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use rocksdb::{Cache, ColumnFamily, DBWithThreadMode, ErrorKind, SingleThreaded};

use crate::model::{Revision, StoreId};

use super::super::StoreError;
use super::super::bounds::Retained;
use super::keys::MetaRecord;
use super::layout::{DataFolder, GenerationId};
use super::options::{self, Family, StoreOptions};
use super::pins::Pins;
use super::{files, record, view};

/// The format of the whole: keys, values, column families. A newer one is refused.
const FORMAT: u32 = 1;

/// No column family is created or dropped after opening, so their handles need no lock.
pub(super) type Database = DBWithThreadMode<SingleThreaded>;

/// The engine's error as ours.
pub(super) fn engine(error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt { place: "the database files", what: error.into_string() },
        // Nothing else is ever left incomplete: see `Reach::Memory`.
        ErrorKind::Incomplete => StoreError::NotInMemory,
        _ => StoreError::Engine(error.into_string()),
    }
}

/// The handle of a column family.
pub(super) fn handle(db: &Database, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("every column family is created on opening")
}

/// A single record.
pub(super) fn read_meta(db: &Database, record: MetaRecord) -> Result<Option<Vec<u8>>, StoreError> {
    db.get_cf(handle(db, Family::Meta), record.key()).map_err(engine)
}

/// Refuses a database that a later version wrote, then says which revisions can be read in it.
pub(super) fn read_retained(db: &Database) -> Result<Retained, StoreError> {
    let missing = |what: &str| StoreError::Corrupt { place: "meta", what: format!("{what} is missing") };
    let format = read_meta(db, MetaRecord::Format)?.ok_or_else(|| missing("the format"))?;
    let format = record::decode_format(&format)?;
    if format != FORMAT {
        return Err(StoreError::Engine(format!(
            "the data is in format {format} and this version reads format {FORMAT}: use the version that wrote it"
        )));
    }
    let revision = |meta, what| record::decode_revision(&read_meta(db, meta)?.ok_or_else(|| missing(what))?);
    Ok(Retained {
        oldest: revision(MetaRecord::OldestRevision, "the oldest revision")?,
        applied: revision(MetaRecord::AppliedRevision, "the applied revision")?,
    })
}

/// An open database in its generation's folder.
pub(super) struct Generation {
    /// Closed before the folder is released: fields are dropped in order.
    db: Database,
    applied: AtomicU64,
    oldest: AtomicU64,
    pins: Arc<Pins>,
    /// When the newest schema of a store was written, where anybody has asked and there is one: every check asks.
    schemas: RwLock<HashMap<StoreId, Revision>>,
    files: GenerationFiles,
}

struct GenerationFiles {
    id: GenerationId,
    folder: Arc<DataFolder>,
    retired: AtomicBool,
}

impl Drop for GenerationFiles {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire) {
            // What cannot be removed now is left over, and is removed on the next opening.
            if let Err(error) = files::remove_folder(&self.folder.generation(self.id)) {
                tracing::warn!(%error, "the files of a replaced generation stay until the next start");
            }
        }
    }
}

impl Generation {
    /// Makes the first database of a data folder that has none.
    pub(super) fn create(folder: &Arc<DataFolder>, store: &StoreOptions, cache: &Cache) -> Result<Self, StoreError> {
        let path = folder.creating();
        files::remove_folder(&path)?;
        let db = open_database(&path, store, cache)?;
        let mut batch = rocksdb::WriteBatch::default();
        let meta = handle(&db, Family::Meta);
        batch.put_cf(meta, MetaRecord::Format.key(), record::encode_format(FORMAT));
        batch.put_cf(meta, MetaRecord::AppliedRevision.key(), record::encode_revision(Revision::ZERO));
        batch.put_cf(meta, MetaRecord::OldestRevision.key(), record::encode_revision(Revision::ZERO));
        db.write(batch).map_err(engine)?;
        // In a table file, so that these records are there whatever becomes of the write-ahead log.
        db.flush_cf(meta).map_err(engine)?;
        drop(db);
        folder.finish_creating()?;
        Self::open(folder, GenerationId::FIRST, store, cache)
    }

    /// Opens the database of a generation.
    pub(super) fn open(
        folder: &Arc<DataFolder>,
        id: GenerationId,
        store: &StoreOptions,
        cache: &Cache,
    ) -> Result<Self, StoreError> {
        let path = folder.generation(id);
        if !path.join("CURRENT").is_file() {
            let what = format!("{} holds no database", path.display());
            return Err(StoreError::Corrupt { place: "the data folder", what });
        }
        Self::from_database(open_database(&path, store, cache)?, folder, id)
    }

    fn from_database(db: Database, folder: &Arc<DataFolder>, id: GenerationId) -> Result<Self, StoreError> {
        let Retained { oldest, applied } = read_retained(&db)?;
        let (oldest, applied) = (AtomicU64::new(oldest.index()), AtomicU64::new(applied.index()));
        let files = GenerationFiles { id, folder: Arc::clone(folder), retired: AtomicBool::new(false) };
        Ok(Self { db, applied, oldest, pins: Arc::default(), schemas: RwLock::default(), files })
    }

    pub(super) fn id(&self) -> GenerationId {
        self.files.id
    }

    pub(super) fn db(&self) -> &Database {
        &self.db
    }

    pub(super) fn handle(&self, family: Family) -> &ColumnFamily {
        handle(&self.db, family)
    }

    pub(super) fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// The last committed revision.
    pub(super) fn applied(&self) -> Revision {
        Revision::new(self.applied.load(Ordering::Acquire))
    }

    /// Lets readers see what was committed.
    pub(super) fn publish(&self, retained: Retained) {
        // In the other order of reading, so that nobody finds the oldest above the applied.
        self.applied.store(retained.applied.index(), Ordering::Release);
        self.oldest.store(retained.oldest.index(), Ordering::Release);
    }

    /// When the newest schema of `store` was written. It may be newer than what is published.
    pub(super) fn newest_schema(&self, store: StoreId) -> Result<Option<Revision>, StoreError> {
        if let Some(known) = self.schemas.read().get(&store) {
            return Ok(Some(*known));
        }
        let found = view::newest_version(self, Family::Schemas, store, Revision::new(u64::MAX), |at, _| Ok(at))?;
        // One that was written since was noted.
        Ok(found.map(|found| self.note_schema(store, found)))
    }

    /// A schema was written, or is about to be: to be called before that is published. Returns the newest one.
    pub(super) fn note_schema(&self, store: StoreId, at: Revision) -> Revision {
        let mut schemas = self.schemas.write();
        let newest = schemas.entry(store).or_insert(at);
        *newest = at.max(*newest);
        *newest
    }

    /// What can be read.
    pub(super) fn retained(&self) -> Retained {
        let oldest = Revision::new(self.oldest.load(Ordering::Acquire));
        Retained { oldest, applied: self.applied() }
    }

    /// The files go when the last view does.
    pub(super) fn retire(&self) {
        self.files.retired.store(true, Ordering::Release);
    }
}

fn open_database(path: &Path, store: &StoreOptions, cache: &Cache) -> Result<Database, StoreError> {
    Database::open_cf_descriptors(&options::database(store)?, path, options::families(store, cache)).map_err(engine)
}

/// Opens a database without changing it.
pub(super) fn open_read_only(path: &Path, store: &StoreOptions, cache: &Cache) -> Result<Database, StoreError> {
    let families = options::families(store, cache);
    Database::open_cf_descriptors_read_only(&options::database(store)?, path, families, false).map_err(engine)
}
