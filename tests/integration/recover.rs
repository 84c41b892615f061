//! The majority is lost for good: what the last node has becomes a new cluster, and nothing of the old one disturbs it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::wire::authzed::ZedToken;
use crate::harness::wire::cluster::status_response::State;
use crate::harness::{
    Cluster, Load, Ran, SETTLE_LIMIT, at_least, binary, copy_folder, create, eventually, exactly, filter, fully,
    reason_of, run_command, touch,
};

async fn recover(data: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.arg("recover").arg("--data-dir").arg(data).args(more);
    run_command(command, Duration::from_secs(60)).await
}

/// The same place in another cluster's history, as the survivor names it.
async fn check(cluster: &Cluster, index: usize, check: &str, zookie: &ZedToken) -> Result<bool, String> {
    let answer = cluster.client(index).check(check, exactly(zookie)).await;
    answer.map(|answer| answer.allowed).map_err(|status| reason_of(&status).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_of_three_goes_on_as_a_new_cluster() {
    let mut cluster = Cluster::form(3).await;
    let mut load = Load::start(&cluster.clients(), 2);
    load.progress(60).await;
    load.stop().await;
    let old = cluster.client(0).write([touch("document:old#viewer@user:tom")]).await.unwrap();
    cluster.assert_same_state().await;
    let before = cluster.status(0).await;

    let survivor = cluster.leader().await;
    let (returning, gone) = (cluster.others(&[survivor])[0], cluster.others(&[survivor])[1]);
    for index in [0, 1, 2] {
        cluster.nodes[index].kill();
    }
    let kept = cluster.nodes[returning].data.with_extension("kept");
    copy_folder(&cluster.nodes[returning].data, &kept);
    for index in [returning, gone] {
        fs::remove_dir_all(&cluster.nodes[index].data).unwrap();
    }

    let data = cluster.nodes[survivor].data.clone();
    assert_eq!(recover(&data.with_extension("none"), &[]).await.code, Some(1));
    let plan = recover(&data, &["--json"]).await;
    assert_eq!(plan.code, Some(2), "without the old cluster's name nothing is done: {plan:?}");
    let said = plan.json();
    assert!(said["lineage"].as_str() == Some(&before.lineage) && said["founded"].is_null(), "{said}");
    assert_eq!(said["lost"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(recover(&data, &["--abandon-cluster", "00000000000000ab"]).await.code, Some(2));
    assert!(!data.join(format!("before-{}", before.lineage)).exists(), "nothing was changed");
    let done = recover(&data, &["--abandon-cluster", &before.lineage, "--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");

    assert_eq!(cluster.nodes[survivor].start().await, "member");
    let in_use = recover(&data, &[]).await;
    assert!(in_use.code == Some(1) && in_use.err.contains("in use"), "{in_use:?}");
    let status = eventually("it leads itself", SETTLE_LIMIT, async || {
        let status = cluster.status(survivor).await;
        if status.state() == State::Leader { Ok(status) } else { Err(status) }
    })
    .await;
    assert_eq!(Some(status.lineage.as_str()), done.json()["founded"].as_str());
    assert_ne!(status.lineage, before.lineage);
    assert_eq!(status.members.iter().map(|member| member.node_id).collect::<Vec<_>>(), [status.node_id]);

    // Everything that was acknowledged is there, and writing goes on.
    let client = cluster.client(survivor);
    load.verify_exactly_with(&client, &["document:old#viewer@user:tom"]).await;
    let new = client.write([create("document:new#viewer@user:tom")]).await.unwrap();
    assert_eq!(check(&cluster, survivor, "document:new#view@user:tom", &new).await, Ok(true));
    assert_eq!(check(&cluster, survivor, "document:old#view@user:tom", &old).await, Err("FOREIGN_ZOOKIE".to_owned()));
    assert!(client.check("document:new#view@user:tom", at_least(&old)).await.unwrap().allowed);

    // An old member that comes back with all that it had: it is no member, and it changes nothing.
    fs::rename(&kept, &cluster.nodes[returning].data).unwrap();
    assert_eq!(cluster.nodes[returning].start().await, "member");
    eventually("the refusal is in its log", Duration::from_secs(20), async || {
        let log = cluster.nodes[returning].log();
        if log.contains("another cluster") { Ok(()) } else { Err("no word of another cluster") }
    })
    .await;
    let peers = vec![cluster.nodes[survivor].peer_address.clone()];
    cluster.client(returning).join(peers, false).await.expect_err("it is of another cluster");
    let stranger = cluster.client(returning);
    let stranger = stranger.check("document:new#view@user:tom", fully());
    assert!(tokio::time::timeout(Duration::from_secs(20), stranger).await.expect("in time").is_err());
    let after = cluster.status(survivor).await;
    assert_eq!((after.term, after.state()), (status.term, State::Leader), "{after:?}");
    client.write([touch("document:undisturbed#viewer@user:tom")]).await.unwrap();
    cluster.nodes[returning].kill();

    // Others come in with empty folders.
    for index in [returning, gone] {
        if index == gone {
            fs::create_dir_all(&cluster.nodes[index].data).unwrap();
        }
        cluster.join_anew(index, survivor).await;
    }
    cluster.assert_same_state().await;
    let statuses = cluster.statuses(&[0, 1, 2]).await;
    for (index, status) in &statuses {
        let ids: Vec<u64> = status.members.iter().filter(|member| member.voter).map(|member| member.node_id).collect();
        assert_eq!(ids.len(), 3, "node {index}: {status:?}");
        assert!(ids.iter().filter(|id| before.members.iter().any(|old| old.node_id == **id)).count() == 1, "{ids:?}");
    }
    let (rows, _) = cluster.client(gone).read(filter("document:old"), fully()).await.unwrap();
    assert_eq!(rows, ["document:old#viewer@user:tom"]);
    // And it is a cluster like any other: the founder may fail.
    cluster.nodes[survivor].kill();
    eventually("writes go on without the founder", SETTLE_LIMIT, async || {
        cluster.client(gone).write([touch("document:after#viewer@user:tom")]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_was_cut_short_is_finished_by_the_next_start() {
    let mut cluster = Cluster::form(3).await;
    cluster.client(0).write([touch("document:kept#viewer@user:tom")]).await.unwrap();
    cluster.assert_same_state().await;
    let lineage = cluster.status(0).await.lineage;
    for index in [0, 1, 2] {
        cluster.nodes[index].kill();
    }
    let data = cluster.nodes[0].data.clone();
    let untouched = data.with_extension("untouched");
    copy_folder(&data, &untouched);
    let done = recover(&data, &["--abandon-cluster", &lineage, "--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let founded = done.json()["founded"].as_str().expect("it says so").to_owned();

    // Cut short after it was decided, with only the log in its place.
    let made = data.join("founded");
    fs::create_dir(&made).unwrap();
    for name in ["state", "identity"] {
        fs::rename(data.join(name), made.join(name)).unwrap();
        copy_any(&untouched.join(name), &data.join(name));
        remove_any(&data.join(format!("before-{lineage}")).join(name));
    }
    assert_eq!(cluster.nodes[0].start().await, "member");
    assert_eq!(cluster.status(0).await.lineage, founded);
    let check = eventually("it leads itself", SETTLE_LIMIT, async || {
        cluster.client(0).check("document:kept#view@user:tom", fully()).await
    });
    assert!(check.await.allowed);
    assert!(!made.exists());
    assert!(cluster.nodes[0].stop().await.success());

    // Cut short before: the node is what it was.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&untouched, &data).unwrap();
    fs::create_dir_all(data.join("founding").join("log")).unwrap();
    assert_eq!(cluster.nodes[0].start().await, "member");
    assert_eq!(cluster.status(0).await.lineage, lineage);
    assert!(!data.join("founding").exists());
}

fn copy_any(from: &Path, to: &Path) {
    if from.is_dir() {
        copy_folder(from, to);
    } else {
        fs::copy(from, to).expect("the test's folder is writable");
    }
}

fn remove_any(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.expect("it was set aside");
}
