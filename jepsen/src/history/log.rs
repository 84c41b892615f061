//! What the cluster says of itself beside its answers: its log, its hash chain.

use serde::{Deserialize, Serialize};

use super::{Failure, Update};

/// One committed change, as a watch told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Where in the log it stands.
    pub index: u64,
    /// The name of the operation that made it, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// What it changed. What it asked for and was so already is not among it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<Update>,
    /// Whether it replaced the schema.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schema: bool,
}

/// Failures of one watcher that are kept.
const FAILURES: usize = 1_000;

/// One watcher's life: what it was told, over all the streams that it resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSession {
    /// Its name.
    pub watcher: String,
    /// It began after this index.
    pub after: u64,
    /// It was told everything up to this index, as far as it knows.
    pub through: u64,
    /// How often it went on at another node, or at the same one again.
    pub resumed: u64,
    /// What it was told, in order of arrival.
    pub entries: Vec<LogEntry>,
    /// Whether this is no watcher at work, and a node was only asked for its whole log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Why streams ended or did not begin, and what in them made no sense, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

impl WatchSession {
    /// A session that was told nothing yet.
    #[must_use]
    pub fn begin(watcher: String, after: u64, whole: bool) -> Self {
        Self { watcher, after, through: after, resumed: 0, entries: Vec::new(), whole, failures: Vec::new() }
    }

    /// Keeps a failure, unless one with its reason and message is there.
    pub fn fail(&mut self, failure: Failure) {
        if self.failures.len() < FAILURES && !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }
}

/// One node's hash chain at one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSample {
    /// When, in nanoseconds since the beginning.
    pub time: u64,
    /// Which node, counted from 1.
    pub node: usize,
    /// What it has applied.
    pub applied: u64,
    /// The chain over all of it.
    pub hash: String,
    /// Its term.
    pub term: u64,
    /// Whether it says that it leads.
    pub leads: bool,
    /// What its last snapshot covers.
    pub snapshot: u64,
    /// What it has removed from its log.
    pub purged: u64,
}
