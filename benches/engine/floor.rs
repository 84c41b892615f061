//! What nothing built on it can be faster than: RocksDB with keys of a size as the store has them, and an fsync.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rocksdb::{BlockBasedOptions, Cache, DB, Options, WriteBatch};

const BATCH: u64 = 1000;

/// A plain database with numbered keys.
pub(crate) struct Plain {
    db: DB,
}

impl Plain {
    /// One with `count` keys in table files, and a cache that holds them all.
    pub(crate) fn open(folder: &Path, count: u64) -> Self {
        let mut tables = BlockBasedOptions::default();
        tables.set_bloom_filter(10.0, false);
        tables.set_block_cache(&Cache::new_lru_cache(256 << 20));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&tables);
        let plain = Self { db: DB::open(&options, folder).expect("an empty folder") };
        for start in (0..count).step_by(usize::try_from(BATCH).expect("a small number")) {
            plain.put(start..(start + BATCH).min(count));
        }
        plain.db.flush().expect("the disk works");
        plain
    }

    fn key(number: u64) -> [u8; 32] {
        let mut key = *b"doc:f00000000#viewer@user:000000";
        // Spread, as names are.
        key[5..13].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        key
    }

    /// One batch, not synced, as state is applied.
    pub(crate) fn put(&self, numbers: impl Iterator<Item = u64>) {
        let mut batch = WriteBatch::default();
        for number in numbers {
            batch.put(Self::key(number), b"1");
        }
        self.db.write(batch).expect("the disk works");
    }

    /// Whether the key is there.
    pub(crate) fn get(&self, number: u64) -> bool {
        self.db.get_pinned(Self::key(number)).expect("the disk works").is_some()
    }

    /// The same for a key that nobody wrote.
    pub(crate) fn get_absent(&self, number: u64) -> bool {
        let mut key = Self::key(number);
        key[31] = b'x';
        self.db.get_pinned(key).expect("the disk works").is_some()
    }

    /// Whether an iterator finds the key.
    pub(crate) fn seek(&self, number: u64) -> bool {
        let mut iterator = self.db.raw_iterator();
        iterator.seek(Self::key(number));
        iterator.key() == Some(Self::key(number).as_slice())
    }
}

/// A file that is synced after each write.
pub(crate) struct Synced(File);

impl Synced {
    pub(crate) fn create(path: &Path) -> Self {
        Self(File::create(path).expect("the folder is writable"))
    }

    /// Writes 128 bytes, and returns when they are on the disk.
    pub(crate) fn append(&mut self) {
        self.0.write_all(&[7; 128]).expect("the disk works");
        self.0.sync_data().expect("the disk works");
    }
}
