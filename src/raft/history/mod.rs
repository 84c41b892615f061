//! Retention of history: what the leader lets go of, for all nodes alike, and the removal of it on each node.
//!
//! The leader decides by its own monotonic clock and proposes a watermark; apply makes it the oldest readable revision, so a
//! node's answer to an old zookie follows from what it has applied and from nothing else. Removal is each node's own affair.

mod advance;
mod collect;
mod retention;

pub(super) use advance::Advance;
pub(super) use collect::collect;
pub use retention::HistoryOptions;
