//! Zookies that do not belong: of another cluster, and from a future that was lost by restoring an old copy of the data.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Cluster, at_least, exactly, reason_of, touch, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zookie_of_another_cluster_is_told_apart() {
    let ours = Cluster::form(1).await;
    let theirs = Cluster::form_beside(&ours, 1).await;
    let check = "document:plan#view@user:tom";
    ours.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let foreign = theirs.client(0).write([touch("document:plan#viewer@user:ann")]).await.unwrap();

    let error = ours.client(0).check(check, exactly(&foreign)).await.expect_err("there is no such snapshot here");
    assert_eq!(reason_of(&error).as_deref(), Some("FOREIGN_ZOOKIE"), "{error:?}");
    // As a lower bound it cannot be compared with anything, so the answer is as fresh as can be.
    assert!(ours.client(0).check(check, at_least(&foreign)).await.unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zookie_from_a_lost_future_is_an_error() {
    let mut cluster = Cluster::form(1).await;
    let check = "document:plan#view@user:tom";
    cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    assert!(cluster.nodes[0].stop().await.success());
    let (data, copy) = (cluster.nodes[0].data.clone(), cluster.nodes[0].data.with_extension("copy"));
    copy_folder(&data, &copy);
    cluster.nodes[0].start().await;
    cluster.leader().await;
    let mut lost = None;
    for n in 0..20 {
        lost = Some(cluster.client(0).write([touch(&format!("document:lost-{n}#viewer@user:tom"))]).await.unwrap());
    }
    let lost = lost.expect("it was written");
    cluster.nodes[0].kill();
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    cluster.nodes[0].start().await;
    cluster.leader().await;

    for consistency in [at_least(&lost), exactly(&lost)] {
        let answer = within("an answer", Duration::from_secs(15), cluster.client(0).check(check, consistency)).await;
        let error = answer.expect_err("this index does not exist");
        assert_eq!(reason_of(&error).as_deref(), Some("ZOOKIE_FROM_FUTURE"), "{error:?}");
    }
    assert!(cluster.client(0).check(check, None).await.unwrap().allowed, "without the zookie it serves");
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}
