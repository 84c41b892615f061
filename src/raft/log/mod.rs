//! The replicated log on its own RocksDB, with group commit.
//!
//! Reads downward: `storage` (openraft's trait) → `reader` → `recent` (the end in memory) → `device` (the seam) → `rocks` → `flusher` (one fsync for many
//! writers) → `keys`.

mod device;
mod flusher;
mod keys;
mod open;
mod reader;
mod recent;
mod rocks;
mod storage;

pub use device::{Completion, EntryVisitor, LogChange, LogDevice, LogSpace};
pub use flusher::LogCounters;
pub use open::{LogError, LogStore};
