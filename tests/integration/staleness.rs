//! Bounds on the age of an answer, by the node's own clock: kept by healthy nodes without asking anyone, and never broken by
//! a node that is cut off or was paused.

use std::time::{Duration, Instant};

use tonic::{Code, Request, Status};

use crate::harness::wire::authzed::check_permission_response::Permissionship;
use crate::harness::wire::authzed::{CheckPermissionRequest, ZedToken};
use crate::harness::{
    Client, Cluster, Fault, Settings, at_least, check_item, delete, eventually, reason_of, touch, within,
};

const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether node `node` allows the check, asked with these metadata.
async fn ask(cluster: &Cluster, node: usize, metadata: &[(&'static str, &str)]) -> Result<bool, Status> {
    ask_at(cluster.client(node), metadata.to_vec()).await
}

async fn ask_at(mut client: Client, metadata: Vec<(&'static str, &str)>) -> Result<bool, Status> {
    let item = check_item(CHECK);
    let mut request = Request::new(CheckPermissionRequest {
        resource: item.resource,
        permission: item.permission,
        subject: item.subject,
        ..Default::default()
    });
    for (name, value) in metadata {
        request.metadata_mut().insert(name, value.parse().expect("plain text"));
    }
    let response = client.permissions.check_permission(request).await?.into_inner();
    Ok(response.permissionship() == Permissionship::HasPermission)
}

fn short() -> Settings {
    Settings { max_staleness_ms: Some(1_500), request_timeout_ms: Some(1_000), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_answers_within_a_bound_and_says_what_it_does_not_understand() {
    let mut cluster = Cluster::form(3).await;
    cluster.add_learner().await;
    cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    for node in cluster.others(&[]) {
        assert!(ask(&cluster, node, &[("quorate-max-lag", "0")]).await.unwrap(), "all that was committed is seen");
        let local = [("quorate-max-staleness", "5s"), ("quorate-local-only", "true")];
        assert!(ask(&cluster, node, &local).await.unwrap());
        assert!(ask(&cluster, node, &[("quorate-max-staleness", "0ms")]).await.unwrap(), "the leader is asked");
        for wrong in ["", "soon", "-1s", "5"] {
            let error = ask(&cluster, node, &[("quorate-max-staleness", wrong)]).await.expect_err(wrong);
            assert_eq!(reason_of(&error).as_deref(), Some("INVALID_ARGUMENT"), "{error:?}");
        }
    }
    let leader = cluster.leader().await;
    cluster.client(leader).write([delete(TUPLE)]).await.unwrap();
    for node in cluster.others(&[]) {
        assert!(!ask(&cluster, node, &[("quorate-max-lag", "0")]).await.unwrap());
        assert!(!ask(&cluster, node, &[("quorate-max-staleness", "0ms")]).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_stops_answering_by_itself() {
    let mut cluster = Cluster::form_with(3, short()).await;
    let learner = cluster.add_learner().await;
    let granted = cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    let leader = cluster.leader().await;
    assert_stops_answering(&cluster, leader, &granted).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader, learner])[0];
    assert_stops_answering(&cluster, follower, &granted).await;
    assert_stops_answering(&cluster, learner, &granted).await;
}

/// All but `alone` are paused for a while.
async fn assert_stops_answering(cluster: &Cluster, alone: usize, granted: &ZedToken) {
    assert!(ask(cluster, alone, &[("quorate-max-lag", "0")]).await.unwrap());
    for other in cluster.others(&[alone]) {
        cluster.nodes[other].inflict(Fault::Pause);
    }
    let local = [("quorate-max-staleness", "400ms"), ("quorate-local-only", "true")];
    let unavailable = async |metadata: &[(&'static str, &str)]| match ask(cluster, alone, metadata).await {
        Ok(true) => Err("it still answers".to_owned()),
        Ok(false) => panic!("it was granted, and never revoked"),
        Err(status) if status.code() == Code::Unavailable => Ok(()),
        Err(status) => panic!("not how a node says that it cannot answer: {status:?}"),
    };
    let begin = Instant::now();
    eventually("a node whose state is too old for the request refuses", PATIENCE, async || unavailable(&local).await)
        .await;
    eventually("a node whose state is older than its ceiling refuses", PATIENCE, async || unavailable(&[]).await).await;
    // The ceiling is the operator's: no request loosens it.
    let hour = ("quorate-max-staleness", "3600s");
    unavailable(&[hour]).await.expect("a bound beside the ceiling is no way around it");
    unavailable(&[hour, ("quorate-local-only", "true")]).await.expect("nor is an answer without the leader");
    match cluster.client(alone).check(CHECK, at_least(granted)).await {
        Ok(answer) => panic!("a zookie asks for more than nothing, and was given less: {answer:?}"),
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    for other in cluster.others(&[alone]) {
        cluster.nodes[other].inflict(Fault::Resume);
    }
    eventually("it answers again", PATIENCE, async || ask(cluster, alone, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_paused_does_not_answer_from_before() {
    let cluster = Cluster::form_with(3, short()).await;
    cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    for round in 0..3 {
        let leader = cluster.leader().await;
        assert_does_not_answer_from_before(&cluster, leader, &format!("round {round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_or_learner_that_was_paused_does_not_answer_from_before() {
    let mut cluster = Cluster::form_with(3, short()).await;
    let learner = cluster.add_learner().await;
    cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    for _ in 0..2 {
        let leader = cluster.leader().await;
        let follower = cluster.others(&[leader, learner])[0];
        assert_does_not_answer_from_before(&cluster, follower, "a follower").await;
        assert_does_not_answer_from_before(&cluster, learner, "a learner").await;
    }
}

/// [`TUPLE`], which is there, is deleted while `node` is paused for longer than a bound that it is asked to keep. It is put
/// back.
async fn assert_does_not_answer_from_before(cluster: &Cluster, node: usize, what: &str) {
    cluster.nodes[node].inflict(Fault::Pause);
    let new = within("a leader", PATIENCE, cluster.leader_among(&cluster.others(&[node]))).await;
    cluster.client(new).write([delete(TUPLE)]).await.unwrap();
    let revoked = Instant::now();
    while revoked.elapsed() < Duration::from_millis(350) {
        tokio::task::yield_now().await;
    }
    // Requests that lie in the node's socket when its time goes on, before it has heard of anything.
    let client = cluster.client(node);
    let asked: Vec<_> = (0..8).map(|_| tokio::spawn(ask_at(client.clone(), vec![("quorate-max-lag", "0")]))).collect();
    // Time to reach the socket. Nothing rests on it: what arrives later must be answered right as well.
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.nodes[node].inflict(Fault::Resume);
    let local = [("quorate-max-staleness", "300ms"), ("quorate-local-only", "true")];
    match ask(cluster, node, &local).await {
        Ok(allowed) => assert!(!allowed, "{what}: allowed after a revocation that is older than the bound"),
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
    }
    for answer in futures::future::join_all(asked).await {
        match answer.expect("asking does not panic") {
            Ok(allowed) => assert!(!allowed, "{what}: allowed by a state that lags, against the request"),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
    eventually("the cluster is whole", PATIENCE, async || {
        match ask(cluster, node, &[("quorate-max-lag", "0")]).await {
            Ok(false) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    cluster.client(new).write([touch(TUPLE)]).await.unwrap();
    assert!(ask(cluster, node, &[("quorate-max-lag", "0")]).await.unwrap(), "{what}: it was put back");
}
