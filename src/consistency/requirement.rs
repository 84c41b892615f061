//! What a read demands: the table of the consistency contract as a type.

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
    /// Whatever this node has applied.
    MinimizeLatency,
}
