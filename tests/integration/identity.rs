//! Who a node is: a wiped disk does not come back under an old id, data of another cluster is refused, a cluster begins once.

use std::fs;
use std::time::Duration;

use crate::harness::wire::cluster::JoinRequest;
use crate::harness::wire::cluster::join_progress::Stage;
use crate::harness::wire::cluster::status_response::State;
use crate::harness::{Cluster, Outcome, Settings, eventually, fully, outcome_of, reason_of, touch, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_does_not_come_back_under_its_old_id() {
    let settings = Settings { request_timeout_ms: Some(1500), ..Settings::default() };
    let mut cluster = Cluster::form_with(3, settings).await;
    let leader = cluster.leader().await;
    let (wiped, other) = (cluster.others(&[leader])[0], cluster.others(&[leader])[1]);
    let client = cluster.client(leader);
    client.write([touch("document:kept#viewer@user:tom")]).await.unwrap();

    cluster.nodes[wiped].kill();
    fs::remove_dir_all(&cluster.nodes[wiped].data).unwrap();
    assert_eq!(cluster.nodes[wiped].start().await, "waiting", "an empty disk remembers no id");
    client.write([touch("document:more#viewer@user:tom")]).await.unwrap();
    let status = cluster.status(wiped).await;
    assert_eq!(status.state(), State::Waiting, "{status:?}");
    assert_eq!((status.node_id, status.applied_index), (0, 0), "nothing of the cluster reached it");

    // It must not count towards a majority either: with the last other node away nothing can be written.
    cluster.nodes[other].kill();
    let write = client.write([touch("document:never#viewer@user:tom")]);
    let refused = within("a write without a majority", Duration::from_secs(10), write).await.unwrap_err();
    assert_ne!(outcome_of(&refused), Outcome::Refused, "{refused:?}");
    assert_eq!(cluster.status(wiped).await.state(), State::Waiting);

    assert_eq!(cluster.nodes[other].start().await, "member");
    let check = eventually("the majority is back", Duration::from_secs(20), async || {
        cluster.client(other).check("document:more#view@user:tom", fully()).await
    });
    assert!(check.await.allowed);

    // Nor is it let in as another one beside the one that it was, whichever member it asks.
    for member in [leader, other] {
        let joined = cluster.client(wiped).join(vec![cluster.nodes[member].peer_address.clone()], false).await;
        let status = joined.expect_err("it is a member twice");
        assert_eq!(reason_of(&status).as_deref(), Some("WRONG_STATE"), "{status:?}");
        assert!(status.message().contains(&format!("quorate cluster remove {}", wiped + 1)), "{status:?}");
    }
    assert_eq!(cluster.status(wiped).await.state(), State::Waiting);
    assert!(client.remove(wiped as u64 + 1).await.unwrap());
    let last = cluster.client(wiped).join(vec![cluster.nodes[other].peer_address.clone()], false).await.unwrap();
    assert_eq!(last.expect("a join reports progress").stage(), Stage::Voter);
    assert_eq!(cluster.status(leader).await.members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_cluster_is_refused() {
    let mut ours = Cluster::form(3).await;
    let mut theirs = Cluster::form_beside(&ours, 1).await;
    theirs.client(0).write([touch("document:theirs#viewer@user:tom")]).await.unwrap();
    ours.client(0).write([touch("document:ours#viewer@user:tom")]).await.unwrap();
    let lineage = ours.status(0).await.lineage;
    assert_ne!(lineage, theirs.status(0).await.lineage);

    // A member of one cluster cannot join another.
    let joined = theirs.client(0).join(vec![ours.nodes[0].peer_address.clone()], false).await;
    let error = joined.expect_err("a member of one cluster joined another");
    assert!(error.message().contains("cluster"), "{error:?}");

    // Their data at our node's address, as after a mix-up of disks.
    let leader = ours.leader().await;
    let victim = ours.others(&[leader])[0];
    assert!(ours.nodes[victim].stop().await.success());
    assert!(theirs.nodes[0].stop().await.success());
    let (from, to) = (theirs.nodes[0].data.clone(), ours.nodes[victim].data.clone());
    fs::rename(&to, to.with_extension("aside")).unwrap();
    fs::rename(&from, &to).unwrap();
    ours.nodes[victim].start().await;

    let client = ours.client(leader);
    let write = client.write([touch("document:later#viewer@user:tom")]);
    within("two of three are a majority", Duration::from_secs(15), write).await.unwrap();
    let stranger = ours.status(victim).await;
    assert_ne!(stranger.lineage, lineage, "{stranger:?}");
    eventually("the refusal is in a log", Duration::from_secs(10), async || {
        let logs = format!("{}{}", ours.nodes[leader].log(), ours.nodes[victim].log());
        if logs.contains("another cluster") { Ok(()) } else { Err("no word of another cluster") }
    })
    .await;
    // Nothing of ours reached their data, and our own comes back unharmed.
    assert_eq!(ours.status(victim).await.lineage, stranger.lineage);
    ours.nodes[victim].kill();
    fs::remove_dir_all(&to).unwrap();
    fs::rename(to.with_extension("aside"), &to).unwrap();
    assert_eq!(ours.nodes[victim].start().await, "member");
    ours.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_begins_once_and_joining_needs_a_member() {
    let waiting = Cluster::waiting_node().await;
    let client = waiting.client(0);
    assert_eq!(client.status().await.unwrap().state(), State::Waiting);
    let unserved = client.check("document:any#view@user:tom", None).await.unwrap_err();
    assert_eq!(unserved.code(), tonic::Code::Unavailable, "a waiting node has no answers: {unserved:?}");

    // A peer address where nobody listens: an error soon, and it names the address.
    let nobody = "127.0.0.1:9";
    let join = within("a join to nobody", Duration::from_secs(15), client.join(vec![nobody.to_owned()], false)).await;
    let error = join.expect_err("nobody cannot admit a node");
    assert!(error.message().contains(nobody), "{error:?}");

    client.init().await.unwrap();
    let again = client.init().await.expect_err("a cluster was begun twice on one node");
    assert_eq!(again.code(), tonic::Code::FailedPrecondition, "{again:?}");
    assert!(again.message().contains("cluster"), "it says why: {again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_with_wrong_addresses_gives_way_to_the_next() {
    let mut cluster = Cluster::form(1).await;
    let learner = cluster.add_learner().await;
    // Nobody is there, and a member that joins once more keeps asking.
    let client = cluster.client(learner);
    let nowhere = JoinRequest { peers: vec!["127.0.0.1:1".to_owned()], learner: false };
    let mut wrong = client.admin.clone().join(nowhere).await.unwrap().into_inner();
    let peers = vec![cluster.nodes[0].peer_address.clone()];
    let joined = within("the next join", Duration::from_secs(30), client.join(peers, false)).await.unwrap();
    assert_eq!(joined.expect("a join reports progress").stage(), Stage::Voter);
    let ended = async {
        loop {
            if let Err(status) = wrong.message().await.map(|step| step.expect("it does not end well")) {
                break status;
            }
        }
    };
    let status = within("the first join ends", Duration::from_secs(10), ended).await;
    assert!(status.message().contains("told to join once more"), "{status:?}");
}
