//! The clocks of a node. Apply reads neither.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::TimestampMs;

/// What leaders stamp into commands.
pub trait WallClock: Send + Sync + 'static {
    /// What the clock says now. It may go back; whoever needs a time that does not takes the maximum with what it saw before.
    fn now(&self) -> TimestampMs;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> TimestampMs {
        wall_clock()
    }
}

/// What the machine's clock says now.
#[must_use]
pub fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock of the runtime that this runs on: the one that its timers go by, so that a deadline and the timer that
/// waits for it never disagree.
#[must_use]
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// No machine sleeps for less; what looks like less is the time between reading two clocks.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);

/// A moment whose age counts the time that the machine slept: the monotonic clock stands still then, and a state does not stay
/// young by it.
///
/// Of a virtual machine that its host froze, no clock inside may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    at: Instant,
    slept: Duration,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let slept = slept();
        Self { at: monotonic(), slept }
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(self) -> Duration {
        self.age_after(slept())
    }

    /// How long ago it was, when the machine has slept for so long in all.
    fn age_after(self, slept: Duration) -> Duration {
        let asleep = slept.saturating_sub(self.slept);
        let awake = monotonic().saturating_duration_since(self.at);
        if asleep < SHORTEST_SLEEP { awake } else { awake + asleep }
    }

    #[cfg(test)]
    pub(crate) fn ago(awake: Duration) -> Self {
        let Self { at, slept } = Self::now();
        Self { at: at.checked_sub(awake).expect("the machine has run for so long"), slept }
    }
}

/// How long the machine has slept since it was started.
#[cfg(target_os = "linux")]
fn slept() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    let since_start = read(ClockId::CLOCK_BOOTTIME);
    since_start.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
fn slept() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_counts() {
        let second = Duration::from_secs(1);
        let now = Moment::now();
        assert!(now.age() < second);
        assert!((5 * second..6 * second).contains(&Moment::ago(5 * second).age()));
        // As if the machine had slept before now, and had not before then.
        let slept_since = |slept| Moment { slept: Duration::ZERO, ..now }.age_after(slept);
        assert!((7 * second..8 * second).contains(&slept_since(7 * second)));
        assert!(slept_since(SHORTEST_SLEEP / 2) < second);
    }
}
