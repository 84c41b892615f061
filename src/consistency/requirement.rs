//! What a read demands: the table of the consistency contract as a type.

use std::time::Duration;

use crate::model::Revision;

/// How fresh a view must be. The revisions were taken from zookies that have been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// Linearizable: every write acknowledged before the request began is seen.
    FullyConsistent,
    /// At this revision or later.
    AtLeastAsFresh(Revision),
    /// At exactly this revision.
    AtExactSnapshot(Revision),
    /// No older than this when the view is taken, by this node's own clock.
    MaxStaleness {
        /// How old.
        bound: Duration,
        /// Whether a state that is older is an error, where this node could ask the leader instead.
        local_only: bool,
    },
    /// At most so many log entries behind what was committed when the request began.
    MaxLag(u64),
    /// Whatever this node has applied, if that is not older than the node's ceiling.
    MinimizeLatency,
}
