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
            // It was told of a change that came after its version, and another answer it will not give.
            Err(CallError::NotUnderstood { .. }) => Err(ChangeError::LeaderTooOld { leader }),
            Err(CallError::NotSent { .. } | CallError::Refused { .. } | CallError::AddressTaken { .. }) => {
                Err(ChangeError::NotLeader { leader: None })
            }
        }
    }
}

/// What the operator is told of an error: after a change was begun, not that nothing was changed.
fn told(error: ChangeError, begun: bool) -> ChangeError {
    if begun { error.once_begun() } else { error }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tonic::Status;

    use super::*;
    use crate::raft::testing::{Answers, quick_replica};
    use crate::raft::{FeatureLevel, Membership};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_leader_that_does_not_know_of_a_change_is_told_from_one_that_is_not_there() {
        let nobody = ChangeError::NotLeader { leader: None };
        for (said, expected) in [
            // What a version answers that has no such change, and one that has no changes at all.
            (Status::invalid_argument("an unknown variant"), ChangeError::LeaderTooOld { leader: 1 }),
            (Status::unimplemented("message kind 10"), ChangeError::LeaderTooOld { leader: 1 }),
            (Status::failed_precondition("another node"), nobody),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let options = quick_replica(dir.path(), Membership { lineage: 7, node_id: 2 });
            Replica::format(dir.path(), options.membership, &options.store).await.unwrap();
            // Every member answers with this status.
            let says =
                Answers(move |_, address, _| std::future::ready(Err(CallError::of_status(address, &said))).boxed());
            let replica = Replica::open(options, Arc::new(says)).await.unwrap();
            let change = MemberChange::RaiseLevel { to: FeatureLevel::LOCALITIES };
            let asked = replica.ask_leader(1, "a:1", change, monotonic() + Duration::from_secs(5)).await;
            assert_eq!(asked, Err(expected));
            replica.shutdown().await;
        }
    }
}
