//! What the cluster says of itself beside its answers: its log, its hash chain.

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// Entries by index, of which equal ones are kept once: in an hour every node tells of hundreds of thousands.
#[derive(Debug, Default)]
pub struct SharedEntries(BTreeMap<u64, Arc<LogEntry>>);

impl SharedEntries {
    /// The same entry, shared with whoever was told the same.
    pub fn share(&mut self, entry: LogEntry) -> Arc<LogEntry> {
        let known = self.0.entry(entry.index).or_insert_with(|| Arc::new(entry.clone()));
        if **known == entry { Arc::clone(known) } else { Arc::new(entry) }
    }

    /// A session whose entries are shared.
    #[must_use]
    pub fn session(&mut self, mut session: WatchSession) -> WatchSession {
        for entry in &mut session.entries {
            *entry = self.share(LogEntry::clone(entry));
        }
        session
    }
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
    pub entries: Vec<Arc<LogEntry>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_entries_are_kept_once_and_different_ones_stay_different() {
        let entry = |op: &str| LogEntry { index: 3, op: Some(op.to_owned()), updates: vec![], schema: false };
        let mut shared = SharedEntries::default();
        let (one, other, odd) = (shared.share(entry("a")), shared.share(entry("a")), shared.share(entry("b")));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!((one.op.as_deref(), odd.op.as_deref()), (Some("a"), Some("b")));
    }
}
