//! Catching up by snapshot: a node that was away past a purge, and a node that joins after one.

use std::time::Duration;

use crate::harness::{Client, Cluster, SETTLE_LIMIT, Settings, eventually, exactly, filter, minimize, touch};

/// Comfortably more entries than the log keeps.
const WRITES: usize = 600;

fn small_logs() -> Settings {
    Settings { snapshot_after_entries: Some(100), keep_entries: Some(20), ..Settings::default() }
}

/// [`WRITES`] writes of one tuple each, some at a time.
async fn write_many(client: &Client, name: &str) {
    for start in (0..WRITES).step_by(50) {
        let writes = (start..start + 50)
            .map(async |n| client.write([touch(&format!("document:{name}-{n}#viewer@user:tom"))]).await);
        for written in futures::future::join_all(writes).await {
            written.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_behind_the_purged_log_catch_up_by_snapshot() {
    let mut cluster = Cluster::form_with(3, small_logs()).await;
    let absent = cluster.others(&[cluster.leader().await])[0];
    write_many(&cluster.client(0), "early").await;
    let had = cluster.assert_same_state().await;
    assert!(cluster.nodes[absent].stop().await.success());

    let present = cluster.others(&[absent]);
    write_many(&cluster.client(present[0]), "late").await;
    for index in &present {
        cluster.client(*index).snapshot().await.unwrap();
    }
    eventually("the log that the absent node needs is purged everywhere", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&present).await;
        if statuses.len() == 2 && statuses.iter().all(|(_, s)| s.purged_index > had) { Ok(()) } else { Err(statuses) }
    })
    .await;
    let zookie = cluster.client(present[0]).write([touch("document:last#viewer@user:tom")]).await.unwrap();

    assert_eq!(cluster.nodes[absent].start().await, "member");
    cluster.assert_same_state().await;
    let status = cluster.status(absent).await;
    assert!(status.snapshot_index > had, "only a snapshot can have bridged the gap after {had}: {status:?}");
    assert_complete(&cluster.client(absent)).await;

    // A node that was never there takes the same way.
    let added = cluster.add_node().await;
    cluster.assert_same_state().await;
    let status = cluster.status(added).await;
    assert!(status.snapshot_index > had, "{status:?}");
    assert_eq!(status.members.iter().filter(|member| member.voter).count(), 4);
    assert_complete(&cluster.client(added)).await;
    // The past came along with the snapshot: this zookie was made before the node was.
    assert!(cluster.client(added).check("document:last#view@user:tom", exactly(&zookie)).await.unwrap().allowed);

    // And its vote counts: with one of four away, three are the majority.
    let gone = cluster.others(&[added])[0];
    cluster.nodes[gone].kill();
    eventually("writes go on with the new voter", Duration::from_secs(15), async || {
        cluster.client(added).write([touch("document:after#viewer@user:tom")]).await
    })
    .await;
}

/// All tuples are on this node itself.
async fn assert_complete(client: &Client) {
    let (rows, _) = client.read(filter("document"), minimize()).await.unwrap();
    assert_eq!(rows.len(), 2 * WRITES + 1);
    for name in ["early", "late"] {
        let check = format!("document:{name}-{}#view@user:tom", WRITES - 1);
        assert!(client.check(&check, minimize()).await.unwrap().allowed, "{check}");
    }
}
