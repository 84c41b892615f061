//! How the engine is set up: column families, filters, caches, the write-ahead log. No policy of the store is in here.
//!
//! The state may lose its newest batches in a power cut, because the Raft log brings them back; it must never have a hole,
//! because then a replay of the log would start above it. Hence:
//! - Recovery is point in time: replay of the write-ahead log ends at the first damage and what follows is dropped, in that
//!   file and in later ones. The log's own setting, which forgives a torn tail in *every* file, would carry on with the next
//!   file and leave a hole where the tail was. Refusing to open would turn every power cut into a rebuilt node.
//! - Each write-ahead log names its predecessor and how far that went, so that a tail that is lost at a record's boundary,
//!   which no checksum shows, ends the replay as well.
//! - Column families are flushed together, so what is in table files is a whole number of batches even without any log.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Options, SliceTransform,
};

use super::super::{ScanOrder, StoreError};
use super::keys;

/// A table file of tuples in which so many of so many entries in a row are deletions is compacted, so that collected history
/// gives its space back and readers need not step over what is gone.
const DELETIONS: usize = 512;
const AMONG_ENTRIES: usize = 2048;
/// The same for a file as a whole.
const DELETED_PART: f64 = 0.5;

/// The first level below the newest files. Those are compacted by fours, which in this many bytes rewrites about as much as they
/// bring: what fills the memory for writes is some megabytes in a file.
const LEVEL_BASE_BYTES: u64 = 32 << 20;

/// What an operator may tune.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for blocks, shared by all column families. Indexes and filters are not part of it.
    pub block_cache_bytes: usize,
    /// Memory for writes not yet in table files, all column families together. For a moment it is half as much again, while
    /// some of it is written to files.
    pub write_buffer_bytes: usize,
    /// Threads that flush and compact.
    pub background_jobs: u16,
    /// Keeps the write-ahead log in the process until [`RocksStore::sync`](super::RocksStore::sync): a killed process then
    /// loses what a power cut would. For tests.
    pub manual_wal_flush: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 256 << 20, write_buffer_bytes: 64 << 20, background_jobs: 2, manual_wal_flush: false }
    }
}

/// The column families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    TuplesByResource,
    TuplesBySubject,
    Schemas,
    Counters,
    Changelog,
    Meta,
    Requests,
    RequestOrder,
}

impl Family {
    pub(super) const ALL: [Self; 8] = [
        Self::TuplesByResource,
        Self::TuplesBySubject,
        Self::Schemas,
        Self::Counters,
        Self::Changelog,
        Self::Meta,
        Self::Requests,
        Self::RequestOrder,
    ];

    /// The name on disk.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TuplesByResource => "tuples_by_resource",
            Self::TuplesBySubject => "tuples_by_subject",
            Self::Schemas => "schemas",
            Self::Counters => "counters",
            Self::Changelog => "changelog",
            Self::Meta => "meta",
            Self::Requests => "requests",
            Self::RequestOrder => "request_order",
        }
    }

    /// The one whose keys are in `order`.
    pub(super) fn of_tuples(order: ScanOrder) -> Self {
        match order {
            ScanOrder::ByResource => Self::TuplesByResource,
            ScanOrder::BySubject => Self::TuplesBySubject,
        }
    }

    fn options(self, store: &StoreOptions, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        // Indexes and filters stay in memory, beside the cache: two to four bytes a tuple. In the cache, those of a file of some
        // million tuples are larger than one of its shards may keep: each read would bring them from the file again, and
        // unpack megabytes to find one key. In parts that fit, they would cost each read a quarter more.
        table.set_cache_index_and_filter_blocks(false);
        let mut options = Options::default();
        options.set_write_buffer_size(store.write_buffer_bytes);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_max_bytes_for_level_base(LEVEL_BASE_BYTES);
        match self {
            Self::TuplesByResource | Self::TuplesBySubject => {
                // A key ends in a version that no reader knows, so a filter over whole keys would never be asked.
                table.set_bloom_filter(10.0, false);
                table.set_whole_key_filtering(false);
                options.set_prefix_extractor(SliceTransform::create(
                    keys::GROUP_RULE,
                    keys::group,
                    Some(keys::has_group),
                ));
                options.set_memtable_prefix_bloom_ratio(0.05);
                options.add_compact_on_deletion_collector_factory(AMONG_ENTRIES, DELETIONS, DELETED_PART);
            }
            // Nearly every key that is looked up is new.
            Self::Requests => table.set_bloom_filter(10.0, false),
            Self::Schemas | Self::Counters | Self::Changelog | Self::Meta | Self::RequestOrder => {}
        }
        options.set_block_based_table_factory(&table);
        options
    }
}

/// A descriptor for every column family.
pub(super) fn families(store: &StoreOptions, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), family.options(store, cache))).into()
}

/// Options of the whole database.
pub(super) fn database(store: &StoreOptions) -> Result<Options, StoreError> {
    // The binding has no setter for this one.
    let mut options = Options::default()
        .get_options_from_string("track_and_verify_wals=true")
        .map_err(|e| StoreError::Engine(format!("the engine does not know an option: {e}")))?;
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_manual_wal_flush(store.manual_wal_flush);
    options.set_max_background_jobs(i32::from(store.background_jobs));
    options.set_db_write_buffer_size(store.write_buffer_bytes);
    options.set_max_total_wal_size(4 * store.write_buffer_bytes as u64);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    Ok(options)
}
