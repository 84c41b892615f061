//! What gathers on its way to the leader, and what becomes of it there.

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
