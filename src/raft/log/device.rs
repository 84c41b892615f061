//! What the log stands on: bytes in order of their keys, written in memory first and durable after a sync.
//!
//! The seam below the log's own rules. RocksDB is behind it in every node; a simulation puts a device there that loses, in a
//! crash, what was not synced.

use std::io;
use std::ops::ControlFlow;

/// Called with the outcome of the sync that covers a write. Only sends on a channel: it may run on any thread.
pub type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Takes the key and the value of an entry.
pub type EntryVisitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// The keyspaces of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogSpace {
    /// The entries, by index.
    Entries,
    /// The single records.
    Records,
}

/// One change to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChange {
    /// Writes a value.
    Put {
        /// Where.
        space: LogSpace,
        /// Under which key.
        key: Vec<u8>,
        /// What.
        value: Vec<u8>,
    },
    /// Removes the entries with keys in `from..end`.
    RemoveEntries {
        /// The first key.
        from: Vec<u8>,
        /// The key after the last one.
        end: Vec<u8>,
    },
}

/// Bytes in order of their keys.
///
/// Invariant: what a crash leaves is a prefix of the writes in the order in which they were made, each whole or not at all,
/// and no shorter than what the last completed sync covered.
pub trait LogDevice: Send + Sync + 'static {
    /// Makes all changes at once. They can be read on return, and a crash may take them back until a sync is done.
    fn write(&self, changes: Vec<LogChange>) -> io::Result<()>;

    /// Calls `done` after a sync that covers everything written so far. In the order of the calls.
    fn sync(&self, done: Completion);

    /// The value of a key.
    fn get(&self, space: LogSpace, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// Told that no entry below `end` is needed any more and all of them were removed: gives back the room that they took, when
    /// there is time. Nothing that can be read changes.
    fn trim(&self, end: &[u8]) {
        let _ = end;
    }

    /// Visits the entries with keys in `from..end` in order, until `visit` breaks.
    fn scan(&self, from: &[u8], end: &[u8], visit: EntryVisitor<'_>) -> io::Result<()>;

    /// The value of the last entry with a key in `from..end`.
    fn last(&self, from: &[u8], end: &[u8]) -> io::Result<Option<Vec<u8>>>;
}
