//! How old a node's own state may be at most, by its own monotonic clock and nothing else.
//!
//! A node notes the time, asks for a read index, and waits until it has applied that index. From then on its state is known
//! to hold everything that was acknowledged before the noted time. No wall clock is compared with another one, and no lease
//! is trusted: the leader confirmed itself with a quorum after the time was noted.

use std::time::Duration;

use parking_lot::Mutex;

use crate::raft::Moment;

/// What is known of the age of this node's state.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// Everything acknowledged before this moment has been applied here. Never goes back.
    as_of: Mutex<Option<Moment>>,
}

impl Freshness {
    /// Everything acknowledged before `asked` has been applied.
    pub(super) fn confirm(&self, asked: Moment) {
        let mut as_of = self.as_of.lock();
        *as_of = Some(as_of.map_or(asked, |known| known.max(asked)));
    }

    /// How old the state may be at most; `None` where it was never confirmed.
    pub(super) fn age(&self) -> Option<Duration> {
        let as_of = *self.as_of.lock();
        as_of.map(Moment::age)
    }

    /// Whether the state is known to be no older than `bound`.
    pub(super) fn is_within(&self, bound: Duration) -> bool {
        self.age().is_some_and(|age| age <= bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_as_old_as_its_youngest_confirmation() {
        let freshness = Freshness::default();
        assert!(!freshness.is_within(Duration::MAX), "nothing was confirmed");
        let before = |seconds| Moment::ago(Duration::from_secs(seconds));
        freshness.confirm(before(20));
        assert!(!freshness.is_within(Duration::from_secs(19)) && freshness.is_within(Duration::from_secs(600)));
        freshness.confirm(before(10));
        freshness.confirm(before(15));
        assert!(freshness.is_within(Duration::from_secs(14)), "a confirmation that comes late takes nothing back");
    }
}
