//! The time by which expiration is judged. A stream reads it anew for each part that it sends.

use std::sync::Arc;

use crate::consistency::ViewSource;
use crate::model::TimestampMs;

/// Tells the time of this node and its cluster.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn ViewSource>);

impl Clock {
    pub(super) fn now(&self) -> TimestampMs {
        self.0.now()
    }
}
