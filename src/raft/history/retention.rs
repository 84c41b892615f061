//! What may be let go of: pure, told the time.
//!
//! A node notes now and then how far it has applied. What it had applied longer ago than history is kept was followed by newer
//! states ever since: no zookie below it was handed out within that time. No wall clock is asked, and no other node's clock.
//! Notes are not kept over a restart, which only delays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::Revision;

/// Notes in the time that history is kept for. What is let go of is late by up to one part in so many.
const NOTES: u32 = 10;
/// Bounds of the time between two notes.
const NOTE_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));

/// How much history is kept. What either of the two demands stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// A state stays readable for so long after it was the newest.
    pub retain: Duration,
    /// So many of the newest states stay readable.
    pub retain_entries: u64,
}

impl HistoryOptions {
    /// So many states at least go at a time. A watermark is an entry of the log as well, and counts among the newest: if each
    /// let go of one state, an idle cluster would go on until nothing but watermarks were left.
    pub(super) fn at_a_time(&self) -> u64 {
        (self.retain_entries / u64::from(NOTES)).max(1)
    }

    /// The time between two notes.
    pub(in crate::raft) fn note_every(&self) -> Duration {
        (self.retain / NOTES).clamp(NOTE_EVERY.0, NOTE_EVERY.1)
    }
}

/// How far a node had applied at which time.
#[derive(Debug)]
pub(super) struct Retention {
    options: HistoryOptions,
    /// Oldest first, both parts growing. At most the first is older than history is kept, so their number is bounded by the
    /// time between two.
    notes: VecDeque<(Instant, Revision)>,
}

impl Retention {
    pub(super) fn new(options: HistoryOptions) -> Self {
        Self { options, notes: VecDeque::new() }
    }

    /// Notes that `applied` is the newest state at `now`, and gives the oldest state that must stay readable.
    pub(super) fn note(&mut self, now: Instant, applied: Revision) -> Revision {
        // Where nothing was applied in between, the older note says more.
        if self.notes.back().is_none_or(|(_, last)| *last < applied) {
            self.notes.push_back((now, applied));
        }
        let retain = self.options.retain;
        let old_enough = |note: &(Instant, Revision)| now.saturating_duration_since(note.0) >= retain;
        while self.notes.get(1).is_some_and(old_enough) {
            self.notes.pop_front();
        }
        let by_time = self.notes.front().filter(|note| old_enough(note)).map_or(Revision::ZERO, |(_, at)| *at);
        let by_number = Revision::new(applied.index().saturating_sub(self.options.retain_entries));
        by_time.min(by_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes every second; the oldest readable revision after each.
    fn oldest(retain_s: u64, retain_entries: u64, applied: &[u64]) -> Vec<u64> {
        let options = HistoryOptions { retain: Duration::from_secs(retain_s), retain_entries };
        let (mut retention, begin) = (Retention::new(options), Instant::now());
        let noted = applied.iter().zip(0..);
        noted.map(|(at, s)| retention.note(begin + Duration::from_secs(s), Revision::new(*at)).index()).collect()
    }

    #[test]
    fn what_either_bound_demands_stays() {
        for (retain_s, entries, applied, expected) in [
            // By time alone: what was newest three seconds ago is the oldest that stays.
            (3, 0, &[10, 20, 30, 40, 50, 60][..], &[0, 0, 0, 10, 20, 30][..]),
            // The number holds it back, then the time does.
            (3, 25, &[10, 20, 30, 40, 50, 60], &[0, 0, 0, 10, 20, 30]),
            (3, 45, &[10, 20, 30, 40, 50, 60], &[0, 0, 0, 0, 5, 15]),
            // A state that was the newest until a moment ago is as young as that, however long ago it was written.
            (3, 0, &[10, 10, 10, 10, 10, 99, 99, 99, 99], &[0, 0, 0, 10, 10, 10, 10, 10, 99]),
            (3, 1000, &[10, 10, 10, 10, 10, 99], &[0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(oldest(retain_s, entries, applied), expected, "{retain_s} s, {entries} entries, {applied:?}");
        }
    }

    #[test]
    fn notes_are_bounded() {
        let options = HistoryOptions { retain: Duration::from_secs(10), retain_entries: 0 };
        assert_eq!(options.note_every(), Duration::from_secs(1));
        let (mut retention, begin) = (Retention::new(options), Instant::now());
        for n in 1..1000 {
            retention.note(begin + options.note_every() * n, Revision::new(u64::from(n)));
            assert!(retention.notes.len() <= NOTES as usize + 1, "{}", retention.notes.len());
        }
        let day = HistoryOptions { retain: Duration::from_secs(86_400), ..options };
        assert_eq!(day.note_every(), NOTE_EVERY.1);
    }
}
