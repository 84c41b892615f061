//! The replicated log on its own RocksDB, with group commit.
//!
//! Reads downward: `storage` (openraft's trait) → `reader` → `flusher` (one fsync for many writers) → `keys`.

mod flusher;
mod keys;
mod open;
mod reader;
mod storage;

pub use flusher::LogCounters;
pub use open::{LogError, LogStore};
