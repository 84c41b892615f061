//! The time that a client has: what a node cannot answer within it is an error that the node itself gives before the client
//! stops listening, on the leader, a follower and a learner.

use std::time::{Duration, Instant};

use tonic::{Code, Request, Status};

use crate::harness::wire::authzed::{
    CheckPermissionRequest, Consistency, LookupResourcesRequest, WriteRelationshipsRequest,
};
use crate::harness::wire::cluster::ContentChangeCheckRequest;
use crate::harness::{Cluster, Fault, SETTLE_LIMIT, check_item, eventually, fully, minimize, reason_of, touch, within};

const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";
/// Much less than a node allows by itself.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);

fn timed<T>(message: T, metadata: Option<(&'static str, &'static str)>) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    if let Some((name, value)) = metadata {
        request.metadata_mut().insert(name, value.parse().expect("plain text"));
    }
    request
}

fn check(consistency: Option<Consistency>) -> CheckPermissionRequest {
    let item = check_item(CHECK);
    CheckPermissionRequest {
        consistency,
        resource: item.resource,
        permission: item.permission,
        subject: item.subject,
        ..Default::default()
    }
}

/// Everything that needs a majority, asked of one node: by the name of the call, what it failed with.
async fn all_that_need_a_majority(cluster: &Cluster, node: usize) -> Vec<(&'static str, Option<Status>)> {
    let client = cluster.client(node);
    let (mut permissions, mut consistency) = (client.permissions.clone(), client.consistency.clone());
    let mut failed = Vec::new();
    let asked = permissions.check_permission(timed(check(fully()), None)).await;
    failed.push(("a fully consistent check", asked.err()));
    let asked = permissions.check_permission(timed(check(minimize()), Some(("quorate-max-lag", "0")))).await;
    failed.push(("a check without lag", asked.err()));
    let asked = permissions.check_permission(timed(check(minimize()), Some(("quorate-max-staleness", "0ms")))).await;
    failed.push(("a check without staleness", asked.err()));
    let item = check_item(CHECK);
    let lookup = LookupResourcesRequest {
        consistency: fully(),
        resource_object_type: "document".to_owned(),
        permission: item.permission.clone(),
        subject: item.subject.clone(),
        ..Default::default()
    };
    let asked = match permissions.lookup_resources(timed(lookup, None)).await {
        Ok(response) => response.into_inner().message().await.err(),
        Err(status) => Some(status),
    };
    failed.push(("a fully consistent lookup", asked));
    let content = ContentChangeCheckRequest {
        resource: item.resource,
        permission: item.permission,
        subject: item.subject,
        context: None,
    };
    failed.push(("a content change check", consistency.content_change_check(timed(content, None)).await.err()));
    let write = WriteRelationshipsRequest { updates: vec![touch(TUPLE)], ..Default::default() };
    failed.push(("a write", permissions.write_relationships(timed(write, None)).await.err()));
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reaches_no_majority_says_so_while_the_client_listens() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    for role in ["leader", "follower", "learner"] {
        let leader = cluster.leader().await;
        let asked = match role {
            "leader" => leader,
            "follower" => cluster.others(&[leader, learner])[0],
            _ => learner,
        };
        // The connection is there before the fault.
        cluster.client(asked).status().await.unwrap();
        for other in cluster.others(&[asked]) {
            cluster.nodes[other].inflict(Fault::Pause);
        }
        let begin = Instant::now();
        let all = all_that_need_a_majority(&cluster, asked);
        let failed = within("all answers", 6 * (TIMEOUT + SLACK), all).await;
        let took = begin.elapsed();
        for other in cluster.others(&[asked]) {
            cluster.nodes[other].inflict(Fault::Resume);
        }
        for (call, status) in failed {
            let status = status.unwrap_or_else(|| panic!("{call} on the {role} was answered without a majority"));
            let told = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
            // An error of the client's own transport has no reason: then the node would have been too late.
            assert!(told && reason_of(&status).is_some(), "{call} on the {role}: {status:?}");
        }
        assert!(took < 6 * (TIMEOUT + SLACK), "{role}: {took:?}");
        let answered = async || cluster.client(asked).check(CHECK, fully()).await;
        assert!(eventually("the majority is back", SETTLE_LIMIT, answered).await.allowed);
    }
}
