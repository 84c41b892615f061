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
        let first = async {
            tokio::select! {
                biased;
                answered = &mut answered => return answered,
                () = deposed => {}
            }
            if withdraw.now() { Ok(Err(Rejection::NotLeader { leader: None })) } else { answered.await }
        };
        match tokio::time::timeout_at(deadline.into(), first).await {
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

    async fn send(&self, leader: &Leader, mut message: Vec<Waiting>) {
        if message.len() == 1 {
            let one = message.pop().expect("there is one");
            return self.send_one(leader, one).await;
        }
        let singly = |(who, since): &(Leader, Instant)| who == leader && monotonic() < *since + ONE_BY_ONE;
        if self.one_by_one.lock().as_ref().is_some_and(singly) {
            join_all(message.into_iter().map(|one| self.send_one(leader, one))).await;
            return;
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
                join_all(message.into_iter().map(|one| self.send_one(leader, one))).await;
            }
            Err(error) => {
                for one in message {
                    let _ = one.answer.send(failed(&error));
                }
            }
        }
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
mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use tokio::sync::mpsc;

    use super::*;
    use crate::model::Revision;
    use crate::raft::network::PeerIdentity;
    use crate::raft::testing::Answers;
    use crate::raft::{Announcement, NodeAddress, Outcome};
    use crate::wire::quorate::peer::{Envelope, Reply};

    const LEADER: u64 = 1;

    /// A message that the leader got, with the operations that it proposes.
    struct Got {
        rpc: Rpc,
        operations: Vec<u128>,
        answer: oneshot::Sender<Result<Reply, CallError>>,
    }

    impl Got {
        /// Each operation was applied at the index that is its number.
        fn apply(self) {
            let applied = |op: &u128| -> Attempt {
                Ok(Ok(Applied::first(Revision::new(u64::try_from(*op).unwrap()), Outcome::Done)))
            };
            let attempts: Vec<Attempt> = self.operations.iter().map(applied).collect();
            let payload = match self.rpc {
                Rpc::ProposeMany => codec::encode(&attempts),
                _ => codec::encode(&attempts[0]),
            };
            let _ = self.answer.send(Ok(Reply { payload, announcement: None }));
        }
    }

    /// The way to a leader, and what comes to it.
    fn leader() -> (Arc<Forwarder>, mpsc::UnboundedReceiver<Got>) {
        let (arrive, arrived) = mpsc::unbounded_channel();
        let take = move |rpc, _, envelope: Envelope| -> BoxFuture<'static, Result<Reply, CallError>> {
            let operations = match rpc {
                Rpc::ProposeMany => {
                    let proposals: Vec<Forwarded> = codec::decode(&envelope.payload).unwrap();
                    proposals.iter().map(|one| one.op_id).collect()
                }
                _ => vec![codec::decode::<(u128, Arc<CommandBody>)>(&envelope.payload).unwrap().0],
            };
            let (answer, answered) = oneshot::channel();
            let _ = arrive.send(Got { rpc, operations, answer });
            answered.map(|answer| answer.expect("an answer")).boxed()
        };
        let me = PeerIdentity { lineage: 7, node_id: 2 };
        (Arc::new(Forwarder::new(Arc::new(Peers::new(me, Announcement::none(), Arc::new(Answers(take)))))), arrived)
    }

    /// Forwards an operation of so many bytes.
    async fn propose(forwarder: Arc<Forwarder>, op_id: u128, bytes: usize, deadline: Instant) -> Attempt {
        let body = Arc::new(CommandBody::AdmitNode(NodeAddress::default()));
        forwarder.forward((LEADER, "a:1".to_owned()), op_id, (&body, bytes), deadline, std::future::pending()).await
    }

    fn soon() -> Instant {
        monotonic() + Duration::from_secs(30)
    }

    fn index(attempt: Attempt) -> u64 {
        attempt.unwrap().unwrap().revision.index()
    }

    /// Proposes these operations, one after the other.
    async fn all_of(
        forwarder: &Arc<Forwarder>,
        operations: impl Iterator<Item = (u128, usize)>,
    ) -> Vec<tokio::task::JoinHandle<Attempt>> {
        let mut proposed = Vec::new();
        for (op, bytes) in operations {
            proposed.push(tokio::spawn(propose(Arc::clone(forwarder), op, bytes, soon())));
            tokio::task::yield_now().await;
        }
        proposed
    }

    #[tokio::test]
    async fn what_gathers_while_messages_are_under_way_goes_in_one_and_each_gets_its_own_answer() {
        let (forwarder, mut arrived) = leader();
        let proposed = all_of(&forwarder, (1..=10).map(|op| (op, 100))).await;
        let mut first = Vec::new();
        for op in 1..=MOST_UNDER_WAY as u128 {
            let got = arrived.recv().await.unwrap();
            assert_eq!((got.rpc, &got.operations), (Rpc::Propose, &vec![op]), "an idle way takes each at once");
            first.push(got);
        }
        assert!(arrived.try_recv().is_err(), "no more messages than may be under way");
        first.remove(0).apply();
        let rest = arrived.recv().await.unwrap();
        assert_eq!((rest.rpc, &rest.operations), (Rpc::ProposeMany, &(5..=10).collect()));
        rest.apply();
        first.into_iter().for_each(Got::apply);
        for (op, proposed) in (1..).zip(proposed) {
            assert_eq!(index(proposed.await.unwrap()), op);
        }
        while !forwarder.lanes.lock().is_empty() {
            tokio::task::yield_now().await; // Nothing is kept of a leader to whom nothing is under way.
        }
    }

    #[tokio::test]
    async fn a_message_has_bounds() {
        let (forwarder, mut arrived) = leader();
        let small = 2 * MOST_IN_ONE;
        let first = [1; MOST_UNDER_WAY];
        let sizes = [first.as_slice(), &[MOST_BYTES * 2, MOST_BYTES / 2, MOST_BYTES / 2], &vec![0; small]].concat();
        let proposed = all_of(&forwarder, (1..).zip(sizes)).await;
        let mut counts = Vec::new();
        for _ in 0..MOST_UNDER_WAY + 4 {
            let got = arrived.recv().await.unwrap();
            counts.push(got.operations.len());
            got.apply();
        }
        assert_eq!(counts, [1, 1, 1, 1, 1, MOST_IN_ONE, MOST_IN_ONE, 2]);
        join_all(proposed).await;
    }

    #[tokio::test]
    async fn a_leader_that_takes_one_at_a_time_gets_one_at_a_time() {
        let (forwarder, mut arrived) = leader();
        let proposed = all_of(&forwarder, (1..=MOST_UNDER_WAY as u128 + 2).map(|op| (op, 1))).await;
        for _ in 0..MOST_UNDER_WAY {
            arrived.recv().await.unwrap().apply();
        }
        let many = arrived.recv().await.unwrap();
        assert_eq!(many.rpc, Rpc::ProposeMany);
        let old = tonic::Status::unimplemented("message kind 12");
        let _ = many.answer.send(Err(CallError::of_status("a:1".into(), &old)));
        for op in [5, 6] {
            let got = arrived.recv().await.unwrap();
            assert_eq!((got.rpc, &got.operations), (Rpc::Propose, &vec![op]));
            got.apply();
        }
        for (op, proposed) in (1..).zip(proposed) {
            assert_eq!(index(proposed.await.unwrap()), op);
        }
        // And goes on so, without being asked each time.
        let proposed = all_of(&forwarder, (1..=MOST_UNDER_WAY as u128 + 2).map(|op| (op, 1))).await;
        for _ in &proposed {
            let got = arrived.recv().await.unwrap();
            assert_eq!(got.rpc, Rpc::Propose);
            got.apply();
        }
        join_all(proposed).await;
    }

    #[tokio::test]
    async fn what_was_not_sent_to_a_leader_that_was_deposed_goes_to_the_next() {
        let (forwarder, mut arrived) = leader();
        let (elect, elected) = tokio::sync::watch::channel(false);
        let mut proposed = Vec::new();
        for op in 1..=MOST_UNDER_WAY as u128 + 1 {
            let (forwarder, mut elected) = (Arc::clone(&forwarder), elected.clone());
            proposed.push(tokio::spawn(async move {
                let body = Arc::new(CommandBody::AdmitNode(NodeAddress::default()));
                let deposed = async { drop(elected.wait_for(|elected| *elected).await) };
                forwarder.forward((LEADER, "a:1".to_owned()), op, (&body, 1), soon(), deposed).await
            }));
            tokio::task::yield_now().await;
        }
        elect.send(true).unwrap();
        assert_eq!(proposed.pop().unwrap().await.unwrap(), Err(Rejection::NotLeader { leader: None }));
        // What was sent may be in its log: it waits for the answer.
        for op in 1..=MOST_UNDER_WAY as u64 {
            arrived.recv().await.unwrap().apply();
            assert_eq!(index(proposed.remove(0).await.unwrap()), op);
        }
        assert!(arrived.try_recv().is_err(), "what was taken back is never sent");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_in_time_was_not_proposed_and_what_was_sent_may_have_been() {
        let (forwarder, mut arrived) = leader();
        let deadline = monotonic() + Duration::from_secs(1);
        let mut proposed = Vec::new();
        for op in 1..=MOST_UNDER_WAY as u128 + 1 {
            proposed.push(tokio::spawn(propose(Arc::clone(&forwarder), op, 1, deadline)));
            tokio::task::yield_now().await;
        }
        let mut got = Vec::new();
        for _ in 0..MOST_UNDER_WAY {
            got.push(arrived.recv().await.unwrap());
        }
        let mut ended = join_all(proposed).await;
        let last = ended.pop().unwrap().unwrap();
        assert_eq!(last, Ok(Err(not_sent())));
        for attempt in ended {
            assert!(matches!(attempt.unwrap(), Ok(Err(ProposeError::Unknown(_)))));
        }
        got.into_iter().for_each(Got::apply);
        while !forwarder.lanes.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(arrived.try_recv().is_err(), "what was taken back is never sent");
    }

    #[tokio::test]
    async fn the_failure_of_a_message_is_that_of_each_in_it() {
        let failures = [
            (CallError::Lost { address: "a:1".into(), reason: "cut".into() }, "unknown"),
            (CallError::Refused { address: "a:1".into(), reason: "no".into() }, "again"),
            (CallError::NotSent { address: "a:1".into(), reason: "down".into() }, "again"),
        ];
        for (failure, expected) in failures {
            let (forwarder, mut arrived) = leader();
            let proposed = all_of(&forwarder, (1..=MOST_UNDER_WAY as u128 + 2).map(|op| (op, 1))).await;
            let mut under_way = Vec::new();
            for _ in 0..MOST_UNDER_WAY {
                under_way.push(arrived.recv().await.unwrap());
            }
            under_way.remove(0).apply();
            let many = arrived.recv().await.unwrap();
            assert_eq!(many.operations, [5, 6]);
            let _ = many.answer.send(Err(failure.clone()));
            under_way.into_iter().for_each(Got::apply);
            for proposed in proposed.into_iter().skip(MOST_UNDER_WAY) {
                let became = match proposed.await.unwrap() {
                    Ok(Err(ProposeError::Unknown(_))) => "unknown",
                    Err(Rejection::NotLeader { leader: None }) => "again",
                    _ => "else",
                };
                assert_eq!(became, expected, "{failure}");
            }
        }
    }
}
