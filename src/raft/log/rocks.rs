//! The log's device on RocksDB.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, DBRecoveryMode, Options,
    ReadOptions, WriteBatch,
};

use super::device::{Completion, EntryVisitor, LogChange, LogDevice, LogSpace};
use super::flusher::{Flusher, LogCounters};
use super::keys;
use super::open::LogError;

/// A log database and the thread that syncs it.
pub(in crate::raft) struct RocksDevice {
    // Declared before the database handle they share: the flusher finishes its last fsync, and the trimmer what it is about,
    // before the database closes.
    flusher: Flusher,
    trimmer: Trimmer,
    db: Arc<DB>,
}

impl RocksDevice {
    /// Opens or creates the database in `dir`. One process at a time: RocksDB holds a lock file.
    pub(in crate::raft) fn open(dir: &Path, counters: Arc<LogCounters>) -> Result<Self, LogError> {
        let db = Arc::new(DB::open_cf_descriptors(&options(), dir, families())?);
        let flusher = Flusher::start(Arc::clone(&db), counters).map_err(LogError::Thread)?;
        let trimmer = Trimmer { db: Arc::clone(&db), thread: Mutex::new(None) };
        Ok(Self { flusher, trimmer, db })
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

    fn trim(&self, end: &[u8]) {
        self.trimmer.trim(end);
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

/// Rewrites the files that hold removed entries. What is removed by a mark stays on the disk until its files are rewritten, and
/// by itself the engine would do that after some more tens of megabytes.
struct Trimmer {
    db: Arc<DB>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Trimmer {
    /// Begins, unless it is at it already: what it does not get now, it gets the next time.
    fn trim(&self, end: &[u8]) {
        let mut thread = self.thread.lock();
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let (db, end) = (Arc::clone(&self.db), end.to_vec());
        let trim = move || {
            let mut options = CompactOptions::default();
            options.set_exclusive_manual_compaction(false);
            // A new write-ahead log begins now. Where the power goes, the end of the old one must not be lacking.
            if let Err(error) = db.flush_wal(true) {
                tracing::warn!(%error, "the log's files keep what was purged, since it cannot be synced");
                return;
            }
            if let Some(entries) = db.cf_handle(keys::ENTRIES) {
                db.compact_range_cf_opt(&entries, Some(keys::entry(0)), Some(end), &options);
            }
        };
        match std::thread::Builder::new().name("log-trim".into()).spawn(trim) {
            Ok(begun) => *thread = Some(begun),
            Err(error) => tracing::warn!(%error, "the log's files keep what was purged a while longer"),
        }
    }
}

impl Drop for Trimmer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get_mut().take() {
            // The next purge finds what this one leaves.
            self.db.cancel_all_background_work(false);
            let _ = thread.join();
        }
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
    // The write-ahead log is kept for whatever is in memory only. The single records are few, and would stay there until
    // hundreds of megabytes of it have gathered, to be kept, and read at each start.
    options.set_atomic_flush(true);
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn bytes_below(dir: &Path) -> u64 {
        let files = std::fs::read_dir(dir).unwrap();
        files.filter_map(|file| file.unwrap().metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    fn open(dir: &Path) -> RocksDevice {
        RocksDevice::open(dir, Arc::default()).unwrap()
    }

    fn synced(device: &RocksDevice) {
        let (sender, done) = std::sync::mpsc::channel();
        device.sync(Box::new(move |outcome| sender.send(outcome.is_ok()).unwrap()));
        assert!(done.recv().unwrap());
    }

    #[test]
    fn what_was_purged_takes_no_room_and_what_was_not_is_kept() {
        const MIB: usize = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let device = open(dir.path());
        let value = |index: u64| -> Vec<u8> {
            let mut state = index + 1;
            // What does not compress.
            let next = |_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            };
            (0..MIB).map(next).collect()
        };
        for index in 0..100 {
            let put = |space, key: Vec<u8>| LogChange::Put { space, key, value: value(index) };
            let record = LogChange::Put { space: LogSpace::Records, key: b"a".to_vec(), value: vec![index as u8] };
            device.write(vec![put(LogSpace::Entries, keys::entry(index).to_vec()), record]).unwrap();
        }
        synced(&device);
        assert!(bytes_below(dir.path()) > 90 * MIB as u64);
        let end = keys::entry(97);
        let remove = LogChange::RemoveEntries { from: keys::entry(0).to_vec(), end: end.to_vec() };
        device.write(vec![remove]).unwrap();
        device.trim(&end);
        let begin = Instant::now();
        while bytes_below(dir.path()) > 8 * MIB as u64 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{} bytes are left", bytes_below(dir.path()));
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(device);
        let device = open(dir.path());
        for index in 96..100 {
            let found = device.get(LogSpace::Entries, &keys::entry(index)).unwrap();
            assert_eq!(found, (index > 96).then(|| value(index)), "{index}");
        }
        assert_eq!(device.get(LogSpace::Records, b"a").unwrap(), Some(vec![99]));
    }
}
