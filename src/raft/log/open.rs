//! Opening the log database, its identity record, and its handle.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Options, WriteOptions,
};

use super::flusher::{Flusher, LogCounters};
use super::keys::{self, Record};
use crate::raft::codec::{self, CodecError};
use crate::raft::types::{LogId, Vote};

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// RocksDB refused.
    #[error("log database: {0}")]
    Engine(#[from] rocksdb::Error),
    /// A record does not decode.
    #[error("log database, {what}: {source}")]
    Record {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        source: CodecError,
    },
    /// Entries are missing in the middle.
    #[error(
        "the log has a hole before entry {index}: the disk lost data that it had reported as written. This node cannot go \
             on; remove its data directory and join as a new node"
    )]
    Hole {
        /// The first entry after it.
        index: u64,
    },
    /// The flush thread did not start.
    #[error("log flush thread: {0}")]
    Thread(std::io::Error),
}

/// The log of one node. Cloning gives another handle to the same log.
#[derive(Clone)]
pub struct LogStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    // Declared before the database handle it shares: the flusher finishes its last fsync before the database closes.
    pub(super) flusher: Flusher,
    pub(super) db: Arc<DB>,
    pub(super) counters: Arc<LogCounters>,
    /// The vote as last written, so that readers need no look-up.
    pub(super) vote: Mutex<Option<Vote>>,
}

impl LogStore {
    /// Opens or creates the log in `dir`. One process at a time: RocksDB holds a lock file.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let db = Arc::new(DB::open_cf_descriptors(&options(), dir, families())?);
        let counters = Arc::new(LogCounters::default());
        let flusher = Flusher::start(Arc::clone(&db), Arc::clone(&counters)).map_err(LogError::Thread)?;
        let inner = Inner { flusher, db, counters, vote: Mutex::new(None) };
        let store = Self { inner: Arc::new(inner) };
        *store.inner.vote.lock() = store.record(Record::Vote, "vote")?;
        store.check_for_holes()?;
        Ok(store)
    }

    /// Refuses a log that lacks entries in its middle: a node that went on from it would acknowledge by its last entry what
    /// it does not have.
    fn check_for_holes(&self) -> Result<(), LogError> {
        let purged: Option<LogId> = self.record(Record::Purged, "purge mark")?;
        let mut expected = purged.map(|id| id.index + 1);
        let mut keys = self.inner.db.raw_iterator_cf(&self.inner.family(keys::ENTRIES));
        keys.seek(keys::entry(0));
        while let Some(index) = keys.key().and_then(keys::index_of) {
            if expected.is_some_and(|expected| expected != index) {
                return Err(LogError::Hole { index });
            }
            expected = Some(index + 1);
            keys.next();
        }
        Ok(keys.status()?)
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.inner.counters)
    }

    /// Whose log this is, as its owner wrote it.
    pub fn identity(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.record(Record::Identity, "identity")
    }

    /// Writes whose log this is, synced.
    pub fn write_identity(&self, identity: &[u8]) -> Result<(), LogError> {
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let value = codec::encode(&identity.to_vec());
        self.inner.db.put_cf_opt(&self.inner.family(keys::META), keys::record(Record::Identity), value, &synced)?;
        Ok(())
    }

    pub(super) fn record<T: serde::de::DeserializeOwned>(
        &self,
        record: Record,
        what: &'static str,
    ) -> Result<Option<T>, LogError> {
        let bytes = self.inner.db.get_pinned_cf(&self.inner.family(keys::META), keys::record(record))?;
        let decoded = bytes.map(|bytes| codec::decode(&bytes)).transpose();
        decoded.map_err(|source| LogError::Record { what, source })
    }
}

impl Inner {
    pub(super) fn family(&self, name: &'static str) -> Arc<rocksdb::BoundColumnFamily<'_>> {
        self.db.cf_handle(name).expect("the database was opened with all its column families")
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // Writes stay in memory until the flusher syncs them: what was not synced is really gone after a kill, so every crash
    // test is also a test of the durability promise.
    options.set_manual_wal_flush(true);
    // A torn tail is what a power cut leaves behind an unacknowledged append. Anything else that is damaged must not be
    // skipped in silence.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_recycle_log_file_num(0);
    options.set_max_total_wal_size(256 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_background_jobs(2);
    options
}

fn families() -> Vec<ColumnFamilyDescriptor> {
    let mut entries = Options::default();
    entries.set_write_buffer_size(64 << 20);
    entries.set_compression_type(DBCompressionType::Lz4);
    let mut table = BlockBasedOptions::default();
    table.set_block_size(32 << 10);
    entries.set_block_based_table_factory(&table);
    let meta = Options::default();
    vec![ColumnFamilyDescriptor::new(keys::ENTRIES, entries), ColumnFamilyDescriptor::new(keys::META, meta)]
}
