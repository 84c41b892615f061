//! The states that a read may have been answered from: from the least that its promise allows to the newest that can have been
//! there when it ended. An answer that names its index is held against the first of them; one that names none, being empty,
//! must be right somewhere between them.

use super::Record;
use super::certificate::older;
use super::floor::{above, floors};
use super::timeline::{Timeline, changes};
use crate::history::{Floor, Floors, Mode, Operation, Workload};

/// What the bounds of all operations of a record follow from.
pub(super) struct Bounds<'a> {
    timeline: Timeline,
    floors: Option<&'a Floors>,
    ceiling_ms: u64,
    /// When changes were first sent, in order, each with the lowest index of it and of all that were sent later.
    later: Vec<(u64, u64)>,
}

impl<'a> Bounds<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let changes = changes(record);
        let lowest = changes.values().filter_map(|change| Some((change.start(), change.indexes().pop_first()?)));
        let mut later: Vec<(u64, u64)> = lowest.collect();
        later.sort_unstable();
        let mut least = u64::MAX;
        for (_, index) in later.iter_mut().rev() {
            least = least.min(*index);
            *index = least;
        }
        let (timeline, ceiling_ms) = (Timeline::of(&record.operations), record.settings.ceiling_ms);
        Self { timeline, floors: floors(record), ceiling_ms, later }
    }

    /// The least index that the promise of a read allows, and the floor of its type. `None` for what is no read.
    pub(super) fn least(&self, operation: &Operation) -> Option<u64> {
        let before = |ms: u64| self.timeline.before(older(operation.start, ms)).0;
        let asked = match operation.request.mode()? {
            Mode::Exact(token) => return Some(token.index),
            Mode::Full => before(0),
            Mode::Fresh(token) => token.index.max(before(self.ceiling_ms)),
            Mode::Stale(ms) => before(ms.min(self.ceiling_ms)),
            Mode::Lag(entries) => before(0).saturating_sub(entries).max(before(self.ceiling_ms)),
            Mode::Minimal => before(self.ceiling_ms),
        };
        let demanded = match self.floors.and_then(|floors| above(floors, operation)) {
            Some(Floor::Full) => before(0),
            Some(Floor::Stale(ms)) => before(ms),
            None => 0,
        };
        Some(asked.max(demanded))
    }

    /// The first and the last index that an answer without one can be of. `None` for what is no read.
    pub(super) fn between(&self, operation: &Operation) -> Option<(u64, u64)> {
        // The audit comes after everything, and is of the final state.
        if operation.workload == Workload::Audit {
            return Some((u64::MAX, u64::MAX));
        }
        let least = self.least(operation)?;
        if let Some(Mode::Exact(_)) = operation.request.mode() {
            return Some((least, least));
        }
        // What was sent only after the end of the read cannot be in its state, and nothing behind it in the log can.
        let after = self.later.partition_point(|(sent, _)| *sent <= operation.end);
        let most = self.later.get(after).map_or(u64::MAX, |(_, index)| index.saturating_sub(1));
        Some((least, most.max(least)))
    }
}
