//! ReadIndex (Raft dissertation, section 6.4): the index that a linearizable read must wait for.
//!
//! Reads share calls: while one call is under way the next ones gather, and one later call answers all of them. A read is
//! never answered by a call that was sent before the read arrived: that call may have been confirmed before a write that the
//! reader already knows of. No lease is used: leadership is confirmed with a quorum for every call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument as _, Span};

use super::clock::monotonic;
use super::codec;
use super::leader::LeaderWatch;
use super::network::{CallError, Kind, Peers, Rejection, Rpc};
use super::types::Raft;
use crate::model::{Error, ErrorCode, Revision};
use crate::mutants::Mutant;
use crate::telemetry::part_of_trace;

/// Reads that may wait at once on one node.
const WAITING_READS: usize = 1 << 16;
/// Longest wait for one confirmation, before the leader is looked up anew.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for what a member may have to say.
const ASK_TIMEOUT: Duration = Duration::from_millis(300);
/// Pause before asking again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

type Answer = Result<Revision, String>;

/// A read that waits: where its answer goes, and its part of a trace.
type Waiting = (oneshot::Sender<Answer>, Span);

/// Asks for read indexes on behalf of the reads of one node.
#[derive(Clone)]
pub struct ReadIndex {
    queue: mpsc::Sender<Waiting>,
}

impl ReadIndex {
    /// Starts the task that makes the calls. It ends with the last handle.
    pub(super) fn start(raft: Raft, peers: Arc<Peers>, leader: LeaderWatch) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_READS);
        let turns = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(waiting, move || {
            let (raft, peers, leader, turns) = (raft.clone(), Arc::clone(&peers), leader.clone(), Arc::clone(&turns));
            async move {
                let answer = call(&raft, &peers, &leader).await;
                if answer.is_err() {
                    ask_any(&peers, turns.fetch_add(1, Ordering::Relaxed)).await;
                }
                answer
            }
        }));
        Self { queue }
    }

    /// An index that covers every write acknowledged before this call began.
    pub async fn get(&self, deadline: Instant) -> Result<Revision, Error> {
        let span = part_of_trace!("read index");
        self.ask(deadline, &span).instrument(span.clone()).await
    }

    async fn ask(&self, deadline: Instant, span: &Span) -> Result<Revision, Error> {
        let mut last = String::from("no leader is known");
        loop {
            let (sender, receiver) = oneshot::channel();
            self.queue.try_send((sender, span.clone())).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    Error::new(ErrorCode::ResourceExhausted, "too many linearizable reads are waiting; try again later")
                }
                mpsc::error::TrySendError::Closed(_) => Error::new(ErrorCode::Unavailable, "this node is stopping"),
            })?;
            match tokio::time::timeout_at(deadline.into(), receiver).await {
                Ok(Ok(Ok(revision))) => return Ok(revision),
                Ok(Ok(Err(reason))) => last = reason,
                Ok(Err(_)) => return Err(Error::new(ErrorCode::Unavailable, "this node is stopping")),
                Err(_) => return Err(unconfirmed(&last)),
            }
            if monotonic() + RETRY_PAUSE >= deadline {
                return Err(unconfirmed(&last));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

fn unconfirmed(reason: &str) -> Error {
    let message =
        format!("no quorum confirmed the leader before the deadline, so a linearizable read has no answer: {reason}");
    Error::new(ErrorCode::Unavailable, message)
}

/// Takes all that wait, makes one call, answers them, and so on.
async fn serve<F>(mut waiting: mpsc::Receiver<Waiting>, call: impl Fn() -> F)
where
    F: Future<Output = Answer>,
{
    let mut batch = Vec::new();
    // Taking the batch before the call begins is what makes the promise: whoever arrives later is in the next batch.
    while waiting.recv_many(&mut batch, WAITING_READS).await > 0 {
        // One call for all of them, and one trace that shows it: that of the first that is traced.
        let traced = batch.iter().map(|(_, span)| span).find(|span| !span.is_disabled()).cloned();
        let answer = call().instrument(traced.unwrap_or_else(Span::none)).await;
        for (waiter, _) in batch.drain(..) {
            // A reader that gave up has dropped its end.
            let _ = waiter.send(answer.clone());
        }
    }
}

async fn call(raft: &Raft, peers: &Peers, leader: &LeaderWatch) -> Answer {
    let Some((id, address)) = leader.wait(monotonic() + CALL_TIMEOUT).await else {
        return Err("no leader is known".into());
    };
    if id == peers.me().node_id {
        let confirmed = tokio::time::timeout(CALL_TIMEOUT, confirm(raft)).await;
        let confirmed = confirmed.map_err(|_| "a majority did not answer".to_string())?;
        return confirmed.map_err(|rejection| describe(&rejection));
    }
    let payload = codec::encode(&());
    let reply = peers.call(Rpc::ReadIndex, &address.peer, id, Kind::ReadIndex, payload, CALL_TIMEOUT).await;
    let reply = reply.map_err(|error: CallError| error.to_string())?;
    let answer: Result<Revision, Rejection> = codec::decode(&reply).map_err(|error| error.to_string())?;
    answer.map_err(|rejection| describe(&rejection))
}

/// Asks some member for what only the leader can say: any of them tells a node that was removed. Nobody else does, since the
/// leader no longer speaks to it.
async fn ask_any(peers: &Peers, turn: usize) {
    let Some((id, address)) = peers.any(turn) else { return };
    // The answer is of no use here, and what it says of this node was noted on its way.
    let _ = peers.call(Rpc::ReadIndex, &address, id, Kind::ReadIndex, codec::encode(&()), ASK_TIMEOUT).await;
}

/// Confirms with a quorum that this node leads, and gives the index to wait for.
pub(super) async fn confirm(raft: &Raft) -> Result<Revision, Rejection> {
    if Mutant::NoQuorum.is_on() {
        let applied = raft.metrics().borrow_watched().last_applied;
        return Ok(Revision::new(applied.map_or(0, |id| id.index)));
    }
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(Revision::new(linearizer.read_log_id().index())),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
            Err(Rejection::NotLeader { leader: forward.leader_id.zip(forward.leader_node) })
        }
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(missing))) => {
            let voters: BTreeSet<u64> = raft.metrics().borrow_watched().membership_config.voter_ids().collect();
            let reason = format!("of the voters {voters:?} only {:?} answer, which is no majority", missing.got);
            Err(Rejection::NotConfirmed(reason))
        }
        Err(error) => Err(Rejection::NotConfirmed(error.to_string())),
    }
}

fn describe(rejection: &Rejection) -> String {
    match rejection {
        Rejection::NotLeader { .. } => "the leader changed".into(),
        Rejection::NotConfirmed(reason) => reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A read that arrives while a call is under way must be answered by a later call.
    #[tokio::test]
    async fn a_read_is_never_answered_by_a_call_sent_before_it() {
        let (begun, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let (queue, waiting) = mpsc::channel(16);
        let (calls, opened) = (Arc::clone(&begun), Arc::clone(&gate));
        tokio::spawn(serve(waiting, move || {
            let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire().await.expect("the gate stays open").forget();
                Ok(Revision::new(number))
            }
        }));
        let ask = || {
            let (sender, receiver) = oneshot::channel();
            queue.try_send((sender, Span::none())).unwrap();
            receiver
        };
        let first = ask();
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let late: Vec<_> = (0..5).map(|_| ask()).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(Revision::new(1)));
        for answer in late {
            assert_eq!(answer.await.unwrap(), Ok(Revision::new(2)), "one later call answers all that came meanwhile");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
