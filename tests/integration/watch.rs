//! Watch: every node tells every change once, whole and in the order of the log, and another node goes on where one stopped.

use std::time::Duration;

use tonic::{Code, Request, Status, Streaming};

use crate::harness::wire::authzed::{
    WatchKind, WatchRequest, WatchResponse, WriteRelationshipsRequest, ZedToken, relationship_update::Operation,
};
use crate::harness::{Cluster, Fault, SCHEMA, delete, filter, reason_of, relationship_text, touch, within};

const PATIENCE: Duration = Duration::from_secs(20);

async fn watch(cluster: &Cluster, node: usize, request: WatchRequest) -> Result<Streaming<WatchResponse>, Status> {
    watch_with(cluster, node, Request::new(request)).await
}

async fn watch_with(
    cluster: &Cluster,
    node: usize,
    request: Request<WatchRequest>,
) -> Result<Streaming<WatchResponse>, Status> {
    Ok(cluster.client(node).watches.watch(request).await?.into_inner())
}

fn after(token: &ZedToken) -> WatchRequest {
    WatchRequest { optional_start_cursor: Some(token.clone()), ..Default::default() }
}

/// One transaction: each update as a sign and the relationship's text.
fn shown(response: &WatchResponse) -> Vec<String> {
    let sign = |operation| match operation {
        Operation::Create | Operation::Touch => '+',
        Operation::Delete => '-',
        Operation::Unspecified => panic!("an update says what it does"),
    };
    let updates = response.updates.iter();
    updates
        .map(|update| {
            let relationship = update.relationship.as_ref().expect("an update has a relationship");
            format!("{}{}", sign(update.operation()), relationship_text(relationship))
        })
        .collect()
}

