//! The log's device on RocksDB.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Options, ReadOptions, WriteBatch,
};

use super::device::{Completion, EntryVisitor, LogChange, LogDevice, LogSpace};
use super::flusher::{Flusher, LogCounters};
use super::keys;
use super::open::LogError;

/// A log database and the thread that syncs it.
pub(in crate::raft) struct RocksDevice {
    // Declared before the database handle it shares: the flusher finishes its last fsync before the database closes.
    flusher: Flusher,
    db: Arc<DB>,
}

impl RocksDevice {
    /// Opens or creates the database in `dir`. One process at a time: RocksDB holds a lock file.
    pub(in crate::raft) fn open(dir: &Path, counters: Arc<LogCounters>) -> Result<Self, LogError> {
        let db = Arc::new(DB::open_cf_descriptors(&options(), dir, families())?);
        let flusher = Flusher::start(Arc::clone(&db), counters).map_err(LogError::Thread)?;
        Ok(Self { flusher, db })
    }

    fn family(&self, space: LogSpace) -> Arc<rocksdb::BoundColumnFamily<'_>> {
        let name = match space {
            LogSpace::Entries => keys::ENTRIES,
            LogSpace::Records => keys::META,
        };
        self.db.cf_handle(name).expect("the database was opened with all its column families")
    }

    fn entries(&self, from: &[u8], end: &[u8]) -> rocksdb::DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(end);
        self.db.raw_iterator_cf_opt(&self.family(LogSpace::Entries), options)
    }
}

impl LogDevice for RocksDevice {
    fn write(&self, changes: Vec<LogChange>) -> io::Result<()> {
        self.flusher.check()?;
        let mut batch = WriteBatch::default();
        for change in &changes {
            match change {
                LogChange::Put { space, key, value } => batch.put_cf(&self.family(*space), key, value),
                LogChange::RemoveEntries { from, end } => {
                    batch.delete_range_cf(&self.family(LogSpace::Entries), from.as_slice(), end.as_slice());
                }
            }
        }
        self.db.write(batch).map_err(io::Error::other)
    }

    fn sync(&self, done: Completion) {
        self.flusher.submit(done);
    }

    fn get(&self, space: LogSpace, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.db.get_cf(&self.family(space), key).map_err(io::Error::other)
    }

    fn scan(&self, from: &[u8], end: &[u8], visit: EntryVisitor<'_>) -> io::Result<()> {
        let mut entries = self.entries(from, end);
        entries.seek_to_first();
        while let Some((key, value)) = entries.item() {
            if visit(key, value).is_break() {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(io::Error::other)
    }

    fn last(&self, from: &[u8], end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut entries = self.entries(from, end);
        entries.seek_to_last();
        entries.status().map_err(io::Error::other)?;
        Ok(entries.value().map(<[u8]>::to_vec))
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
    entries.set_write_buffer_size(32 << 20);
    entries.set_compression_type(DBCompressionType::Lz4);
    let mut table = BlockBasedOptions::default();
    table.set_block_size(32 << 10);
    entries.set_block_based_table_factory(&table);
    let meta = Options::default();
    vec![ColumnFamilyDescriptor::new(keys::ENTRIES, entries), ColumnFamilyDescriptor::new(keys::META, meta)]
}
