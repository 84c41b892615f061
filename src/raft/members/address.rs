//! Where this node is, as the members have it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::ChangeMembers;

use super::change::ChangeError;
use crate::raft::NodeAddress;
use crate::raft::leader::LeaderWatch;
use crate::raft::replica::Replica;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

impl Replica {
    /// Makes it known that this node is at `address`, as soon as it leads. For one that founded its cluster offline, where it could
    /// know no address, or only one from before.
    pub fn keep_address(self: &Arc<Self>, address: NodeAddress) {
        tokio::spawn(tell(Arc::downgrade(self), self.leader().clone(), address));
    }

    /// Whether the members have `address` for this node by now.
    async fn has_address(&self, address: &NodeAddress) -> Result<bool, ChangeError> {
        let me = self.node_id();
        if self.status().members.iter().any(|member| member.node_id == me && member.address == *address) {
            return Ok(true);
        }
        if !self.roster().leads {
            return Ok(false);
        }
        let _turn = self.changing().lock().await;
        self.settled_roster().await?;
        self.commit(ChangeMembers::SetNodes(BTreeMap::from([(me, address.clone())]))).await?;
        Ok(true)
    }
}

async fn tell(replica: Weak<Replica>, mut leader: LeaderWatch, address: NodeAddress) {
    let mut told = None;
    while let Some(replica) = replica.upgrade() {
        match replica.has_address(&address).await {
            Ok(true) => return,
            Ok(false) => {
                drop(replica);
                if !leader.changed().await {
                    return;
                }
            }
            Err(error) => {
                drop(replica);
                if told.as_ref() != Some(&error) {
                    tracing::info!(%error, "the members do not have the address of this node yet");
                    told = Some(error);
                }
                // A leader whose first entry is not committed yet is told of no change that would end this wait.
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
