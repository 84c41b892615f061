//! Joining: an id that was never used, then learner, then voter, unless the node is to stay a learner.
//!
//! The leader does the changes one at a time, and refuses what would not keep a quorum. A joining node
//! can be interrupted at any point and ask again: an id is reserved once and kept on its disk, and the later steps do nothing
//! where they are done already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ChangeMembers;

use super::change::ChangeError;
use crate::model::{Error, ErrorCode};
use crate::raft::clock::monotonic;
use crate::raft::network::{
    AdmitRequest, Admitted, Announcement, CallError, Kind, PeerIdentity, Peers, PromoteRequest, Rejection, Rpc,
    Transport,
};
use crate::raft::replica::{Membership, Replica};
use crate::raft::{NodeAddress, SupportedLevels, codec};

/// How long one request to a member may take. Catching up may take longer; the request is then made again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the leader waits for a node to catch up before it says that it has not; the node asks again.
const CATCH_UP: Duration = Duration::from_secs(20);

/// A node that asks to be a member.
pub(in crate::raft) struct Joining {
    /// The id that was reserved for it.
    pub(in crate::raft) node_id: u64,
    /// Where it is reached.
    pub(in crate::raft) address: NodeAddress,
    /// Whether it wants a vote.
    pub(in crate::raft) voter: bool,
    /// What its program supports.
    pub(in crate::raft) levels: SupportedLevels,
}

/// Why a node was not admitted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// Another member is where this node says that it is.
    #[error("nothing was changed: {0}")]
    AddressTaken(String),
    /// No member that was asked did it; what each said.
    #[error("no member admitted this node; nothing was changed: {0}")]
    NotAdmitted(String),
}

