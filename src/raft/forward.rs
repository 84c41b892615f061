//! The way of proposals from a node that does not lead to the one that does.
//!
//! A few messages are under way at a time. What is proposed meanwhile gathers and goes in the next one, so that a busy node
//! sends few messages and an idle one sends each proposal at once.
//!
//! Invariant: what was not sent by its deadline surely did not enter a log, and is taken back. What was sent and not answered
//! may have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::clock::monotonic;
use super::contract::{Applied, ProposeError};
use super::network::{CallError, Kind, Peers, Rejection, Rpc, forwarding};
use super::{CommandBody, codec};
use crate::telemetry::traceparent;

/// Messages to one leader that wait for an answer, at the most. More than one: the leader commits what the second holds while
/// the answer to the first is on its way.
const MOST_UNDER_WAY: usize = 4;
/// Proposals in a message.
const MOST_IN_ONE: usize = 256;
/// Bytes of what a message proposes, if that is more than one proposal.
const MOST_BYTES: usize = 1 << 20;

/// For so long a leader gets no message of several after one that it did not understand: it runs an older version, and will be
/// upgraded.
const ONE_BY_ONE: Duration = Duration::from_secs(60);

/// How one attempt to propose ended.
pub(super) type Attempt = Result<Result<Applied, ProposeError>, Rejection>;

/// One of the proposals in a message. The answer has one [`Attempt`] for each, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Forwarded {
    /// Which operation it is.
    pub(super) op_id: u128,
    /// What continues the trace that it is a part of (W3C Trace Context); empty where it is in none.
    pub(super) traceparent: String,
    /// What to do.
    pub(super) body: Arc<CommandBody>,
}

/// A proposal that waits for its turn.
struct Waiting {
    op_id: u128,
    body: Arc<CommandBody>,
    /// Of the body.
    bytes: usize,
    deadline: Instant,
    /// What it is a part of.
    span: Span,
    answer: oneshot::Sender<Attempt>,
}

/// Empty once somebody took it: who sends it, or who proposed it and waits no more.
type Slot = Arc<Mutex<Option<Waiting>>>;

/// Takes back what was not sent when its proposer goes away.
struct Withdraw(Slot);

impl Withdraw {
    /// Whether it was still here.
    fn now(&self) -> bool {
        self.0.lock().take().is_some()
    }
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.now();
    }
}

/// A leader and where it is.
type Leader = (u64, String);

/// What is on its way to one leader.
#[derive(Default)]
struct Lane {
    /// Bounded by whoever proposes: each has a permit.
    waiting: VecDeque<Slot>,
    under_way: usize,
}

impl Lane {
    /// What the next message holds; empty where nothing waits.
    fn take(&mut self) -> Vec<Waiting> {
        let (mut taken, mut bytes, now) = (Vec::new(), 0, monotonic());
        while let Some(slot) = self.waiting.front() {
            let mut content = slot.lock();
            if let Some(late) = content.take_if(|waiting| waiting.deadline <= now) {
                let _ = late.answer.send(Ok(Err(not_sent())));
            }
            let more = content.as_ref().map_or(0, |waiting| waiting.bytes);
            if taken.len() == MOST_IN_ONE || (!taken.is_empty() && bytes + more > MOST_BYTES) {
                break;
            }
            bytes += more;
            taken.extend(content.take());
            drop(content);
            self.waiting.pop_front();
        }
        taken
    }
}

/// Sends proposals to the leader.
pub(super) struct Forwarder {
    peers: Arc<Peers>,
    lanes: Mutex<BTreeMap<Leader, Lane>>,
    /// Who understood no message of several, and when.
    one_by_one: Mutex<Option<(Leader, Instant)>>,
}

impl Forwarder {
    pub(super) fn new(peers: Arc<Peers>) -> Self {
        Self { peers, lanes: Mutex::default(), one_by_one: Mutex::default() }
    }

