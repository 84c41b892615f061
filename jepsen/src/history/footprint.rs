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

#[cfg(test)]
impl Footprint {
    /// A node that comes to rest, each minute.
    pub(crate) fn of_a_quarter_of_an_hour() -> Vec<Self> {
        let minute = |minute: u64| Self {
            time: minute * 60_000_000_000,
            node: 1,
            process: 9,
            resident_kib: 90_000 + minute,
            files: 60,
        };
        (0..16).map(minute).collect()
    }
}