impl From<AdmissionError> for Error {
    fn from(error: AdmissionError) -> Self {
        let code = match error {
            AdmissionError::AddressTaken(_) => ErrorCode::WrongState,
            AdmissionError::NotAdmitted(_) => ErrorCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

/// Asks the members at `addresses`, in order, to admit a node that will be reached at `address`.
pub async fn request_admission(
    transport: Arc<dyn Transport>,
    addresses: &[String],
    address: NodeAddress,
    announcement: Announcement,
) -> Result<Membership, AdmissionError> {
    // Who asks belongs to no cluster yet.
    let peers = Peers::new(PeerIdentity { lineage: 0, node_id: 0 }, announcement, transport);
    let mut failures = Vec::new();
    for member in addresses {
        let payload = codec::encode(&AdmitRequest { address: address.clone() });
        let reply = match peers.call(Rpc::Admit, member, 0, Kind::Admit, payload, REQUEST_TIMEOUT).await {
            Ok(reply) => reply,
            // Every other member would say the same.
            Err(CallError::AddressTaken { reason }) => return Err(AdmissionError::AddressTaken(reason)),
            Err(error) => {
                failures.push(error.to_string());
                continue;
            }
        };
        let answer: Result<Result<Admitted, String>, _> = codec::decode(&reply);
        match answer {
            Ok(Ok(Admitted { lineage, node_id })) => return Ok(Membership { lineage, node_id }),
            Ok(Err(reason)) => failures.push(format!("{member}: {reason}")),
            Err(error) => failures.push(format!("{member}: {error}")),
        }
    }
    Err(AdmissionError::NotAdmitted(failures.join("; ")))
}

/// Asks the cluster to make `replica` a learner that has caught up, and with `voter` a voter, until it is one or `deadline`
/// passes.
pub async fn request_promotion(
    replica: &Replica,
    addresses: &[String],
    address: NodeAddress,
    voter: bool,
    deadline: Instant,
) -> Result<(), String> {
    let node_id = replica.identity().node_id;
    let mut asked = 0;
    let mut leader: Option<(u64, String)> = None;
    loop {
        let (to, member) = leader.take().unwrap_or_else(|| (0, addresses[asked % addresses.len()].clone()));
        asked += 1;
        let payload = codec::encode(&PromoteRequest { node_id, address: address.clone(), voter });
        let left = deadline.saturating_duration_since(monotonic());
        let called = replica.peers().call(Rpc::Promote, &member, to, Kind::Promote, payload, left).await;
        let failure = match called {
            Ok(reply) => match codec::decode::<Result<(), Rejection>>(&reply) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Rejection::NotLeader { leader: Some((id, at)) })) => {
                    leader = Some((id, at.peer));
                    "the leader changed".to_owned()
                }
                Ok(Err(Rejection::NotLeader { leader: None })) => "no leader is known".to_owned(),
                Ok(Err(Rejection::NotConfirmed(reason))) => reason,
                Err(error) => error.to_string(),
            },
            // Not a passing fault: that node is of another cluster, or of none.
            Err(error) if error.is_refusal() => return Err(error.to_string()),
            Err(error) => error.to_string(),
        };
        if monotonic() + PAUSE >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Replica {
    /// Who of the members is reached at the peer address `peer`.
    ///
    /// Whoever is removed is not one, from the moment on that whoever asked for that was told so: it is asked for right before
    /// another node comes to that address.
    pub(in crate::raft) async fn member_at(&self, peer: &str, deadline: Instant) -> Result<Option<u64>, String> {
        let found = || {
            let (metrics, retired) = (self.metrics(), self.retired());
            let members = metrics.membership_config.membership().nodes();
            let there = members.filter(|(_, address)| address.peer == peer).map(|(node_id, _)| *node_id);
            there.filter(|node_id| !retired.contains(node_id)).min()
        };
        if found().is_none() {
            return Ok(None);
        }
        let index = self.read_index().get(deadline).await.map_err(|error| error.to_string())?;
        let mut applied = self.applied();
        let reached = applied.wait_for(|mark| mark.revision >= index);
        match tokio::time::timeout_at(deadline.into(), reached).await {
            Ok(Ok(_)) => Ok(found()),
            Ok(Err(_)) | Err(_) => Err("it did not catch up with the cluster in time".to_owned()),
        }
    }

    /// On the leader: makes `node_id` a learner, waits until it has caught up, and with `voter` makes it a voter. One that
    /// votes already keeps its vote.
    pub(in crate::raft) async fn promote_here(&self, joining: Joining) -> Result<(), ChangeError> {
        let Joining { node_id, address, voter, levels } = joining;
        {
            let _turn = self.changing().lock().await;
            let roster = self.settled_roster().await?;
            // It may have been removed while this waited for its turn, and openraft would take it back.
            self.is_member(&roster, node_id)?;
            // Nobody raises the level meanwhile: that takes the same turn.
            self.log_applied().await?;
            let level = self.settings().level;
            if !levels.include(level) {
                return Err(ChangeError::LevelUnsupported { node_id, supported: levels, level });
            }
            let known = self.status().members.into_iter().find(|member| member.node_id == node_id);
            match known {
                Some(known) if known.address == address => {}
                // It joined before at addresses that were wrong, or it moved.
                Some(_) => self.move_member(node_id, address).await?,
                None => {
                    let here = BTreeMap::from([(node_id, address)]);
                    self.commit(ChangeMembers::AddNodes(here)).await?;
                }
            }
        }
        // Others may change the members while this one catches up, which may take long.
        self.caught_up(node_id, monotonic() + CATCH_UP).await?;
        if voter {
            let asked = self.may_vote(node_id).await?;
            let _turn = self.changing().lock().await;
            self.give_vote(node_id, asked).await?;
        }
        Ok(())
    }
}

impl From<ChangeError> for Rejection {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotLeader { leader } => Self::NotLeader { leader },
            other => Self::NotConfirmed(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Connections;
    use crate::raft::testing::quick_replica;

    fn address(port: u16) -> NodeAddress {
        NodeAddress { client: format!("127.0.0.1:{port}"), peer: format!("127.0.0.1:{port}") }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_promotion_that_waited_for_a_removal_brings_nobody_back() {
        let dir = tempfile::tempdir().unwrap();
        let options = quick_replica(dir.path(), Membership { lineage: 0xabc, node_id: Membership::FIRST_NODE_ID });
        Replica::format(dir.path(), options.membership, &options.store).await.unwrap();
        let replica = Replica::open(options, Arc::new(Connections::default())).await.unwrap();
        replica.bootstrap(address(1)).await.unwrap();
        let leads = replica.raft().wait(Some(Duration::from_secs(10)));
        // The members are the first entry, and the leader's own is the second.
        let led = leads.metrics(|metrics| metrics.last_applied.is_some_and(|id| id.index >= 1), "a leader of one");
        led.await.unwrap();
        // The log is so short that a node without any of it has caught up.
        let second = || Joining { node_id: 2, address: address(2), voter: false, levels: SupportedLevels::OURS };
        replica.promote_here(second()).await.unwrap();

        let turn = replica.changing().lock().await;
        let waiting = {
            let replica = Arc::clone(&replica);
            let second = second();
            tokio::spawn(async move { replica.promote_here(second).await })
        };
        assert!(replica.remove_member(2).await.unwrap().changed);
        drop(turn);
        let refused = waiting.await.unwrap().expect_err("it was removed");
        assert_eq!(refused, ChangeError::Removed { node_id: 2 });
        assert!(replica.status().members.iter().all(|member| member.node_id != 2));
        replica.shutdown().await;
    }
}
