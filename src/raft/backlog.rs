//! Whether commits keep up with proposals.
//!
//! What is proposed faster than it commits waits in Raft, in order: where that goes on, each write is later than the one before
//! it, until all that may be in flight is. Proposals that commit, and do so late, say that it does; those that do not commit at
//! all say nothing, because there may be no leader for the moment, and what waits for one is served when there is.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What takes longer from its proposal to its answer is late.
const LATE: Duration = Duration::from_millis(500);
/// For so long everything must have been late: after an election, what waited for it is late, and soon through.
const STANDING: Duration = Duration::from_secs(1);
/// With fewer proposals in flight than this there is always room for another one: by that one is known whether it has become
/// better.
const FEW: usize = 64;

/// Knows how late proposals are.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The end of the first one of those that were all late, up to the last one.
    late_since: Mutex<Option<Instant>>,
}

impl Backlog {
    /// A proposal of this moment is through.
    pub(super) fn through(&self, proposed: Instant, now: Instant) {
        let mut late_since = self.late_since.lock();
        if now.saturating_duration_since(proposed) <= LATE {
            *late_since = None;
        } else {
            late_since.get_or_insert(now);
        }
    }

    /// Whether there is too much to do, with so many proposals in flight.
    pub(super) fn stands(&self, in_flight: usize, now: Instant) -> bool {
        in_flight > FEW && self.late_since.lock().is_some_and(|since| now.saturating_duration_since(since) > STANDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_while_all_have_been_late_for_long() {
        let backlog = Backlog::default();
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        assert!(!backlog.stands(10_000, at(0)));
        // A burst after an election.
        backlog.through(at(0), at(2_000));
        backlog.through(at(100), at(2_100));
        assert!(!backlog.stands(10_000, at(2_200)));
        backlog.through(at(2_150), at(2_250));
        assert!(!backlog.stands(10_000, at(9_000)), "one of them was not late");
        // It goes on.
        backlog.through(at(9_000), at(9_600));
        backlog.through(at(9_900), at(10_500));
        assert!(!backlog.stands(10_000, at(10_600)));
        assert!(backlog.stands(10_000, at(10_601)) && !backlog.stands(FEW, at(10_601)));
        backlog.through(at(10_650), at(10_700));
        assert!(!backlog.stands(10_000, at(10_700)));
    }
}
