//! Changes to the members and to who leads them, while clients write.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::harness::{Client, Cluster, Fault, Load, SETTLE_LIMIT, eventually, reason_of, run_at, say, touch, within};

/// What a transfer may take as a whole on a busy machine.
const TRANSFER_LIMIT: Duration = Duration::from_secs(15);

/// Writes one after another until `done` ends, and gives the longest time between two acknowledgements.
async fn longest_gap<T>(client: Client, done: impl Future<Output = T>) -> (T, Duration) {
    let mut done = std::pin::pin!(done);
    let mut longest = Duration::ZERO;
    let mut ended = None;
    let mut last = Instant::now();
    for number in 0.. {
        let tuple = format!("document:gap-{number}#banned@user:nobody");
        let write = eventually("a write", SETTLE_LIMIT, async || client.write([touch(&tuple)]).await);
        let mut write = std::pin::pin!(write);
        loop {
            tokio::select! {
                _ = &mut write => break,
                value = &mut done, if ended.is_none() => ended = Some(value),
            }
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if ended.is_some() {
            break;
        }
    }
    (ended.expect("the loop ends when it is there"), longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_under_load_without_a_failed_write() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let mut load = Load::start(&cluster.clients(), 4);
    load.progress(50).await;
    for round in 0..6 {
        let old = cluster.leader_among(&[0, 1, 2]).await;
        let new = (old + 1 + round % 2) % 3;
        let to = cluster.status(new).await.node_id;
        // Asked of the leader, of the next one, and of the learner in turn.
        let asked = cluster.client([old, new, learner][round % 3]);
        let begun = Instant::now();
        let transfer = within("a transfer", TRANSFER_LIMIT, async {
            asked.transfer_leader(to).await.map(|t| (t, begun.elapsed()))
        });
        let (done, gap) = longest_gap(cluster.client(new), transfer).await;
        let (answer, took) = done.unwrap();
        assert_eq!((answer.leader_id, cluster.leader_among(&[0, 1, 2]).await), (to, new), "round {round}");
        say(&format!(
            "transfer to node {to}: answered after {took:?}, longest time between two acknowledged writes {gap:?}"
        ));
    }
    load.progress(50).await;
    load.stop().await;
    assert_eq!(load.unknown(), 0, "{}", load.summary());
    load.verify_exactly(&cluster.client(learner)).await;
    say(&format!("transfers: {}", load.summary()));
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_to_no_node_that_cannot_have_it() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let leader = cluster.leader_among(&[0, 1, 2]).await;
    let (leader_id, learner_id) = (cluster.status(leader).await.node_id, cluster.status(learner).await.node_id);
    let client = cluster.client(learner);
    let refused = async |to: u64| {
        let status = client.transfer_leader(to).await.expect_err("it was accepted");
        (status.code(), reason_of(&status).unwrap_or_default())
    };
    assert_eq!(refused(learner_id).await, (Code::FailedPrecondition, "WRONG_STATE".to_owned()));
    assert_eq!(refused(99).await, (Code::NotFound, "UNKNOWN_NODE".to_owned()));

    let same = client.transfer_leader(leader_id).await.unwrap();
    assert!(!same.changed && same.leader_id == leader_id, "{same:?}");

    // A voter that does not answer is refused once its silence is noticed, and the other one is chosen in its place.
    let followers: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
    let silent = cluster.status(followers[0]).await.node_id;
    cluster.nodes[followers[0]].inflict(Fault::Pause);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(refused(silent).await, (Code::FailedPrecondition, "NODE_BEHIND".to_owned()));
    client.write([touch("document:still#viewer@user:tom")]).await.unwrap();
    let chosen = client.transfer_leader(0).await.unwrap();
    assert_eq!(chosen.leader_id, cluster.status(followers[1]).await.node_id, "{chosen:?}");
    cluster.nodes[followers[0]].inflict(Fault::Resume);

    let ran = run_at(&cluster, learner, &["cluster", "transfer-leader", "--to", &leader_id.to_string()]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("node {leader_id} leads, in term")), "{ran:?}");
    let ran = run_at(&cluster, learner, &["cluster", "transfer-leader", "--to", "99"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("UNKNOWN_NODE"), "{ran:?}");
    cluster.assert_same_state().await;
}