    /// Sends a proposal of `bytes` to `leader`, and waits for the answer until `deadline`. Once `deposed` is ready, what was not
    /// sent is taken back, for whoever leads then.
    pub(super) async fn forward(
        self: &Arc<Self>,
        leader: Leader,
        op_id: u128,
        (body, bytes): (&Arc<CommandBody>, usize),
        deadline: Instant,
        deposed: impl Future<Output = ()>,
    ) -> Attempt {
        let (answer, mut answered) = oneshot::channel();
        let (body, span) = (Arc::clone(body), Span::current());
        let waiting = Waiting { op_id, body, bytes, deadline, span, answer };
        let slot = Arc::new(Mutex::new(Some(waiting)));
        let withdraw = Withdraw(Arc::clone(&slot));
        self.enqueue(leader.clone(), slot);
        let attempt = async {
            tokio::select! {
                biased;
                answered = &mut answered => return answered,
                () = deposed => {}
            }
            if withdraw.now() { Ok(Err(Rejection::NotLeader { leader: None })) } else { answered.await }
        };
        match tokio::time::timeout_at(deadline.into(), attempt).await {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(_)) => Ok(Err(ProposeError::Unknown("this node is stopping".into()))),
            Err(_) if withdraw.now() => Ok(Err(not_sent())),
            Err(_) => Ok(Err(unknown(&leader.1, "no reply before the deadline"))),
        }
    }

    fn enqueue(self: &Arc<Self>, leader: Leader, slot: Slot) {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(leader.clone()).or_default();
        // Nobody takes them while the leader answers nothing, and their proposers have made room for others.
        while lane.waiting.front().is_some_and(|slot| slot.lock().is_none()) {
            lane.waiting.pop_front();
        }
        lane.waiting.push_back(slot);
        if lane.under_way < MOST_UNDER_WAY {
            lane.under_way += 1;
            tokio::spawn(Arc::clone(self).carry(leader));
        }
    }

    /// Sends one message after the other until nothing waits.
    async fn carry(self: Arc<Self>, leader: Leader) {
        while let Some(message) = self.next(&leader) {
            self.send(&leader, message).await;
        }
    }

    /// The next message to `leader`, or the word that there is one less under way.
    fn next(&self, leader: &Leader) -> Option<Vec<Waiting>> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.get_mut(leader).expect("it is there while something is under way");
        let message = lane.take();
        if !message.is_empty() {
            return Some(message);
        }
        lane.under_way -= 1;
        if lane.under_way == 0 {
            lanes.remove(leader);
        }
        None
    }

    async fn send(&self, leader: &Leader, message: Vec<Waiting>) {
        let singly = |(who, since): &(Leader, Instant)| who == leader && monotonic() < *since + ONE_BY_ONE;
        if message.len() == 1 || self.one_by_one.lock().as_ref().is_some_and(singly) {
            return self.send_singly(leader, message).await;
        }
        let span = |one: &Waiting| one.span.in_scope(|| forwarding(Kind::Propose, leader.0));
        let spans: Vec<Span> = message.iter().map(span).collect();
        let proposals = message.iter().zip(&spans).map(|(one, span)| Forwarded {
            op_id: one.op_id,
            traceparent: traceparent(span),
            body: Arc::clone(&one.body),
        });
        let payload = codec::encode(&proposals.collect::<Vec<_>>());
        let last = message.iter().map(|one| one.deadline).max().expect("there is one");
        let left = last.saturating_duration_since(monotonic());
        let sent = self.peers.call(Rpc::ProposeMany, &leader.1, leader.0, Kind::ProposeMany, payload, left).await;
        drop(spans);
        match sent {
            Ok(reply) => {
                let attempts: Option<Vec<Attempt>> = codec::decode(&reply).ok();
                let attempts = attempts.filter(|attempts| attempts.len() == message.len());
                let mut attempts = attempts.map(Vec::into_iter);
                for one in message {
                    let answered = attempts.as_mut().and_then(Iterator::next);
                    let unread = || Ok(Err(unknown(&leader.1, "its answer cannot be read")));
                    let _ = one.answer.send(answered.unwrap_or_else(unread));
                }
            }
            // A version that takes them one by one only.
            Err(CallError::NotUnderstood { .. }) => {
                *self.one_by_one.lock() = Some((leader.clone(), monotonic()));
                self.send_singly(leader, message).await;
            }
            Err(error) => {
                for one in message {
                    let _ = one.answer.send(failed(&error));
                }
            }
        }
    }

    async fn send_singly(&self, leader: &Leader, message: Vec<Waiting>) {
        join_all(message.into_iter().map(|one| self.send_one(leader, one))).await;
    }

    async fn send_one(&self, leader: &Leader, one: Waiting) {
        let payload = codec::encode(&(one.op_id, &one.body));
        let left = one.deadline.saturating_duration_since(monotonic());
        let call = self.peers.call(Rpc::Propose, &leader.1, leader.0, Kind::Propose, payload, left);
        let attempt = match call.instrument(one.span).await {
            Ok(reply) => codec::decode(&reply).unwrap_or_else(|error| Ok(Err(unknown(&leader.1, error)))),
            Err(error) => failed(&error),
        };
        let _ = one.answer.send(attempt);
    }
}

/// How the attempts ended whose message failed so.
fn failed(error: &CallError) -> Attempt {
    match error {
        CallError::Lost { address, reason } => Ok(Err(unknown(address, reason))),
        CallError::Removed { .. } => Ok(Err(removed())),
        CallError::NotSent { .. }
        | CallError::Refused { .. }
        | CallError::NotUnderstood { .. }
        | CallError::AddressTaken { .. } => Err(Rejection::NotLeader { leader: None }),
    }
}

fn unknown(address: &str, why: impl std::fmt::Display) -> ProposeError {
    ProposeError::Unknown(format!("the leader at {address} did not answer: {why}"))
}

fn not_sent() -> ProposeError {
    ProposeError::NotProposed("the leader has not answered what was sent before; it may have too much to do".into())
}

/// What is proposed on a node that was removed.
pub(super) fn removed() -> ProposeError {
    ProposeError::NotProposed("this node was removed from the cluster; ask another one".into())
}

#[cfg(test)]
mod tests;
