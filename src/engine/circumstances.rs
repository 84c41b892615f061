//! What a check is told besides its question: the time, and the values that caveats may ask for.

use crate::caveat::Context;
use crate::model::TimestampMs;

/// Under which circumstances relationships are judged. The engine reads no clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// A relationship that expires at this time or before does not count.
    pub now: TimestampMs,
    /// Parameters of caveats. What is stored with a relationship takes precedence.
    pub context: Context,
}
