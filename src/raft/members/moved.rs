//! A member that comes back at another address: it tells the cluster by itself.
//!
//! Members know each other by the addresses in the membership. One that moved still reaches the others, and is reached by
//! nobody; so it asks the leader to write down where it is now. The leader first looks whether it is there: a wrong setting
//! must not take a member away that was reached well before.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use openraft::ChangeMembers;

use super::change::ChangeError;
use super::join::{Joining, request_promotion};
use crate::raft::NodeAddress;
use crate::raft::clock::monotonic;
use crate::raft::leader::LeaderWatch;
use crate::raft::network::{Kind, Rpc};
use crate::raft::replica::Replica;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the leader waits for an answer from the new address.
const LOOK: Duration = Duration::from_secs(3);

impl Replica {
    /// Keeps the cluster informed that this node is reached at `address`, for as long as the replica lives.
    pub(in crate::raft) async fn keep_address(replica: Weak<Self>, mut leader: LeaderWatch, address: NodeAddress) {
        let mut told = None;
        loop {
            let Some(now) = replica.upgrade() else { return };
            if now.is_known_elsewhere(&address) && !*now.removed().borrow() {
                match now.tell_address(&address).await {
                    Ok(()) => {
                        tracing::info!(client = %address.client, peer = %address.peer, "the cluster knows of the new address")
                    }
                    Err(why) if told.as_ref() == Some(&why) => {}
                    Err(why) => {
                        tracing::warn!(%why, peer = %address.peer, "the cluster does not know of this node's new address yet");
                        told = Some(why);
                    }
                }
                drop(now);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            drop(now);
            told = None;
            if !leader.changed().await {
                return;
            }
        }
    }

    /// Whether this node is a member, at another address.
    fn is_known_elsewhere(&self, address: &NodeAddress) -> bool {
        self.leader().address_of(self.node_id()).is_some_and(|known| known != *address)
    }

    async fn tell_address(&self, address: &NodeAddress) -> Result<(), String> {
        let roster = self.roster();
        if roster.leads {
            let levels = self.peers().announcement().levels;
            let me = Joining { node_id: roster.me, address: address.clone(), voter: false, levels };
            return self.promote_here(me).await.map_err(|error| error.to_string());
        }
        let metrics = self.metrics();
        let members = metrics.membership_config.membership().nodes();
        let others: Vec<String> =
            members.filter(|(id, _)| **id != roster.me).map(|(_, address)| address.peer.clone()).collect();
        if others.is_empty() {
            return Err("this node is alone, and does not lead yet".to_owned());
        }
        // Whoever votes keeps its vote.
        request_promotion(self, &others, address.clone(), false, monotonic() + ATTEMPT).await
    }

    /// On the leader: from now on `node_id` is at `address`, where it must answer.
    pub(super) async fn move_member(&self, node_id: u64, address: NodeAddress) -> Result<(), ChangeError> {
        if node_id != self.node_id() {
            // Whatever it answers, it is that node: an envelope says for whom it is.
            let looked = self.peers().call(Rpc::ReadIndex, &address.peer, node_id, Kind::ReadIndex, Vec::new(), LOOK);
            if let Err(error) = looked.await {
                return Err(ChangeError::NotThere { node_id, why: error.to_string() });
            }
        }
        self.commit(ChangeMembers::SetNodes(BTreeMap::from([(node_id, address)]))).await.map(drop)
    }
}
