//! The main job: a write on one node, a check on any other with the zookie; the consistency modes on leader and follower.

use crate::harness::wire::authzed::{Consistency, DeleteRelationshipsRequest, ReadSchemaRequest, ZedToken};
use crate::harness::{Cluster, at_least, delete, exactly, filter, fully, minimize, touch};

/// How often a fresh write is read back on every follower.
const ROUNDS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_one_node_is_seen_on_every_other_with_its_zookie() {
    let cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    for writer in 0..3 {
        let check = format!("document:from-{writer}#view@user:tom");
        let tuple = format!("document:from-{writer}#viewer@user:tom");
        let granted = clients[writer].write([touch(&tuple)]).await.unwrap();
        for (reader, client) in clients.iter().enumerate() {
            let answer = client.check(&check, at_least(&granted)).await.unwrap();
            assert!(answer.allowed, "written on {writer}, checked on {reader}");
        }
        let revoked = clients[writer].write([delete(&tuple)]).await.unwrap();
        assert_ne!(granted, revoked);
        for (reader, client) in clients.iter().enumerate() {
            let answer = client.check(&check, at_least(&revoked)).await.unwrap();
            assert!(!answer.allowed, "revoked on {writer}, checked on {reader}");
        }
    }
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_consistency_mode_answers_on_leader_and_followers() {
    let cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    let check = "document:plan#view@user:ann";
    let before = clients[0].write([touch("document:other#viewer@user:ann")]).await.unwrap();
    let granted =
        clients[1].write([touch("group:eng#member@user:ann"), touch("document:plan#viewer@group:eng#member")]);
    let granted = granted.await.unwrap();
    let banned = clients[2].write([touch("document:plan#banned@user:ann")]).await.unwrap();

    for (node, client) in clients.iter().enumerate() {
        // Exact snapshots: the past stays what it was, on every node, however often it is asked for.
        for (zookie, expected) in [(&before, false), (&granted, true), (&banned, false), (&granted, true)] {
            let answer = client.check(check, exactly(zookie)).await.unwrap();
            assert_eq!(answer.allowed, expected, "node {node} at {zookie:?}");
            assert_eq!(&answer.at, zookie, "an exact snapshot is evaluated where it says");
        }
        assert!(!client.check(check, at_least(&banned)).await.unwrap().allowed, "node {node}");
        let full = client.check(check, fully()).await.unwrap();
        assert!(!full.allowed, "node {node}");
        // This node has applied all of it by now, so its own state says the same.
        let local = client.check(check, minimize()).await.unwrap();
        assert!(!local.allowed, "node {node}");
        assert_eq!(client.check(check, None).await.unwrap().allowed, local.allowed, "no requirement is the least one");
        // The zookie of an answer asks for the same answer again.
        assert_eq!(client.check(check, exactly(&full.at)).await.unwrap(), full);

        let (rows, read_at) = client.read(filter("document:plan"), exactly(&granted)).await.unwrap();
        assert_eq!(rows, ["document:plan#viewer@group:eng#member"]);
        assert_eq!(read_at.as_ref(), Some(&granted), "every row says where it was read");
        let (rows, _) = client.read(filter("document:plan"), at_least(&banned)).await.unwrap();
        assert_eq!(rows, ["document:plan#banned@user:ann", "document:plan#viewer@group:eng#member"]);
        let schema = client.schemas.clone().read_schema(ReadSchemaRequest {}).await.unwrap().into_inner();
        assert!(schema.read_at.is_some_and(|zookie| !zookie.token.is_empty()));
    }

    let request =
        DeleteRelationshipsRequest { relationship_filter: Some(filter("document:plan")), ..Default::default() };
    let deleted = clients[2].permissions.clone().delete_relationships(request).await.unwrap().into_inner();
    assert_eq!(deleted.relationships_deleted_count, 2);
    let deleted_at = deleted.deleted_at.expect("every answer carries a zookie");
    for client in &clients {
        assert_eq!(client.read(filter("document:plan"), at_least(&deleted_at)).await.unwrap().0, [""; 0]);
        assert_eq!(client.read(filter("document:plan"), exactly(&banned)).await.unwrap().0.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fully_consistent_read_on_a_follower_sees_the_write_before_it() {
    followers_never_lag_behind_what_is_demanded(|_| fully()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_a_zookie_on_a_follower_waits_for_the_write_of_that_zookie() {
    followers_never_lag_behind_what_is_demanded(at_least).await;
}

/// Writes on the leader and checks on all followers right after: they learn that an entry is committed a little later than the
/// writer, so a node that did not wait would be caught in the past.
async fn followers_never_lag_behind_what_is_demanded(demand: impl Fn(&ZedToken) -> Option<Consistency>) {
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let writer = cluster.client(leader);
    let followers: Vec<_> = cluster.others(&[leader]).into_iter().map(|index| cluster.client(index)).collect();
    let (tuple, check) = ("document:news#viewer@user:kim", "document:news#view@user:kim");
    for round in 0..ROUNDS {
        // Both directions: a stale answer would be a wrong allow as often as a wrong deny.
        let granted = round % 2 == 0;
        let written = writer.write([if granted { touch(tuple) } else { delete(tuple) }]).await.unwrap();
        let asked = followers.iter().map(|client| client.check(check, demand(&written)));
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.unwrap().allowed, granted, "round {round}");
        }
    }
}
