//! Who leads, as far as this node knows.

use std::sync::Arc;
use std::time::Instant;

use openraft::ServerState;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;

use super::NodeAddress;
use super::network::Peers;
use super::types::TypeConfig;
use crate::telemetry::METRICS;

/// Follows the leader. The answer may be out of date by the time it is used; whoever is asked says so.
///
/// Who waits for a change here must look here too, at what was changed: openraft tells its full metrics of the same change a
/// moment later, and who looks there in that moment sees nothing new, and waits on.
#[derive(Clone)]
pub(super) struct LeaderWatch {
    metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
}

impl LeaderWatch {
    pub(super) fn new(metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>) -> Self {
        Self { metrics }
    }

    /// Waits for the next change of the leader, the term or the members; `false` when there will be none.
    pub(super) async fn changed(&mut self) -> bool {
        self.metrics.changed().await.is_ok()
    }

    /// Whether this node leads.
    pub(super) fn leads(&self) -> bool {
        self.metrics.borrow_watched().state == ServerState::Leader
    }

    /// The ids of all members, the learners too, in ascending order.
    pub(super) fn members(&self) -> Vec<u64> {
        self.metrics.borrow_watched().membership_config.membership().nodes().map(|(id, _)| *id).collect()
    }

    /// Where this member is; `None` for who is none.
    pub(super) fn address_of(&self, node_id: u64) -> Option<NodeAddress> {
        self.metrics.borrow_watched().membership_config.membership().get_node(&node_id).cloned()
    }

    /// Whether this node leads, and one set of voters is being replaced by another.
    pub(super) fn leads_half_changed(&self) -> bool {
        let metrics = self.metrics.borrow_watched();
        let joint = metrics.membership_config.membership().get_joint_config().len() > 1;
        metrics.state == ServerState::Leader && joint
    }

    /// Keeps `peers` informed of where the members are, for as long as the replica lives.
    pub(super) async fn tell_addresses(mut self, peers: Arc<Peers>) {
        loop {
            let addresses = {
                let metrics = self.metrics.borrow_watched();
                let members = metrics.membership_config.membership().nodes();
                members.map(|(id, address)| (*id, address.peer.clone())).collect()
            };
            peers.learn(addresses);
            if !self.changed().await {
                return;
            }
        }
    }

    /// The leader's id and address.
    pub(super) fn current(&self) -> Option<(u64, NodeAddress)> {
        let metrics = self.metrics.borrow_watched();
        let leader = metrics.current_leader?;
        let address = metrics.membership_config.membership().get_node(&leader)?.clone();
        Some((leader, address))
    }

    /// Returns when this node knows of another leader than the one with this id and address; never where it does not come to.
    pub(super) async fn another_than(&self, leader: u64, peer: &str) {
        let mut watch = self.clone();
        while watch.current().is_none_or(|(id, address)| id == leader && address.peer == peer) {
            if !watch.changed().await {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Logs who leads, each time that changes, for as long as the replica lives.
    pub(super) async fn log_changes(mut self, node_id: u64) {
        let mut logged = None;
        loop {
            let (leader, term) = {
                let metrics = self.metrics.borrow_watched();
                (metrics.current_leader, metrics.vote.leader_id.term)
            };
            if logged != Some(leader) {
                METRICS.leader_changes.inc();
                match leader {
                    Some(leader) if leader == node_id => tracing::info!(node_id, term, "this node leads"),
                    Some(leader) => tracing::info!(node_id, leader, term, "this node follows"),
                    None => tracing::warn!(node_id, term, "no leader is known"),
                }
                logged = Some(leader);
            }
            if self.metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// The leader, as soon as there is one; `None` when there is none before `deadline`.
    pub(super) async fn wait(&self, deadline: Instant) -> Option<(u64, NodeAddress)> {
        let mut metrics = self.metrics.clone();
        loop {
            if let Some(leader) = self.current() {
                return Some(leader);
            }
            let changed = tokio::time::timeout_at(deadline.into(), metrics.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return self.current();
            }
        }
    }
}
