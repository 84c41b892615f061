//! The time by which expiration is judged. A stream reads it anew for each part that it sends.

use std::sync::Arc;

use crate::consistency::ViewSource;
use crate::model::TimestampMs;
use crate::raft::wall_clock;

/// Tells the time of this node and its cluster.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn ViewSource>);

impl Clock {
    /// A clock that is slow lets no relationship outlive its time: what the log has seen counts too.
    pub(super) fn now(&self) -> TimestampMs {
        wall_clock().max(self.0.cluster_time())
    }
}
