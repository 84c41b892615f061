//! Floors: set through one node, they hold on leader, follower and learner, for every read, over restarts and in snapshots;
//! and a node that cannot reach the others keeps them too.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use tonic::{Code, Response, Status, Streaming};

use crate::harness::wire::authzed::{
    BulkCheckPermissionRequest, BulkCheckPermissionRequestItem, BulkExportRelationshipsRequest,
    CheckBulkPermissionsRequest, CheckPermissionRequest, Consistency, ExpandPermissionTreeRequest,
    ExportBulkRelationshipsRequest, LookupResourcesRequest, LookupSubjectsRequest, ReadRelationshipsRequest,
    RelationshipFilter,
};
use crate::harness::wire::cluster::floor::Least;
use crate::harness::wire::cluster::status_response::State;
use crate::harness::wire::cluster::{ContentChangeCheckRequest, Floor, GetFloorsRequest, SetFloorsRequest};
use crate::harness::{
    Client, Cluster, Fault, SETTLE_LIMIT, Settings, at_least, check_item, delete, eventually, exactly, filter, fully,
    is_allowed, minimize, reason_of, touch,
};

const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";
const RAISED: &str = "quorate-consistency-raised";

/// Replaces all floors.
async fn set(client: &Client, floors: &[(&str, Least)]) -> Result<u64, Status> {
    let mut consistency = client.consistency.clone();
    let expected_version = consistency.get_floors(GetFloorsRequest {}).await?.into_inner().version;
    let floors = floors.iter().map(|(name, least)| Floor { object_type: (*name).to_owned(), least: Some(*least) });
    let request = SetFloorsRequest { expected_version, floors: floors.collect() };
    Ok(consistency.set_floors(request).await?.into_inner().version)
}

fn seconds(seconds: i64) -> Least {
    Least::MaxStaleness(prost_types::Duration { seconds, nanos: 0 })
}

/// What the answer says of a floor.
fn raised<T>(response: &Response<T>) -> Option<String> {
    response.metadata().get(RAISED).map(|value| value.to_str().expect("text").to_owned())
}

/// The same of a stream, which is read to its end.
async fn drained<T>(response: Response<Streaming<T>>) -> Result<Option<String>, Status> {
    let raised = raised(&response);
    response.into_inner().try_for_each(|_| std::future::ready(Ok(()))).await?;
    Ok(raised)
}

/// A read of every kind, by name, and what its answer says of a floor.
async fn all_reads(
    client: &Client,
    consistency: Option<Consistency>,
) -> Vec<(&'static str, Result<Option<String>, Status>)> {
    let item = check_item(CHECK);
    let (resource, permission, subject) = (item.resource.clone(), item.permission.clone(), item.subject.clone());
    let mut permissions = client.permissions.clone();
    let mut experimental = client.experimental.clone();
    let mut found = Vec::new();

    let request = CheckPermissionRequest {
        consistency: consistency.clone(),
        resource: resource.clone(),
        permission: permission.clone(),
        subject: subject.clone(),
        ..Default::default()
    };
    found.push(("check", permissions.check_permission(request).await.map(|answer| raised(&answer))));
    let items = vec![check_item("group:eng#member@user:tom"), item];
    let request =
        CheckBulkPermissionsRequest { consistency: consistency.clone(), items: items.clone(), ..Default::default() };
    found.push(("bulk", permissions.check_bulk_permissions(request).await.map(|answer| raised(&answer))));
    let items = items.into_iter().map(|item| BulkCheckPermissionRequestItem {
        resource: item.resource,
        permission: item.permission,
        subject: item.subject,
        context: item.context,
    });
    #[expect(deprecated, reason = "the earlier name is what is tested")]
    let request = BulkCheckPermissionRequest { consistency: consistency.clone(), items: items.collect() };
    found.push(("experimental bulk", experimental.bulk_check_permission(request).await.map(|answer| raised(&answer))));
    let request = ExpandPermissionTreeRequest {
        consistency: consistency.clone(),
        resource: resource.clone(),
        permission: permission.clone(),
    };
    found.push(("expand", permissions.expand_permission_tree(request).await.map(|answer| raised(&answer))));

    let request = LookupResourcesRequest {
        consistency: consistency.clone(),
        resource_object_type: "document".to_owned(),
        permission: permission.clone(),
        subject,
        ..Default::default()
    };
    let answer = async { drained(permissions.lookup_resources(request).await?).await }.await;
    found.push(("resources", answer));
    let request = LookupSubjectsRequest {
        consistency: consistency.clone(),
        resource,
        permission,
        subject_object_type: "user".to_owned(),
        ..Default::default()
    };
    let answer = async { drained(permissions.lookup_subjects(request).await?).await }.await;
    found.push(("subjects", answer));
    let any_type = RelationshipFilter { optional_resource_id: "plan".to_owned(), ..Default::default() };
    for (name, filter) in [("read", filter("document")), ("read of any type", any_type)] {
        let request = ReadRelationshipsRequest {
            consistency: consistency.clone(),
            relationship_filter: Some(filter),
            ..Default::default()
        };
        found.push((name, async { drained(permissions.read_relationships(request).await?).await }.await));
    }
    let request = ExportBulkRelationshipsRequest { consistency: consistency.clone(), ..Default::default() };
    let answer = async { drained(permissions.export_bulk_relationships(request).await?).await }.await;
    found.push(("export", answer));
    let request = BulkExportRelationshipsRequest { consistency, ..Default::default() };
    let answer = async { drained(experimental.bulk_export_relationships(request).await?).await }.await;
    found.push(("experimental export", answer));
    found
}

