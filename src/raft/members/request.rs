//! Asking for a change to the members, on any node: the leader is found and asked, as it is for writes.
//!
//! Invariant: what may have begun is asked for again only by the operator. Every change can be: where it is as was asked for,
//! nothing is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::change::{ChangeError, Changed, MemberChange};
use crate::raft::clock::monotonic;
use crate::raft::codec;
use crate::raft::network::{CallError, Kind, Rpc};
use crate::raft::replica::Replica;

/// Pause before asking again after the leader changed.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

impl Replica {
    /// Has the leader make `change`, until it is made, refused, or `deadline` passes.
    pub async fn change_members(
        self: &Arc<Self>,
        change: MemberChange,
        deadline: Instant,
    ) -> Result<Changed, ChangeError> {
        let mut begun = false;
        let mut led = None;
        loop {
            if *self.removed().borrow() {
                return Err(told(ChangeError::Removed { node_id: self.node_id() }, begun));
            }
            let Some((leader, address)) = self.leader().wait(deadline).await else {
                return Err(told(ChangeError::NotLeader { leader: None }, begun));
            };
            if change == (MemberChange::TransferLeader { to: None }) && *led.get_or_insert(leader) != leader {
                // Whoever led when it was asked for leads no more, and nobody in particular was to.
                return Ok(Changed { leader, term: self.metrics().current_term, changed: true });
            }
            let asked = if leader == self.node_id() {
                // Past the deadline the task goes on.
                let changing = tokio::time::timeout_at(deadline.into(), self.change_members_here(change));
                changing
                    .await
                    .unwrap_or_else(|_| Err(ChangeError::Unknown("it takes longer than was waited for".into())))
            } else {
                self.ask_leader(leader, &address.peer, change, deadline).await
            };
            match asked {
                // What was begun for this request may have been finished by the next leader.
                Ok(done) => return Ok(Changed { changed: done.changed || begun, ..done }),
                Err(error) if error.passes(begun) => {
                    begun |= error == ChangeError::Interrupted;
                    if monotonic() + RETRY_PAUSE >= deadline {
                        return Err(told(error, begun));
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(told(error, begun)),
            }
        }
    }

    /// On the leader. In a task of its own: whoever asked may hang up, and half a change would be left behind.
    pub(in crate::raft) async fn change_members_here(
        self: &Arc<Self>,
        change: MemberChange,
    ) -> Result<Changed, ChangeError> {
        let replica = Arc::clone(self);
        let changing = tokio::spawn(async move {
            let _turn = replica.changing().try_lock().map_err(|_| ChangeError::Busy)?;
            match change {
                MemberChange::TransferLeader { to } => replica.transfer_here(to).await,
                MemberChange::Promote { node_id } => replica.promote_member(node_id).await,
                MemberChange::Demote { node_id } => replica.demote_member(node_id).await,
                MemberChange::Remove { node_id } => replica.remove_member(node_id).await,
                MemberChange::RaiseLevel { to } => replica.raise_level(to).await,
            }
        });
        changing.await.unwrap_or_else(|_| Err(ChangeError::Unknown("this node is stopping".into())))
    }

    async fn ask_leader(
        &self,
        leader: u64,
        address: &str,
        change: MemberChange,
        deadline: Instant,
    ) -> Result<Changed, ChangeError> {
        let left = deadline.saturating_duration_since(monotonic());
        let payload = codec::encode(&change);
        match self.peers().call(Rpc::ChangeMembers, address, leader, Kind::ChangeMembers, payload, left).await {
            Ok(reply) => codec::decode(&reply).unwrap_or_else(|error| Err(ChangeError::Unknown(error.to_string()))),
            Err(CallError::Lost { address, reason }) => {
                Err(ChangeError::Unknown(format!("the leader at {address} did not answer: {reason}")))
            }
            Err(CallError::Removed { .. }) => Err(ChangeError::Removed { node_id: self.node_id() }),
            Err(CallError::NotSent { .. } | CallError::Refused { .. }) => Err(ChangeError::NotLeader { leader: None }),
        }
    }
}

/// What the operator is told of an error: after a change was begun, not that nothing was changed.
fn told(error: ChangeError, begun: bool) -> ChangeError {
    if begun { error.once_begun() } else { error }
}
