//! History: what is let go of is refused by every node alike, what is kept is right across schema changes, and space is given
//! back.

use std::path::Path;
use std::time::Duration;

use tonic::{Code, Status};

use crate::harness::wire::authzed::{WatchRequest, ZedToken};
use crate::harness::{
    Cluster, SCHEMA, SETTLE_LIMIT, Settings, delete, eventually, exactly, filter, minimize, reason_of, touch, within,
};

/// So many of the newest states are kept for certain, however slow the machine is; of the others, a second's worth.
const KEPT: u64 = 40;
/// So many more and all of before is let go of: it goes in parts of a tenth of what is kept.
const PAST: u64 = KEPT + KEPT / 2;

fn short_history() -> Settings {
    Settings { history: Some((1_000, KEPT)), snapshot_after_entries: Some(1_000_000), ..Settings::default() }
}

/// Moves every state of before out of what is kept.
async fn write_past(cluster: &Cluster, name: &str) {
    for n in 0..PAST {
        let update = touch(&format!("document:{name}-{n}#viewer@user:tom"));
        cluster.client(0).write([update]).await.unwrap();
    }
}

/// Waits until the states below `index` are let go of on every running node, and all of them stand at the same.
async fn wait_until_expired(cluster: &Cluster, index: u64) {
    let running: Vec<usize> = cluster.others(&[]).into_iter().filter(|node| cluster.nodes[*node].runs()).collect();
    eventually("history is let go of on every node", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&running).await;
        let oldest = statuses.first().map_or(0, |(_, status)| status.oldest_index);
        let alike = statuses.iter().all(|(_, status)| status.oldest_index == oldest);
        if statuses.len() == running.len() && alike && oldest > index { Ok(()) } else { Err(statuses) }
    })
    .await;
    cluster.assert_same_state().await;
}

fn assert_expired(what: &str, node: usize, answer: Result<impl std::fmt::Debug, Status>) {
    let status = answer.expect_err("it is too old");
    let reason = reason_of(&status);
    assert_eq!((status.code(), reason.as_deref()), (Code::OutOfRange, Some("REVISION_EXPIRED")), "{what}, node {node}");
}

/// Every way of asking for the past at `zookie` is refused on every running node.
async fn assert_gone(cluster: &Cluster, zookie: &ZedToken) {
    for node in cluster.others(&[]).into_iter().filter(|node| cluster.nodes[*node].runs()) {
        let client = cluster.client(node);
        assert_expired("a check", node, client.check("document:old#view@user:tom", exactly(zookie)).await);
        assert_expired("a read", node, client.read(filter("document"), exactly(zookie)).await);
        let start = WatchRequest { optional_start_cursor: Some(zookie.clone()), ..Default::default() };
        assert_expired("a watch", node, client.watches.clone().watch(start).await.map(|_| ()));
    }
}

