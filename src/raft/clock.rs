//! This node's wall clock, as leaders stamp it into commands. Apply never reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::TimestampMs;

/// What the clock says now. It may go back; whoever needs a time that does not takes the maximum with what it saw before.
#[must_use]
pub fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
