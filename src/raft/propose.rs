//! Proposing: here when this node leads, else through the leader.
//!
//! Invariant: a proposal is sent again only after an answer that says that it surely did not enter a log. Everything else ends
//! as *unknown*.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{Instrument as _, field};

use super::apply::ClusterSettings;
use super::backlog::Backlog;
use super::clock::{WallClock, monotonic};
use super::codec::{self, RECORD_BYTES};
use super::contract::{Applied, Propose, ProposeError};
use super::forward::{Attempt, Forwarder, removed};
use super::leader::LeaderWatch;
use super::network::{Peers, Rejection};
use super::types::Raft;
use super::{Command, CommandBody};
#[cfg(feature = "mutants")]
use crate::mutants::Mutant;
use crate::telemetry::part_of_trace;

/// Pause before asking again after the leader changed.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long a proposal waits for the end of a pause before it is tried again.
const HELD_BACK: Duration = Duration::from_millis(100);
/// More proposals than this are never under way on a node.
const MOST_IN_FLIGHT: u32 = 1 << 20;
/// Largest command: an append must hold at least one with its envelope.
const COMMAND_BYTES: usize = RECORD_BYTES - (1 << 20);

/// Proposes commands for one node.
pub struct Proposer {
    raft: Raft,
    peers: Arc<Peers>,
    forwarder: Arc<Forwarder>,
    leader: LeaderWatch,
    clock: Arc<dyn WallClock>,
    /// A permit for each proposal that Raft, or the leader for this node, still works on.
    in_flight: Arc<Semaphore>,
    /// How many permits there are.
    capacity: u32,
    /// How late those are that were proposed here, for this node or for others.
    backlog: Arc<Backlog>,
    /// Whether proposals are held back.
    paused: watch::Sender<bool>,
    settings: watch::Receiver<Arc<ClusterSettings>>,
    /// What requests came to, for a bug on purpose: nobody else knows it.
    #[cfg(feature = "mutants")]
    answered: parking_lot::Mutex<std::collections::HashMap<crate::model::IdempotencyKey, Applied>>,
}

/// Why a proposal is not taken up.
enum NoRoom {
    /// Proposals are held back.
    Paused,
    /// Too many are under way.
    Full,
}

/// While it lives, this node takes up no proposal, and none is under way.
pub(super) struct Pause {
    paused: watch::Sender<bool>,
    permits: Option<OwnedSemaphorePermit>,
}

impl Drop for Pause {
    fn drop(&mut self) {
        // In this order: who comes in between is told to try again, and not that there is too much to do.
        self.permits.take();
        self.paused.send_replace(false);
    }
}