/// What the nodes say of the state at each zookie.
async fn assert_snapshots(cluster: &Cluster, check: &str, expected: &[(&ZedToken, bool)]) {
    for node in cluster.others(&[]).into_iter().filter(|node| cluster.nodes[*node].runs()) {
        for (zookie, allowed) in expected {
            let answer = cluster.client(node).check(check, exactly(zookie)).await;
            assert_eq!(answer.unwrap().allowed, *allowed, "{check} on node {node} at {zookie:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_answers_an_old_zookie_the_same_way() {
    let mut cluster = Cluster::form_with(3, short_history()).await;
    cluster.add_learner().await;
    let client = cluster.client(0);
    let old = client.write([touch("document:old#viewer@user:tom")]).await.unwrap();
    let index = cluster.assert_same_state().await;
    assert_snapshots(&cluster, "document:old#view@user:tom", &[(&old, true)]).await;
    // Every node has told of what came next, and still has it at hand when it must refuse to.
    let mut watches = Vec::new();
    for node in cluster.others(&[]) {
        let start = WatchRequest { optional_start_cursor: Some(old.clone()), ..Default::default() };
        watches.push(cluster.client(node).watches.clone().watch(start).await.unwrap().into_inner());
    }
    client.write([delete("document:old#viewer@user:tom")]).await.unwrap();
    write_past(&cluster, "first").await;
    for watch in &mut watches {
        within("the first change", SETTLE_LIMIT, watch.message())
            .await
            .unwrap()
            .expect("a watch has no end of its own");
    }
    wait_until_expired(&cluster, index).await;
    assert_gone(&cluster, &old).await;

    // Among the newest states: who may view is told by the schema of the state, not by the one of today.
    let check = "document:plan#view@user:tom";
    let written = client.write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let narrow = SCHEMA.replace("permission view = viewer + owner - banned", "permission view = owner - banned");
    let narrowed = client.write_schema(&narrow).await.unwrap();
    let owned = client.write([touch("document:plan#owner@user:tom")]).await.unwrap();
    let widened = client.write_schema(SCHEMA).await.unwrap();
    let last = client.write([delete("document:plan#owner@user:tom"), delete("document:plan#viewer@user:tom")]).await;
    let last = last.unwrap();
    let all = [(&written, true), (&narrowed, false), (&owned, true), (&widened, true), (&last, false)];
    assert_snapshots(&cluster, check, &all).await;

    // A restarted node, and one that gets its state as a snapshot, answer like the others.
    let follower = cluster.others(&[cluster.leader().await])[0];
    cluster.nodes[follower].kill();
    assert_eq!(cluster.nodes[follower].start().await, "member");
    cluster.leader().await;
    for node in cluster.others(&[]) {
        cluster.client(node).snapshot().await.unwrap();
    }
    let added = cluster.add_node().await;
    cluster.assert_same_state().await;
    assert!(cluster.status(added).await.snapshot_index > index, "it came by a snapshot");
    assert_snapshots(&cluster, check, &all).await;
    assert_gone(&cluster, &old).await;

    // And when history goes on, the schema that was in force when what is kept began is kept as well.
    let index = cluster.assert_same_state().await;
    write_past(&cluster, "second").await;
    wait_until_expired(&cluster, index).await;
    assert_gone(&cluster, &last).await;
    assert!(cluster.client(added).check("document:second-3#view@user:tom", minimize()).await.unwrap().allowed);
    let (rows, at) = cluster.client(added).read(filter("document"), minimize()).await.unwrap();
    assert_eq!(rows.len() as u64, 2 * PAST);
    let at = at.expect("rows were read");
    for node in cluster.others(&[]) {
        assert_eq!(cluster.client(node).read(filter("document"), exactly(&at)).await.unwrap().0, rows, "node {node}");
    }
}

/// An idle cluster keeps what it has, and writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_cluster_is_left_alone() {
    let cluster = Cluster::form_with(1, short_history()).await;
    write_past(&cluster, "some").await;
    let zookie = cluster.client(0).write([touch("document:last#viewer@user:tom")]).await.unwrap();
    let index = cluster.status(0).await.applied_index;
    eventually("what can go is gone", SETTLE_LIMIT, async || {
        let status = cluster.status(0).await;
        if status.oldest_index + KEPT + KEPT / 10 >= index { Ok(()) } else { Err(status) }
    })
    .await;
    let settled = cluster.status(0).await;
    // Three times as long as anything is kept for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let later = cluster.status(0).await;
    assert!(later.last_log_index <= settled.last_log_index + 3, "{settled:?}, then {later:?}");
    assert!(cluster.client(0).check("document:last#view@user:tom", exactly(&zookie)).await.unwrap().allowed);
}

/// Bytes of all files below `folder`. Files come and go while it is read.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collected_history_gives_its_space_back() {
    let cluster = Cluster::form_with(3, Settings { history: Some((15_000, 1)), ..short_history() }).await;
    let states: Vec<_> = cluster.nodes.iter().map(|node| node.data.join("state")).collect();
    let sizes = || states.iter().map(|state| bytes_below(state)).collect::<Vec<_>>();
    let client = cluster.client(cluster.leader().await);
    let padding = "p".repeat(200);
    let names: Vec<String> = (0..1000).map(|n| format!("document:{padding}{n:04}#viewer@user:tom")).collect();
    let mut most = sizes();
    for round in 0..32 {
        let updates = names.iter().map(|name| if round % 2 == 0 { touch(name) } else { delete(name) });
        client.write(updates).await.unwrap();
        most = most.into_iter().zip(sizes()).map(|(most, size)| most.max(size)).collect();
    }
    let last = client.write([touch("document:last#viewer@user:tom")]).await.unwrap();
    eventually("every node gives space back", Duration::from_secs(60), async || {
        let now = sizes();
        if now.iter().zip(&most).all(|(now, most)| now * 2 < *most) { Ok(()) } else { Err((most.clone(), now)) }
    })
    .await;
    cluster.assert_same_state().await;
    for node in cluster.others(&[]) {
        let (rows, _) = cluster.client(node).read(filter("document"), exactly(&last)).await.unwrap();
        assert_eq!(rows, ["document:last#viewer@user:tom"], "node {node}");
    }
}
