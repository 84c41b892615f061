//! What only the durable store must do: reopen, survive a power cut, make and install checkpoints.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{RocksStore, StoreOptions};
use crate::store::suite::conforms;

fn options() -> StoreOptions {
    StoreOptions {
        block_cache_bytes: 4 << 20,
        write_buffer_bytes: 1 << 20,
        background_jobs: 2,
        manual_wal_flush: false,
    }
}

fn open(dir: &Path) -> RocksStore {
    RocksStore::open(dir, options()).unwrap()
}

fn fresh() -> (RocksStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(dir.path()), dir)
}

#[test]
fn the_durable_store_conforms() {
    conforms(fresh);
}
