//! What a node did that nobody asked it to: it ended, or a part of it panicked.

use serde::{Deserialize, Serialize};

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Its process was gone, and nobody had ended it.
    Stopped,
    /// Its log tells of a panic.
    Panicked,
}

/// One such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it was seen, in nanoseconds since the beginning.
    pub time: u64,
    /// Which node, counted from 1.
    pub node: usize,
    /// How.
    pub how: Ended,
    /// What its log said.
    pub words: String,
}
