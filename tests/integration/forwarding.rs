//! One address is enough: followers forward. And what cannot be answered within its promise is an error, within a bound.

use std::time::Duration;

use crate::harness::{
    Client, Cluster, Fault, Outcome, SETTLE_LIMIT, Settings, at_least, delete, eventually, fully, minimize, outcome_of,
    touch, within,
};

/// The nodes' own bound on a request.
const REQUEST_TIMEOUT_MS: u64 = 2000;
/// What a client may see of it at most.
const BOUND: Duration = Duration::from_secs(8);
/// The longest that a cluster may be without a leader after losing one.
const FAIL_OVER: Duration = Duration::from_secs(15);

fn short_requests() -> Settings {
    Settings { request_timeout_ms: Some(REQUEST_TIMEOUT_MS), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_surviving_node_takes_writes_after_the_leader_died() {
    let mut cluster = Cluster::form_with(3, short_requests()).await;
    for round in 0..2 {
        let leader = cluster.leader().await;
        let survivors = cluster.others(&[leader]);
        cluster.nodes[leader].kill();
        for index in &survivors {
            let client = cluster.client(*index);
            let tuple = format!("document:round-{round}-{index}#viewer@user:tom");
            // A touch may be tried again whatever became of the attempt before.
            eventually("a write through a survivor", FAIL_OVER, async || client.write([touch(&tuple)]).await).await;
            let check = format!("document:round-{round}-{index}#view@user:tom");
            for reader in &survivors {
                let reader = cluster.client(*reader);
                let answer =
                    eventually("a read on a survivor", FAIL_OVER, async || reader.check(&check, fully()).await).await;
                assert!(answer.allowed);
            }
        }
        cluster.nodes[leader].start().await;
    }
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_there_are_errors_and_local_answers_only() {
    let mut cluster = Cluster::form_with(3, short_requests()).await;
    let learner = cluster.add_learner().await;
    let zookie = cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    for client in cluster.clients() {
        assert!(client.check("document:plan#view@user:tom", at_least(&zookie)).await.unwrap().allowed);
    }
    for role in ["leader", "follower", "learner"] {
        let leader = cluster.leader().await;
        let survivor = match role {
            "leader" => leader,
            "follower" => cluster.others(&[leader, learner])[0],
            _ => learner,
        };
        let client = cluster.client(survivor);
        client.status().await.unwrap(); // The connection is there before the fault.
        for index in cluster.others(&[survivor]) {
            cluster.nodes[index].inflict(Fault::Pause);
        }
        let tuple = format!("document:minority-{role}#viewer@user:tom");
        let outcome = assert_only_local_answers(&client, &tuple).await;
        for index in cluster.others(&[survivor]) {
            cluster.nodes[index].inflict(Fault::Resume);
        }
        let check = tuple.replace("#viewer@", "#view@");
        let answer =
            eventually("the majority is back", SETTLE_LIMIT, async || client.check(&check, fully()).await).await;
        if outcome == Outcome::NothingWritten {
            assert!(!answer.allowed, "it said that nothing was written");
        }
    }
    cluster.assert_same_state().await;
}

/// On a node that reaches no majority. What the write said of its outcome.
async fn assert_only_local_answers(client: &Client, tuple: &str) -> Outcome {
    let check = "document:plan#view@user:tom";
    let write = within("a write without a majority", BOUND, client.write([touch(tuple)])).await;
    let outcome = outcome_of(&write.expect_err("a write was acknowledged without a majority"));
    assert_ne!(outcome, Outcome::Refused);
    let full = within("a linearizable read without a majority", BOUND, client.check(check, fully())).await;
    assert!(full.is_err(), "a linearizable read was answered without a majority: {full:?}");
    let local = within("a local read", BOUND, client.check(check, minimize())).await.unwrap();
    assert!(local.allowed);
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_paused_never_answers_from_its_old_state() {
    let cluster = Cluster::form_with(3, short_requests()).await;
    let (tuple, check) = ("document:secret#viewer@user:mallory", "document:secret#view@user:mallory");
    for round in 0..3 {
        let old = cluster.leader().await;
        let old_client = cluster.client(old);
        old_client.write([touch(tuple)]).await.unwrap();
        assert!(old_client.check(check, fully()).await.unwrap().allowed);

        cluster.nodes[old].inflict(Fault::Pause);
        let others = cluster.others(&[old]);
        let new = cluster.leader_among(&others).await;
        let revoker = cluster.client(new);
        eventually("the revocation", FAIL_OVER, async || revoker.write([delete(tuple)]).await).await;

        // The requests lie in the paused node's socket when its time goes on: it still believes that it leads.
        let ask = |client: Client| tokio::spawn(async move { client.check(check, fully()).await });
        let asked: Vec<_> = (0..16).map(|_| ask(old_client.clone())).collect();
        // Time to reach the socket. Nothing rests on it: an answer that is asked for later must be right as well.
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.nodes[old].inflict(Fault::Resume);
        let answers = within("answers of the old leader", BOUND, futures::future::join_all(asked)).await;
        let answers: Vec<_> = answers.into_iter().map(|asked| asked.expect("the checks do not panic")).collect();
        let stale = answers.iter().flatten().filter(|answer| answer.allowed).count();
        assert_eq!(stale, 0, "round {round}: the old leader allowed what had been revoked");
        let caught_up =
            eventually("the old leader serves again", SETTLE_LIMIT, async || old_client.check(check, fully()).await);
        assert!(!caught_up.await.allowed);
    }
    cluster.assert_same_state().await;
}
