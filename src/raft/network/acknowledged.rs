//! What other nodes acknowledged to this leader, so that one that no longer has it is told apart.
//!
//! A voter that lost what it acknowledged — its folder was put back to how it once was — broke the promise that commits rest on
//! (Raft paper, section 5.4). openraft takes that for a fault of the leader and ends it. One node's loss must not take the
//! leader away: the node is sent nothing more while this leader leads, and the log says why.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::raft::types::{LogId, Vote};

/// By node, the highest log id that it acknowledged to the leader of one vote.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    by_node: Mutex<HashMap<u64, Mark>>,
}

#[derive(Debug)]
struct Mark {
    /// Acknowledgements to an earlier leader do not bind: between two leaders, a log may be cut back rightly.
    vote: Vote,
    log_id: LogId,
    told: bool,
}

/// A node no longer has what it acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {node_id} acknowledged the log up to {acknowledged} and no longer has index {missing}: its folder was put back to an \
     earlier state. Nothing is sent to it; remove it from the cluster and let a new node take its place"
)]
pub(super) struct LogLost {
    node_id: u64,
    acknowledged: u64,
    missing: u64,
}

impl Acknowledged {
    /// `node_id` has the log up to `log_id`, durably, and said so to the leader of `vote`.
    pub(super) fn note(&self, node_id: u64, vote: Vote, log_id: Option<LogId>) {
        let Some(log_id) = log_id else { return };
        let mut by_node = self.by_node.lock();
        match by_node.get_mut(&node_id) {
            Some(mark) if mark.vote == vote => mark.log_id = mark.log_id.max(log_id),
            _ => drop(by_node.insert(node_id, Mark { vote, log_id, told: false })),
        }
    }

    /// `node_id` says that it does not have `log_id`. An error if it had acknowledged that; the log tells it once.
    pub(super) fn conflict(&self, node_id: u64, vote: Vote, log_id: Option<LogId>) -> Result<(), LogLost> {
        let Some(missing) = log_id else { return Ok(()) };
        let mut by_node = self.by_node.lock();
        let Some(mark) = by_node.get_mut(&node_id) else { return Ok(()) };
        if mark.vote != vote || missing.index > mark.log_id.index {
            return Ok(());
        }
        let lost = LogLost { node_id, acknowledged: mark.log_id.index, missing: missing.index };
        if !std::mem::replace(&mut mark.told, true) {
            tracing::error!(target_node = node_id, "{lost}");
        }
        Err(lost)
    }
}

#[cfg(test)]
mod tests {
    use openraft::vote::RaftLeaderId as _;

    use super::*;

    const NODE: u64 = 7;

    fn vote(term: u64) -> Vote {
        Vote::new(term, 1)
    }

    fn log_id(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(openraft::impls::leader_id_std::LeaderId::new(term, 1).to_committed(), index))
    }

    #[test]
    fn what_was_never_acknowledged_may_be_missing() {
        let acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.conflict(NODE, vote(1), log_id(1, 5)), Ok(()));
        acknowledged.note(NODE, vote(1), log_id(1, 4));
        assert_eq!(acknowledged.conflict(NODE, vote(1), log_id(1, 5)), Ok(()));
        assert_eq!(acknowledged.conflict(NODE + 1, vote(1), log_id(1, 4)), Ok(()), "another node");
        assert_eq!(acknowledged.conflict(NODE, vote(1), None), Ok(()), "nothing is asked of it");
    }

    #[test]
    fn what_was_acknowledged_may_not() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(NODE, vote(1), log_id(1, 9));
        acknowledged.note(NODE, vote(1), log_id(1, 3));
        acknowledged.note(NODE, vote(1), None);
        let lost = acknowledged.conflict(NODE, vote(1), log_id(1, 9)).unwrap_err();
        assert_eq!((lost.acknowledged, lost.missing), (9, 9), "an answer that comes late takes nothing back");
        assert!(acknowledged.conflict(NODE, vote(1), log_id(1, 1)).is_err());
    }

    #[test]
    fn what_another_leader_was_told_does_not_bind() {
        let acknowledged = Acknowledged::default();
        acknowledged.note(NODE, vote(1), log_id(1, 9));
        assert_eq!(acknowledged.conflict(NODE, vote(2), log_id(1, 9)), Ok(()));
        acknowledged.note(NODE, vote(2), log_id(2, 5));
        assert_eq!(acknowledged.conflict(NODE, vote(2), log_id(1, 9)), Ok(()));
        assert!(acknowledged.conflict(NODE, vote(2), log_id(2, 5)).is_err());
    }
}
