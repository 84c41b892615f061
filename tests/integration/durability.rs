//! What was acknowledged stays: through `kill -9` of each node in turn under load, and of all nodes at once.

use crate::harness::{Cluster, Load, SETTLE_LIMIT, copy_folder, eventually, fully, put_back, say, touch};

/// Writers at each node.
const WRITERS_EACH: usize = 2;
/// Writes that must be acknowledged between two faults, so that every fault meets work.
const BETWEEN_FAULTS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_each_node_in_turn_loses_no_acknowledged_write() {
    let mut cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    let mut load = Load::start(&clients, WRITERS_EACH);
    load.progress(BETWEEN_FAULTS).await;
    // The leader last as well: it may have changed by then, so each node is killed, and whoever leads at the end again.
    for round in 0..4 {
        let victim = if round < 3 { round } else { cluster.leader().await };
        cluster.nodes[victim].kill();
        load.progress(BETWEEN_FAULTS).await; // The two others go on.
        assert_eq!(cluster.nodes[victim].start().await, "member");
        for client in &clients {
            load.verify(client).await;
        }
        load.progress(BETWEEN_FAULTS).await;
    }
    load.stop().await;
    cluster.assert_same_state().await;
    for client in &clients {
        load.verify_exactly(client).await;
    }
    say(&format!("each node killed in turn: {}", load.summary()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_all_nodes_at_once_loses_no_acknowledged_write() {
    let mut cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    let mut load = Load::start(&clients, WRITERS_EACH);
    load.progress(3 * BETWEEN_FAULTS).await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        assert_eq!(node.ready().await, "member");
    }
    load.progress(BETWEEN_FAULTS).await; // The same writers find the same addresses again.
    load.stop().await;
    cluster.assert_same_state().await;
    for client in &clients {
        load.verify_exactly(client).await;
    }
    say(&format!("all nodes killed at once: {}", load.summary()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_and_start_keeps_everything() {
    let mut cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    let mut load = Load::start(&clients, WRITERS_EACH);
    load.progress(BETWEEN_FAULTS).await;
    load.stop().await;
    let before = cluster.assert_same_state().await;
    for node in &mut cluster.nodes {
        let status = node.stop().await;
        assert!(status.success(), "{} was asked to stop: {status}", node.name);
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        assert_eq!(node.ready().await, "member");
    }
    for client in &clients {
        let read = eventually("the cluster serves again", SETTLE_LIMIT, async || {
            client.check("document:none#view@user:nobody", fully()).await
        });
        assert!(!read.await.allowed);
        load.verify_exactly(client).await;
    }
    assert!(cluster.assert_same_state().await >= before);
}

/// A killed leader may have lost the end of its log while followers have it. If it went on in the same term, it would give
/// log ids that they know to other entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_comes_back_at_once_leads_in_a_new_term() {
    let mut cluster = Cluster::form(3).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let term = cluster.status(leader).await.term;
        cluster.nodes[leader].kill();
        assert_eq!(cluster.nodes[leader].start().await, "member");
        let later = eventually("somebody leads in a later term", SETTLE_LIMIT, async || {
            let leader = cluster.leader().await;
            let status = cluster.status(leader).await;
            if status.term > term {
                Ok(status.term)
            } else {
                Err(format!("node {leader} leads in term {}", status.term))
            }
        })
        .await;
        assert!(later > term);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_what_it_acknowledged_does_not_take_the_leader_along() {
    let mut cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let reverted = cluster.others(&[leader])[0];
    cluster.client(leader).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    cluster.assert_same_state().await;
    assert!(cluster.nodes[reverted].stop().await.success());
    let (data, image) = (cluster.nodes[reverted].data.clone(), cluster.nodes[reverted].data.with_extension("image"));
    copy_folder(&data, &image);
    assert_eq!(cluster.nodes[reverted].start().await, "member");
    cluster.client(leader).write([touch("document:plan#banned@user:tom")]).await.unwrap();
    cluster.assert_same_state().await;
    let term = cluster.status(leader).await.term;

    cluster.nodes[reverted].kill();
    put_back(&image, &data);
    assert_eq!(cluster.nodes[reverted].start().await, "member");
    eventually("the leader says so", SETTLE_LIMIT, async || {
        if cluster.nodes[leader].log().contains("was put back to an earlier state") { Ok(()) } else { Err("not yet") }
    })
    .await;
    // It knows nothing of the ban, and so must not answer.
    let answer = cluster.client(reverted).check("document:plan#view@user:tom", fully()).await;
    assert!(answer.is_err(), "{answer:?}");
    cluster.client(leader).write([touch("document:plan#viewer@user:eve")]).await.expect("two are a majority");
    let status = cluster.status(leader).await;
    assert_eq!((status.leader_id, status.term), (status.node_id, term), "it leads as before");

    let id = cluster.status(reverted).await.node_id;
    assert!(cluster.client(leader).remove(id).await.unwrap());
    cluster.client(leader).write([touch("document:plan#viewer@user:ann")]).await.unwrap();
}
