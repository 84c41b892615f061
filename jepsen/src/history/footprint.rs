//! What a node's process takes up, as the system tells it.

use serde::{Deserialize, Serialize};

/// One look at one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// When, in nanoseconds since the beginning.
    pub time: u64,
    /// Which node, counted from 1.
    pub node: usize,
    /// Which process: another one after each start.
    pub process: u32,
    /// Memory that is resident, in KiB.
    pub resident_kib: u64,
    /// Files that are open, sockets among them.
    pub files: u64,
}