impl Proposer {
    pub(super) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leader: LeaderWatch,
        clock: Arc<dyn WallClock>,
        settings: watch::Receiver<Arc<ClusterSettings>>,
        in_flight: usize,
    ) -> Self {
        // So that a pause can take all of them at once.
        let capacity = u32::try_from(in_flight).unwrap_or(u32::MAX).min(MOST_IN_FLIGHT);
        let in_flight = Arc::new(Semaphore::new(capacity as usize));
        Self {
            raft,
            forwarder: Arc::new(Forwarder::new(Arc::clone(&peers))),
            peers,
            leader,
            clock,
            in_flight,
            capacity,
            backlog: Arc::default(),
            paused: watch::Sender::new(false),
            settings,
            #[cfg(feature = "mutants")]
            answered: parking_lot::Mutex::default(),
        }
    }

    /// Proposes on this node, which must lead. Used for its own clients and for those of the nodes that forward.
    pub(super) async fn propose_here(&self, op_id: u128, body: impl Into<Arc<CommandBody>>) -> Attempt {
        let body = body.into();
        // By what is applied here: a level that the state has, it keeps.
        let (level, needed) = (self.settings.borrow().level, body.level());
        if needed > level {
            let why = format!("it needs feature level {needed}, and the cluster is at {level}");
            return Ok(Err(ProposeError::NotProposed(why)));
        }
        let permit = match self.room() {
            Ok(permit) => permit,
            Err(NoRoom::Full) => return Ok(Err(ProposeError::Overloaded)),
            Err(NoRoom::Paused) => {
                let mut paused = self.paused.subscribe();
                // Whoever leads after the pause is looked up then; here or where it was forwarded from.
                let _ = tokio::time::timeout(HELD_BACK, paused.wait_for(|paused| !paused)).await;
                return Err(Rejection::NotLeader { leader: None });
            }
        };
        let (backlog, proposed) = (Arc::clone(&self.backlog), monotonic());
        if backlog.stands(self.in_flight(), proposed) {
            return Ok(Err(ProposeError::Overloaded));
        }
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
        // To be on a majority of disks, and applied here.
        let span = part_of_trace!("commit", quorate.index = field::Empty);
        let of_task = span.clone();
        // In a task of its own: a caller that gives up must not make room while the proposal is still under way.
        let written = tokio::spawn(async move {
            let written = raft.client_write(command).instrument(of_task).await;
            drop(permit);
            if let Ok(response) = &written {
                backlog.through(proposed, monotonic());
                span.record("quorate.index", response.data.revision.index());
            }
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

    /// How many proposals are under way.
    fn in_flight(&self) -> usize {
        self.capacity as usize - self.in_flight.available_permits()
    }

    /// Room for one more proposal.
    fn room(&self) -> Result<OwnedSemaphorePermit, NoRoom> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        // Looked at after the permit is there: a pause is announced before it takes the permits, so it waits for whoever has
        // one and did not see it.
        if *self.paused.borrow() {
            return Err(NoRoom::Paused);
        }
        permit.map_err(|_| NoRoom::Full)
    }

    /// Holds back proposals and waits until none is under way; `None` when that is not so before `deadline`.
    pub(super) async fn pause(&self, deadline: Instant) -> Option<Pause> {
        self.paused.send_replace(true);
        let mut pause = Pause { paused: self.paused.clone(), permits: None };
        let all = Arc::clone(&self.in_flight).acquire_many_owned(self.capacity);
        let permits = tokio::time::timeout_at(deadline.into(), all).await.ok()?;
        pause.permits = Some(permits.expect("the semaphore is never closed"));
        Some(pause)
    }

    async fn attempt(
        &self,
        op_id: u128,
        (body, bytes): (&Arc<CommandBody>, usize),
        deadline: Instant,
    ) -> Result<Attempt, ProposeError> {
        let Some((leader, address)) = self.leader.wait(deadline).await else {
            return Err(ProposeError::NotProposed(
                "no leader was elected in time; is a majority of the nodes up?".into(),
            ));
        };
        let left = deadline.saturating_duration_since(monotonic());
        if leader == self.peers.me().node_id {
            let proposal = self.propose_here(op_id, Arc::clone(body));
            let late = || Ok(Err(ProposeError::Unknown("no majority confirmed it before the deadline".into())));
            return Ok(tokio::time::timeout(left, proposal).await.unwrap_or_else(|_| late()));
        }
        let _permit = match self.room() {
            Ok(permit) => permit,
            Err(NoRoom::Full) => return Err(ProposeError::Overloaded),
            Err(NoRoom::Paused) => return Ok(Err(Rejection::NotLeader { leader: None })),
        };
        let begun = monotonic();
        if self.backlog.stands(self.in_flight(), begun) {
            return Err(ProposeError::Overloaded);
        }
        let deposed = self.leader.another_than(leader, &address.peer);
        let to = (leader, address.peer.clone());
        let attempt = self.forwarder.forward(to, op_id, (body, bytes), deadline, deposed).await;
        if let Ok(Ok(_)) = &attempt {
            // What waited here for its turn is late, too, and the leader does not know.
            self.backlog.through(begun, monotonic());
        }
        Ok(attempt)
    }

    async fn run(&self, body: CommandBody, deadline: Instant) -> Result<Applied, ProposeError> {
        let body = Arc::new(body);
        let bytes = codec::encoded_bytes(&body);
        if bytes > COMMAND_BYTES {
            return Err(ProposeError::TooLarge { bytes, limit: COMMAND_BYTES });
        }
        let op_id: u128 = rand::random();
        let gone = self.peers.removed();
        loop {
            if *gone.borrow() {
                return Err(removed());
            }
            match self.attempt(op_id, (&body, bytes), deadline).await? {
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
        let span = part_of_trace!("propose");
        self.run(body, deadline).instrument(span).boxed()
    }
}
