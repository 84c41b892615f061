//! Proposing: here when this node leads, else through the leader.
//!
//! Invariant: a proposal is sent again only after an answer that says that it surely did not enter a log. Everything else ends
//! as *unknown*.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::Semaphore;

use super::clock::{WallClock, monotonic};
use super::codec::{self, RECORD_BYTES};
use super::contract::{Applied, Propose, ProposeError};
use super::leader::LeaderWatch;
use super::network::{CallError, Kind, Peers, Rejection, Rpc};
use super::types::Raft;
use super::{Command, CommandBody};
#[cfg(feature = "mutants")]
use crate::mutants::Mutant;

/// Pause before asking again after the leader changed.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Largest command: an append must hold at least one with its envelope.
const COMMAND_BYTES: usize = RECORD_BYTES - (1 << 20);

/// How one attempt ended.
type Attempt = Result<Result<Applied, ProposeError>, Rejection>;

/// Proposes commands for one node.
pub struct Proposer {
    raft: Raft,
    peers: Arc<Peers>,
    leader: LeaderWatch,
    clock: Arc<dyn WallClock>,
    /// A permit for each proposal that Raft, or the leader for this node, still works on.
    in_flight: Arc<Semaphore>,
    /// What requests came to, for a bug on purpose: nobody else knows it.
    #[cfg(feature = "mutants")]
    answered: parking_lot::Mutex<std::collections::HashMap<crate::model::IdempotencyKey, Applied>>,
}

impl Proposer {
    pub(super) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leader: LeaderWatch,
        clock: Arc<dyn WallClock>,
        in_flight: usize,
    ) -> Self {
        Self {
            raft,
            peers,
            leader,
            clock,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            #[cfg(feature = "mutants")]
            answered: parking_lot::Mutex::default(),
        }
    }

    /// Proposes on this node, which must lead. Used for its own clients and for those of the nodes that forward.
    pub(super) async fn propose_here(&self, op_id: u128, body: CommandBody) -> Attempt {
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return Ok(Err(ProposeError::Overloaded));
        };
        #[cfg(feature = "mutants")]
        let key = body.keyed().map(|(_, request)| request.key.clone());
        #[cfg(feature = "mutants")]
        if Mutant::DedupeInMemory.is_on()
            && let Some(first) = key.as_ref().and_then(|key| self.answered.lock().get(key).cloned())
        {
            return Ok(Ok(Applied { repeated: true, ..first }));
        }
        let command = Command { op_id, proposed_at: self.clock.now(), body };
        let raft = self.raft.clone();
        // In a task of its own: a caller that gives up must not make room while the proposal is still under way.
        let written = tokio::spawn(async move {
            let written = raft.client_write(command).await;
            drop(permit);
            written
        });
        let Ok(written) = written.await else {
            return Ok(Err(ProposeError::Unknown("this node is stopping".into())));
        };
        #[cfg(feature = "mutants")]
        if let (Some(key), Ok(response)) = (key, &written)
            && !matches!(response.data.outcome, super::Outcome::Refused(_))
        {
            self.answered.lock().insert(key, response.data.clone());
        }
        match written {
            Ok(response) => Ok(Ok(response.data)),
            // Refused before it was appended.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                let leader = forward.leader_id.zip(forward.leader_node);
                Err(Rejection::NotLeader { leader })
            }
            // Appended here, and then another leader's log replaced it; or the node stopped. It may still commit.
            Err(error) => Ok(Err(ProposeError::Unknown(error.to_string()))),
        }
    }

    async fn attempt(&self, op_id: u128, body: &CommandBody, deadline: Instant) -> Result<Attempt, ProposeError> {
        let Some((leader, address)) = self.leader.wait(deadline).await else {
            return Err(ProposeError::NotProposed(
                "no leader was elected in time; is a majority of the nodes up?".into(),
            ));
        };
        let left = deadline.saturating_duration_since(monotonic());
        if leader == self.peers.me().node_id {
            let proposal = self.propose_here(op_id, body.clone());
            let late = || Ok(Err(ProposeError::Unknown("no majority confirmed it before the deadline".into())));
            return Ok(tokio::time::timeout(left, proposal).await.unwrap_or_else(|_| late()));
        }
        let _permit = self.in_flight.try_acquire().map_err(|_| ProposeError::Overloaded)?;
        let payload = codec::encode(&(op_id, body));
        let sent = self.peers.call(Rpc::Propose, &address.peer, leader, Kind::Propose, payload, left).await;
        match sent {
            Ok(reply) => {
                let attempt = codec::decode(&reply).map_err(|error| ProposeError::Unknown(error.to_string()));
                Ok(attempt.unwrap_or_else(|error| Ok(Err(error))))
            }
            Err(CallError::Lost { address, reason }) => {
                Ok(Ok(Err(ProposeError::Unknown(format!("the leader at {address} did not answer: {reason}")))))
            }
            Err(CallError::NotSent { .. } | CallError::Refused { .. }) => {
                Ok(Err(Rejection::NotLeader { leader: None }))
            }
        }
    }

    async fn run(&self, body: CommandBody, deadline: Instant) -> Result<Applied, ProposeError> {
        let bytes = codec::encode(&body).len();
        if bytes > COMMAND_BYTES {
            return Err(ProposeError::TooLarge { bytes, limit: COMMAND_BYTES });
        }
        let op_id: u128 = rand::random();
        loop {
            match self.attempt(op_id, &body, deadline).await? {
                Ok(outcome) => return outcome,
                Err(rejection) if monotonic() + RETRY_PAUSE >= deadline => {
                    let what = match rejection {
                        Rejection::NotLeader { .. } => "the leader changed and none could be reached in time".into(),
                        Rejection::NotConfirmed(reason) => reason,
                    };
                    return Err(ProposeError::NotProposed(what));
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }
}

impl Propose for Proposer {
    fn propose(&self, body: CommandBody, deadline: Instant) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        self.run(body, deadline).boxed()
    }
}
