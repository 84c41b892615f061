//! Zookies: those of every answer work on every node; those that do not belong (of another cluster, from a future that was lost
//! by restoring an old copy of the data, damaged) are each told apart.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::TryStreamExt as _;
use tonic::{Code, Status, Streaming};

use crate::harness::wire::authzed::{
    CheckBulkPermissionsRequest, Cursor, DeleteRelationshipsRequest, ExpandPermissionTreeRequest,
    LookupResourcesRequest, LookupSubjectsRequest, ReadRelationshipsRequest, ReadRelationshipsResponse,
    ReadSchemaRequest, ReflectSchemaRequest, WatchRequest, ZedToken,
};
use crate::harness::wire::cluster::{ContentChangeCheckRequest, GetFloorsRequest, SetFloorsRequest};
use crate::harness::{
    Client, Cluster, SCHEMA, at_least, check_item, delete, exactly, filter, fully, minimize, reason_of, run_at, touch,
    within,
};

const PATIENCE: Duration = Duration::from_secs(15);

/// The first message of a stream.
async fn first<T>(mut stream: Streaming<T>) -> Result<T, Status> {
    Ok(within("a message", PATIENCE, stream.message()).await?.expect("there is one"))
}

/// A zookie of every kind of answer that has one, by the call that gave it.
async fn all_zookies(client: &Client) -> Result<Vec<(&'static str, Option<ZedToken>)>, Status> {
    let tuple = "document:plan#viewer@user:tom";
    let item = check_item("document:plan#view@user:tom");
    let (resource, permission, subject) = (item.resource.clone(), item.permission.clone(), item.subject.clone());
    let Client { mut permissions, mut schemas, mut watches, mut consistency, .. } = client.clone();
    let mut found = Vec::new();
    found.push(("WriteSchema", Some(client.write_schema(SCHEMA).await?)));
    let start = client.write([touch(tuple)]).await?;
    client.write([delete(tuple)]).await?;
    let watch = WatchRequest { optional_start_cursor: Some(start.clone()), ..Default::default() };
    found.push(("Watch", first(watches.watch(watch).await?.into_inner()).await?.changes_through));
    found.push(("WriteRelationships", Some(client.write([touch(tuple)]).await?)));
    found.push(("CheckPermission", Some(client.check("document:plan#view@user:tom", minimize()).await?.at)));
    let request = CheckBulkPermissionsRequest { items: vec![item], ..Default::default() };
    found.push(("CheckBulkPermissions", permissions.check_bulk_permissions(request).await?.into_inner().checked_at));
    let request = ExpandPermissionTreeRequest {
        consistency: fully(),
        resource: resource.clone(),
        permission: permission.clone(),
    };
    found.push(("ExpandPermissionTree", permissions.expand_permission_tree(request).await?.into_inner().expanded_at));
    let request = LookupResourcesRequest {
        consistency: fully(),
        resource_object_type: "document".to_owned(),
        permission: permission.clone(),
        subject: subject.clone(),
        ..Default::default()
    };
    found.push((
        "LookupResources",
        first(permissions.lookup_resources(request).await?.into_inner()).await?.looked_up_at,
    ));
    let request = LookupSubjectsRequest {
        consistency: fully(),
        resource: resource.clone(),
        permission: permission.clone(),
        subject_object_type: "user".to_owned(),
        ..Default::default()
    };
    found.push(("LookupSubjects", first(permissions.lookup_subjects(request).await?.into_inner()).await?.looked_up_at));
    found.push(("ReadRelationships", client.read(filter("document"), fully()).await?.1));
    found.push(("ReadSchema", schemas.read_schema(ReadSchemaRequest {}).await?.into_inner().read_at));
    found.push(("ReflectSchema", schemas.reflect_schema(ReflectSchemaRequest::default()).await?.into_inner().read_at));
    let request = ContentChangeCheckRequest { resource, permission, subject, context: None };
    found.push(("ContentChangeCheck", consistency.content_change_check(request).await?.into_inner().zookie));
    let floors = consistency.get_floors(GetFloorsRequest {}).await?.into_inner();
    found.push(("GetFloors", floors.read_at));
    let request = SetFloorsRequest { expected_version: floors.version, floors: floors.floors };
    found.push(("SetFloors", consistency.set_floors(request).await?.into_inner().set_at));
    let request = DeleteRelationshipsRequest { relationship_filter: Some(filter("group")), ..Default::default() };
    found.push(("DeleteRelationships", permissions.delete_relationships(request).await?.into_inner().deleted_at));
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zookie_of_any_answer_works_on_any_node_and_so_does_a_cursor() {
    let mut cluster = Cluster::form(3).await;
    cluster.add_learner().await;
    for asked in 0..4 {
        let zookies = all_zookies(&cluster.client(asked)).await.unwrap();
        for (call, zookie) in zookies {
            let zookie = zookie.unwrap_or_else(|| panic!("{call} gives a zookie"));
            for node in 0..4 {
                let client = cluster.client(node);
                for consistency in [at_least(&zookie), exactly(&zookie)] {
                    let answer = client.check("document:plan#view@user:tom", consistency.clone()).await;
                    let answer = answer.unwrap_or_else(|error| panic!("{call} on {asked}, then {node}: {error:?}"));
                    assert!(consistency != exactly(&zookie) || answer.at == zookie, "{call} on {asked}, then {node}");
                }
                let watch = WatchRequest { optional_start_cursor: Some(zookie.clone()), ..Default::default() };
                let begun = client.watches.clone().watch(watch).await;
                assert!(begun.is_ok(), "{call} on {asked}, then a watch on {node}: {begun:?}");
            }
        }
    }
    // A cursor names a state and a place in it; it is no zookie, and a zookie is no cursor.
    let people = ["ann", "bob", "cat"].map(|name| touch(&format!("document:list#viewer@user:{name}")));
    let written = cluster.client(0).write(people).await.unwrap();
    let page = async |node: usize, cursor: Option<Cursor>| {
        let request = ReadRelationshipsRequest {
            consistency: fully(),
            relationship_filter: Some(filter("document:list")),
            optional_limit: 1,
            optional_cursor: cursor,
        };
        let rows = cluster.client(node).permissions.read_relationships(request).await?.into_inner();
        rows.try_collect::<Vec<ReadRelationshipsResponse>>().await
    };
    let head = page(0, None).await.unwrap().remove(0);
    let cursor = head.after_result_cursor.expect("every row has one");
    for node in 0..4 {
        let next = page(node, Some(cursor.clone())).await.unwrap().remove(0);
        assert_eq!(next.read_at, head.read_at, "a later page is about the state of the first");
    }
    let as_zookie = ZedToken { token: cursor.token };
    let error =
        cluster.client(0).check("document:plan#view@user:tom", at_least(&as_zookie)).await.expect_err("a cursor");
    assert_eq!(reason_of(&error).as_deref(), Some("INVALID_ZOOKIE"), "{error:?}");
    let error = page(0, Some(Cursor { token: written.token })).await.expect_err("a zookie");
    assert_eq!(reason_of(&error).as_deref(), Some("INVALID_CURSOR"), "{error:?}");
}

/// Another character in the middle of it.
fn damaged(zookie: &ZedToken) -> ZedToken {
    let other = if &zookie.token[8..9] == "A" { "B" } else { "A" };
    ZedToken { token: format!("{}{other}{}", &zookie.token[..8], &zookie.token[9..]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_zookie_is_told_apart_by_nodes_and_by_the_command_line() {
    let cluster = Cluster::form(1).await;
    let check = "document:plan#view@user:tom";
    let good = cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let text = |text: &str| ZedToken { token: text.to_owned() };
    let cases = [
        (text("GhUKEzE2OTM1NDA5NDAzNzMwNDU3Mjc"), Some(5), "not a zookie"),
        (damaged(&good), Some(6), "damaged"),
        (text("AgAAAAAA"), Some(7), "version 2"),
    ];
    for (token, code, word) in cases {
        for consistency in [at_least(&token), exactly(&token)] {
            let error = cluster.client(0).check(check, consistency).await.expect_err(word);
            assert_eq!((error.code(), reason_of(&error).as_deref()), (Code::InvalidArgument, Some("INVALID_ZOOKIE")));
            assert!(error.message().contains(word), "{error:?}");
        }
        let ran = run_at(&cluster, 0, &["zookie", "inspect", &token.token]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(word), "{ran:?}");
    }
    // Decoded without a node, then compared with one that has it and with one of another cluster.
    let status = cluster.status(0).await;
    let inspect = async |cluster: &Cluster, more: &[&str]| {
        let args = [&["zookie", "inspect", good.token.as_str(), "--json"], more].concat();
        run_at(cluster, 0, &args).await
    };
    let alone = inspect(&cluster, &[]).await;
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(alone.json()["lineage"], status.lineage, "{alone:?}");
    assert_eq!((&alone.json()["shard"], &alone.json()["version"]), (&0.into(), &1.into()), "{alone:?}");
    assert!(alone.json()["compared"].is_null(), "{alone:?}");
    let compared = inspect(&cluster, &["--compare"]).await;
    assert_eq!((compared.code, &compared.json()["compared"]["standing"]), (Some(0), &"reached".into()), "{compared:?}");
    let theirs = Cluster::form_beside(&cluster, 1).await;
    let foreign = inspect(&theirs, &["--compare"]).await;
    assert_eq!((foreign.code, &foreign.json()["compared"]["standing"]), (Some(8), &"foreign".into()), "{foreign:?}");
}

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