async fn next(stream: &mut Streaming<WatchResponse>) -> Result<WatchResponse, Status> {
    let message = within("a message of the watch", PATIENCE, stream.message()).await?;
    Ok(message.expect("a watch has no end of its own"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_at_another_node_without_a_gap() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let start = cluster.client(0).write([touch("document:start#viewer@user:tom")]).await.unwrap();
    let leader = cluster.leader().await;
    let watched = cluster.others(&[leader, learner])[0];
    let mut stream = watch(&cluster, watched, after(&start)).await.unwrap();

    let (mut seen, mut token) = (Vec::new(), start.clone());
    let pair =
        |n: usize| [touch(&format!("document:d{n}#viewer@user:tom")), touch(&format!("document:d{n}#owner@user:amy"))];
    let mut written = 0;
    for round in 0..3 {
        for _ in 0..20 {
            cluster.client(leader).write(pair(written)).await.unwrap();
            written += 1;
        }
        while seen.len() < written - 5 {
            let message = next(&mut stream).await.unwrap();
            seen.push(shown(&message));
            token = message.changes_through.expect("a transaction names its state");
        }
        if round == 1 {
            // The watched node dies with messages under way; the token of the last one that was read is what counts.
            cluster.nodes[watched].kill();
            stream = watch(&cluster, learner, after(&token)).await.unwrap();
        }
    }
    while seen.len() < written {
        seen.push(shown(&next(&mut stream).await.unwrap()));
    }
    let expected: Vec<Vec<String>> = (0..written)
        .map(|n| vec![format!("+document:d{n}#viewer@user:tom"), format!("+document:d{n}#owner@user:amy")])
        .collect();
    assert_eq!(seen, expected);
    for node in cluster.others(&[watched]) {
        let mut again = watch(&cluster, node, after(&start)).await.unwrap();
        for transaction in &expected {
            assert_eq!(shown(&next(&mut again).await.unwrap()), *transaction, "node {node} tells the same");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_what_was_asked_for() {
    let cluster = Cluster::form(1).await;
    let client = cluster.client(0);
    let start = client.write([touch("document:a#viewer@user:tom")]).await.unwrap();
    let kinds = |kinds: &[WatchKind]| kinds.iter().map(|kind| i32::from(*kind)).collect::<Vec<_>>();
    let all = [WatchKind::IncludeRelationshipUpdates, WatchKind::IncludeSchemaUpdates, WatchKind::IncludeCheckpoints];
    let everything = WatchRequest { optional_update_kinds: kinds(&all), ..after(&start) };
    let only_groups = WatchRequest { optional_object_types: vec!["group".into()], ..after(&start) };
    let only_tom =
        WatchRequest { optional_relationship_filters: vec![filter("document:a"), filter("group:g")], ..after(&start) };
    let mut everything = watch(&cluster, 0, everything).await.unwrap();
    let mut groups = watch(&cluster, 0, only_groups).await.unwrap();
    let mut some = watch(&cluster, 0, only_tom).await.unwrap();
    let mut from_now = watch(&cluster, 0, WatchRequest::default()).await.unwrap();

    let reason = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("audit".into())) };
    let metadata = prost_types::Struct { fields: [("why".to_owned(), reason)].into() };
    let request = WriteRelationshipsRequest {
        updates: vec![touch("document:b#viewer@user:tom"), touch("group:g#member@user:tom")],
        optional_transaction_metadata: Some(metadata.clone()),
        ..Default::default()
    };
    client.permissions.clone().write_relationships(request).await.unwrap();
    client.write_schema(&format!("{SCHEMA}\ndefinition folder {{}}")).await.unwrap();
    let last = client.write([delete("document:a#viewer@user:tom")]).await.unwrap();

    let both = ["+document:b#viewer@user:tom", "+group:g#member@user:tom"];
    let first = next(&mut everything).await.unwrap();
    assert_eq!(shown(&first), both);
    assert_eq!(first.optional_transaction_metadata, Some(metadata));
    let mut rest = Vec::new();
    loop {
        let message = next(&mut everything).await.unwrap();
        match (message.schema_updated, message.is_checkpoint) {
            (true, false) => rest.push("schema".to_owned()),
            (false, false) => rest.extend(shown(&message)),
            (false, true) if message.changes_through.as_ref() == Some(&last) => break,
            (false, true) => {}
            (true, true) => panic!("two things in one message: {message:?}"),
        }
    }
    assert_eq!(rest, ["schema", "-document:a#viewer@user:tom"]);
    assert_eq!(shown(&next(&mut groups).await.unwrap()), both[1..]);
    assert_eq!(shown(&next(&mut some).await.unwrap()), both[1..]);
    assert_eq!(shown(&next(&mut some).await.unwrap()), ["-document:a#viewer@user:tom"]);
    assert_eq!(shown(&next(&mut from_now).await.unwrap()), both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_comes_first_and_has_one_token() {
    let mut cluster = Cluster::form(1).await;
    let learner = cluster.add_learner().await;
    let client = cluster.client(0);
    let names: Vec<String> = (0..1200).map(|n| format!("document:d{n:04}#viewer@user:tom")).collect();
    for part in names.chunks(600) {
        client.write(part.iter().map(|name| touch(name))).await.unwrap();
    }
    cluster.assert_same_state().await;
    for node in [0, learner] {
        assert_snapshot_then_tail(&cluster, node, &names).await;
    }
}

/// A watch on `node` tells of all these relationships and then of the next change, which is undone.
async fn assert_snapshot_then_tail(cluster: &Cluster, node: usize, names: &[String]) {
    let client = cluster.client(0);
    let checkpoints = vec![i32::from(WatchKind::IncludeRelationshipUpdates)];
    let mut request = Request::new(WatchRequest { optional_update_kinds: checkpoints, ..Default::default() });
    request.metadata_mut().insert("quorate-watch-snapshot", "true".parse().unwrap());
    let mut stream = watch_with(cluster, node, request).await.unwrap();
    let mut found = Vec::new();
    let complete = loop {
        let message = next(&mut stream).await.unwrap();
        if message.is_checkpoint {
            break message.changes_through;
        }
        assert_eq!(message.changes_through, None, "a part of a snapshot is no place to go on from");
        found.extend(shown(&message));
    };
    assert_eq!(found, names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>());
    assert!(complete.is_some());
    client.write([delete(&names[7])]).await.unwrap();
    assert_eq!(shown(&next(&mut stream).await.unwrap()), [format!("-{}", names[7])]);
    client.write([touch(&names[7])]).await.unwrap();
    assert_eq!(shown(&next(&mut stream).await.unwrap()), [format!("+{}", names[7])]);
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_cannot_be_says_why() {
    let ours = Cluster::form(1).await;
    let theirs = Cluster::form_beside(&ours, 1).await;
    let foreign = theirs.client(0).write([touch("document:plan#viewer@user:ann")]).await.unwrap();
    let refused = async |request| {
        let status = watch(&ours, 0, request).await.expect_err("it is refused");
        reason_of(&status).expect("every error has a reason")
    };
    assert_eq!(refused(after(&foreign)).await, "FOREIGN_ZOOKIE");
    assert_eq!(refused(after(&ZedToken { token: "nonsense".into() })).await, "INVALID_ZOOKIE");
    let unknown = WatchRequest { optional_relationship_filters: vec![filter("absent")], ..Default::default() };
    assert_eq!(refused(unknown).await, "UNKNOWN_DEFINITION");
    let both = WatchRequest {
        optional_object_types: vec!["document".into()],
        optional_relationship_filters: vec![filter("document")],
        ..Default::default()
    };
    assert_eq!(refused(both).await, "INVALID_ARGUMENT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_says_so_to_its_watchers() {
    let mut cluster = Cluster::form(1).await;
    let mut stream = watch(&cluster, 0, WatchRequest::default()).await.unwrap();
    let client = cluster.client(0);
    client.write([touch("document:a#viewer@user:tom")]).await.unwrap();
    next(&mut stream).await.unwrap();
    cluster.nodes[0].inflict(Fault::Terminate);
    let status = next(&mut stream).await.expect_err("it ends");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let ended = within("the node to end", Duration::from_secs(8), cluster.nodes[0].ended()).await;
    assert!(ended.success());
}