async fn assert_honoured(cluster: &Cluster, node: usize) {
    let expected = Some("fully_consistent (document)".to_owned());
    for (read, found) in all_reads(&cluster.client(node), minimize()).await {
        assert_eq!(found.expect(read), expected, "{read} on node {node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_set_through_one_node_is_honoured_on_all_and_lasts() {
    let small_logs = Settings { snapshot_after_entries: Some(100), keep_entries: Some(20), ..Settings::default() };
    let mut cluster = Cluster::form_with(3, small_logs).await;
    let learner = cluster.add_learner().await;
    let status = cluster.status(learner).await;
    assert_eq!(status.state(), State::Learner);
    assert_eq!(status.members.iter().filter(|member| member.voter).count(), 3, "{status:?}");
    let zookie = cluster.client(learner).write([touch(TUPLE), touch("group:eng#member@user:tom")]).await.unwrap();
    for node in 0..4 {
        for (read, found) in all_reads(&cluster.client(node), at_least(&zookie)).await {
            assert_eq!(found.expect(read), None, "{read} on node {node}: there is no floor");
        }
    }

    let follower = cluster.others(&[cluster.leader().await, learner])[0];
    let floors = [("document", Least::FullyConsistent(true)), ("group", seconds(5)), ("user", seconds(5))];
    let version = set(&cluster.client(follower), &floors).await.unwrap();
    cluster.assert_same_state().await;
    for node in 0..4 {
        assert_honoured(&cluster, node).await;
        for (read, found) in all_reads(&cluster.client(node), exactly(&zookie)).await {
            let error = found.expect_err(read);
            assert_eq!(reason_of(&error).as_deref(), Some("BELOW_FLOOR"), "{read}: {error:?}");
        }
        for (read, found) in all_reads(&cluster.client(node), fully()).await {
            assert_eq!(found.expect(read), None, "{read} on node {node} asked for it by itself");
        }
    }
    // Two who change the same version do not overwrite each other.
    let stale = SetFloorsRequest { expected_version: 0, floors: Vec::new() };
    let error = cluster.client(0).consistency.set_floors(stale).await.expect_err("the version is another by now");
    assert_eq!((error.code(), reason_of(&error).as_deref()), (Code::Aborted, Some("SERIALIZATION_FAILURE")));

    for node in 0..4 {
        cluster.nodes[node].kill();
    }
    for node in 0..4 {
        assert_eq!(cluster.nodes[node].start().await, "member");
    }
    cluster.leader().await;
    for node in 0..4 {
        assert_honoured(&cluster, node).await;
    }
    assert_eq!(cluster.status(learner).await.state(), State::Learner, "a restart gives no vote");

    // A node that comes when the entry is gone from the log gets them with the snapshot.
    for n in 0..150 {
        cluster.client(0).write([touch(&format!("document:d{n}#viewer@user:tom"))]).await.unwrap();
    }
    for node in 0..4 {
        cluster.client(node).snapshot().await.unwrap();
    }
    eventually("the entry that set the floors is purged", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&[0, 1, 2, 3]).await;
        if statuses.iter().all(|(_, status)| status.purged_index > version) { Ok(()) } else { Err(statuses) }
    })
    .await;
    let late = cluster.add_learner().await;
    assert!(cluster.status(late).await.snapshot_index > version);
    assert_honoured(&cluster, late).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_keeps_floors_and_answers_no_content_change_check() {
    let settings = Settings { max_staleness_ms: Some(4_000), request_timeout_ms: Some(500), ..Settings::default() };
    let cluster = Cluster::form_with(3, settings).await;
    let zookie = cluster.client(0).write([touch(TUPLE), touch("group:eng#member@user:tom")]).await.unwrap();
    set(&cluster.client(0), &[("document", Least::FullyConsistent(true))]).await.unwrap();
    cluster.assert_same_state().await;
    let alone = cluster.others(&[cluster.leader().await])[0];
    let client = cluster.client(alone);
    let group = "group:eng#member@user:tom";
    assert!(client.check(CHECK, minimize()).await.unwrap().allowed);
    for other in cluster.others(&[alone]) {
        cluster.nodes[other].inflict(Fault::Pause);
    }
    let cut_off = Instant::now();
    let error = client.check(CHECK, minimize()).await.expect_err("a floor cannot be met");
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert!(error.message().contains("the floor of `document`"), "{error:?}");
    let error = content_change_check(&client).await.expect_err("there is nobody to confirm it");
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    // What has no floor goes on until the node can no longer know whether it has got one.
    assert!(client.check(group, minimize()).await.unwrap().allowed);
    assert!(cut_off.elapsed() < Duration::from_secs(4), "too slow to show anything: {:?}", cut_off.elapsed());
    for consistency in [minimize(), at_least(&zookie), exactly(&zookie)] {
        eventually("it stops answering", SETTLE_LIMIT, async || match client.check(group, consistency.clone()).await {
            Err(status) if status.code() == Code::Unavailable => Ok(()),
            other => Err(other),
        })
        .await;
    }
    for other in cluster.others(&[alone]) {
        cluster.nodes[other].inflict(Fault::Resume);
    }
    eventually("it answers again", SETTLE_LIMIT, async || client.check(CHECK, minimize()).await).await;
}

/// Whether it is allowed, with everything in the request that could make the answer older.
async fn content_change_check(client: &Client) -> Result<(bool, String), Status> {
    let item = check_item(CHECK);
    let (resource, permission, subject) = (item.resource, item.permission, item.subject);
    let mut request = tonic::Request::new(ContentChangeCheckRequest { resource, permission, subject, context: None });
    for (name, value) in [("quorate-max-staleness", "3600s"), ("quorate-local-only", "true")] {
        request.metadata_mut().insert(name, value.parse().expect("plain text"));
    }
    let answer = client.consistency.clone().content_change_check(request).await?.into_inner();
    let zookie = answer.zookie.clone().expect("it is what the call is for");
    Ok((is_allowed(answer.permissionship()), zookie.token))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_change_check_sees_every_acknowledged_write_from_every_node() {
    let mut cluster = Cluster::form(3).await;
    cluster.add_learner().await;
    for round in 0..25 {
        let (writer, asked) = (cluster.client(round % 4), cluster.client((round / 4 + 1) % 4));
        let granted = writer.write([touch(TUPLE)]).await.unwrap();
        let (allowed, seen) = content_change_check(&asked).await.unwrap();
        assert!(allowed, "round {round}: granted before it was asked");
        assert!(index_of(&seen) >= index_of(&granted.token), "round {round}");
        let revoked = writer.write([delete(TUPLE)]).await.unwrap();
        let (allowed, seen) = content_change_check(&asked).await.unwrap();
        assert!(!allowed, "round {round}: revoked before it was asked");
        assert!(index_of(&seen) >= index_of(&revoked.token), "round {round}");
    }
}

/// The index in a zookie, by its documented layout: eight bytes before the checksum of four.
fn index_of(token: &str) -> u64 {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = token.chars().flat_map(|letter| {
        let digit = DIGITS.find(letter).expect("a zookie is base64url");
        (0..6).rev().map(move |bit| digit >> bit & 1 == 1)
    });
    bits.by_ref().take(8 * 11).for_each(drop);
    bits.take(64).fold(0, |index, bit| index << 1 | u64::from(bit))
}
