//! What lies below the RPCs, with the floor beside each: checks and lookups over the durable store beside gets and seeks of
//! RocksDB on as many keys, batches of the store beside batches of RocksDB, keys there and back, proposals of one replica beside
//! an fsync, and an RPC that asks nothing.
//!
//! `cargo bench --bench engine`, or with a part of a name behind `--`. Data lies below the build folder: in a temporary folder
//! that lives in memory an fsync costs nothing.

mod data;
mod evaluation;
mod floor;
mod keys;
mod log;
mod rpc;
mod storage;

use std::path::Path;

use criterion::{criterion_group, criterion_main};
use tempfile::TempDir;

criterion_group!(benches, evaluation::benches, keys::benches, storage::benches, log::benches, rpc::benches);
criterion_main!(benches);

/// A folder on the disk that the build is on.
fn folder() -> TempDir {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(base).expect("the build folder is writable");
    TempDir::with_prefix_in("bench-", base).expect("the build folder is writable")
}
