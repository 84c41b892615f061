//! What the leader knows of the members at one moment, in plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use openraft::metrics::RaftMetrics;
use openraft::{Instant as _, ServerState};

use crate::raft::clock::monotonic;
use crate::raft::types::TypeConfig;

/// The members, as one node sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster {
    /// The node whose view it is.
    pub me: u64,
    /// Whether it leads. What is said of the others is known to the leader alone.
    pub leads: bool,
    pub term: u64,
    /// The end of its log.
    pub last_log: u64,
    /// Of both sets, while one is being replaced by the other.
    pub voters: BTreeSet<u64>,
    /// Whether one set of voters is being replaced by another.
    pub joint: bool,
    /// All members, the learners too.
    pub standings: BTreeMap<u64, Standing>,
}

/// One member, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// How much of the log it is known to have.
    pub matched: u64,
    /// Whether it has answered lately.
    pub answers: bool,
    /// When the last message was sent that it has answered; not known of the node whose view it is.
    pub heard: Option<Instant>,
}

impl Roster {
    /// Who has not answered within `patience` does not answer.
    pub(super) fn new(metrics: &RaftMetrics<TypeConfig>, patience: Duration) -> Self {
        let membership = metrics.membership_config.membership();
        let (me, last_log) = (metrics.id, metrics.last_log_index.unwrap_or(0));
        let now = monotonic();
        let standing = |id: u64| {
            if id == me {
                return Standing { matched: last_log, answers: true, heard: None };
            }
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&id).copied().flatten());
            let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&id).copied().flatten());
            let age = heard.map(|heard| heard.elapsed());
            Standing {
                matched: matched.map_or(0, |id| id.index),
                answers: age.is_some_and(|age| age <= patience),
                heard: age.and_then(|age| now.checked_sub(age)),
            }
        };
        Self {
            me,
            leads: metrics.state == ServerState::Leader,
            term: metrics.current_term,
            last_log,
            voters: membership.voter_ids().collect(),
            joint: membership.get_joint_config().len() > 1,
            standings: membership.nodes().map(|(id, _)| (*id, standing(*id))).collect(),
        }
    }

    /// How many log entries `node_id` lacks.
    pub(super) fn behind(&self, node_id: u64) -> u64 {
        let matched = self.standings.get(&node_id).map_or(0, |standing| standing.matched);
        self.last_log.saturating_sub(matched)
    }
}
