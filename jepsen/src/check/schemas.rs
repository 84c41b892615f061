//! Which version of the schema is in force, entry by entry.
//!
//! A schema in the log carries no name: it is the one acknowledged there, else one of those whose outcome is unknown. Each of
//! these explains one entry, and none that was known before it was sent.

use std::collections::BTreeSet;

use super::timeline::Change;
use crate::history::Operation;
use crate::oracle::VERSIONS;

/// The versions one of which is in force: several only where changes of it have unknown outcomes, none before the first.
pub(super) struct Schemas<'a> {
    pub(super) versions: BTreeSet<usize>,
    /// Changes of unknown outcome: when each was sent, and its version.
    unknown: Vec<(u64, &'a str, usize)>,
    /// Those of them that are known to be in the log.
    used: BTreeSet<&'a str>,
    /// Entries that they explain.
    explained: usize,
    /// Answers by index, each with the earliest end of it and of all that name a higher index.
    known: Vec<(u64, u64)>,
}

/// An entry that nobody asked for.
pub(super) struct Unasked;

impl<'a> Schemas<'a> {
    pub(super) fn of(changes: impl Iterator<Item = &'a Change<'a>>, operations: &[Operation]) -> Self {
        let unknown = changes
            .filter(|change| change.acknowledged.is_empty() && !change.failed())
            .filter_map(|change| Some((change.start(), change.op, version_of(change)?)));
        let mut known: Vec<(u64, u64)> = operations.iter().filter_map(|o| Some((o.answered_at()?, o.end))).collect();
        known.sort_unstable();
        let mut earliest = u64::MAX;
        for (_, end) in known.iter_mut().rev() {
            earliest = earliest.min(*end);
            *end = earliest;
        }
        Self { versions: BTreeSet::new(), unknown: unknown.collect(), used: BTreeSet::new(), explained: 0, known }
    }

    /// The log has a schema here, which `acknowledged` says that it made.
    pub(super) fn enter(&mut self, index: u64, acknowledged: Option<usize>) -> Result<(), Unasked> {
        if let Some(version) = acknowledged {
            self.versions = BTreeSet::from([version]);
            return Ok(());
        }
        let at = self.known.partition_point(|(named, _)| *named < index);
        let known = self.known.get(at).map_or(u64::MAX, |(_, end)| *end);
        let begun: Vec<_> = self.unknown.iter().filter(|(sent, ..)| *sent < known).copied().collect();
        if begun.len() <= self.explained {
            return Err(Unasked);
        }
        self.explained += 1;
        let left: Vec<_> = begun.into_iter().filter(|(_, op, _)| !self.used.contains(op)).collect();
        if let [(_, op, _)] = left.as_slice() {
            self.used.insert(op);
        }
        self.versions = left.into_iter().map(|(_, _, version)| version).collect();
        Ok(())
    }

    /// A schema was acknowledged, and the log has none there: right if it was in force already. Whether it was.
    pub(super) fn repeat(&mut self, version: usize) -> bool {
        let held = self.versions.contains(&version);
        self.versions = BTreeSet::from([version]);
        held
    }
}

/// The version that a change puts into force, if it is one of the schema.
pub(super) fn version_of(change: &Change) -> Option<usize> {
    change.attempts.iter().find_map(|attempt| attempt.request.schema_version()).map(|version| version % VERSIONS)
}
