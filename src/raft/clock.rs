//! The clocks of a node. Apply reads neither.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
