//! One index per answer: while pairs of relationships change places, each pair in one transaction, no answer of any kind shows
//! both of a pair or none: on the leader, on a follower and on a learner, over all the pages of a list.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Status;

use crate::harness::wire::authzed::check_bulk_permissions_pair::Response as PairResponse;
use crate::harness::wire::authzed::{
    CheckBulkPermissionsRequest, ExportBulkRelationshipsRequest, LookupResourcesRequest, LookupSubjectsRequest,
    ReadRelationshipsRequest,
};
use crate::harness::{
    Client, Cluster, check_item, create, delete, exactly, filter, fully, is_allowed, relationship_text, touch,
};

/// Pairs: of `document:a<n>` and `document:b<n>`, one has the viewer.
const PAIRS: usize = 12;
/// Fewer than there are, so that lists have several pages.
const PAGE: u32 = 5;
const ROUNDS: usize = 12;

fn member(side: &str, pair: usize) -> String {
    format!("document:{side}{pair}")
}

/// Moves one pair after the other, until told to stop.
async fn swap_until(stop: Arc<AtomicBool>, client: Client) {
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let pair = turn % PAIRS;
        let (from, to) = if (turn / PAIRS).is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
        let swap = [
            delete(&format!("{}#viewer@user:tom", member(from, pair))),
            touch(&format!("{}#viewer@user:tom", member(to, pair))),
        ];
        client.write(swap).await.expect("nothing is broken");
        turn += 1;
    }
}

/// What is seen must be one of each pair.
fn assert_one_of_each(what: &str, node: usize, seen: &BTreeSet<String>) {
    for pair in 0..PAIRS {
        let of_pair = ["a", "b"].map(|side| seen.contains(&member(side, pair)));
        assert!(of_pair[0] != of_pair[1], "{what} on node {node} shows of pair {pair}: {of_pair:?}");
    }
    assert_eq!(seen.len(), PAIRS, "{what} on node {node}: {seen:?}");
}

async fn by_bulk_check(client: &Client) -> Result<BTreeSet<String>, Status> {
    let objects: Vec<String> = ["a", "b"].iter().flat_map(|side| (0..PAIRS).map(|pair| member(side, pair))).collect();
    let items = objects.iter().map(|object| check_item(&format!("{object}#view@user:tom"))).collect();
    let request = CheckBulkPermissionsRequest { consistency: fully(), items, with_tracing: false };
    let pairs = client.permissions.clone().check_bulk_permissions(request).await?.into_inner().pairs;
    let allowed = |response: Option<PairResponse>| match response.expect("an item is answered") {
        PairResponse::Item(item) => is_allowed(item.permissionship()),
        PairResponse::Error(error) => panic!("{error:?}"),
    };
    Ok(pairs.into_iter().zip(objects).filter_map(|(pair, object)| allowed(pair.response).then_some(object)).collect())
}

/// Page after page; each later one with a consistency that would allow another index.
async fn by_lookup(client: &Client) -> Result<BTreeSet<String>, Status> {
    let question = check_item("document:any#view@user:tom");
    let mut request = LookupResourcesRequest {
        consistency: fully(),
        resource_object_type: "document".to_owned(),
        permission: "view".to_owned(),
        subject: question.subject,
        context: None,
        optional_limit: PAGE,
        optional_cursor: None,
        with_debug: false,
    };
    let mut seen = BTreeSet::new();
    loop {
        let mut page = client.permissions.clone().lookup_resources(request.clone()).await?.into_inner();
        let mut rows = 0;
        while let Some(row) = page.message().await? {
            assert!(seen.insert(format!("document:{}", row.resource_object_id)), "{row:?} comes twice");
            request.optional_cursor = row.after_result_cursor;
            rows += 1;
        }
        if rows < PAGE {
            return Ok(seen);
        }
    }
}

async fn by_read(client: &Client) -> Result<BTreeSet<String>, Status> {
    let mut request = ReadRelationshipsRequest {
        consistency: fully(),
        relationship_filter: Some(filter("document")),
        optional_limit: PAGE,
        optional_cursor: None,
    };
    let mut seen = BTreeSet::new();
    loop {
        let mut page = client.permissions.clone().read_relationships(request.clone()).await?.into_inner();
        let mut rows = 0;
        while let Some(row) = page.message().await? {
            let text = relationship_text(&row.relationship.expect("a row holds a relationship"));
            seen.insert(text.split('#').next().expect("a resource").to_owned());
            request.optional_cursor = row.after_result_cursor;
            rows += 1;
        }
        if rows < PAGE {
            return Ok(seen);
        }
    }
}

async fn by_export(client: &Client) -> Result<BTreeSet<String>, Status> {
    let request = ExportBulkRelationshipsRequest {
        consistency: fully(),
        optional_limit: PAGE,
        optional_cursor: None,
        optional_relationship_filter: None,
    };
    let mut pages = client.permissions.clone().export_bulk_relationships(request).await?.into_inner();
    let mut seen = BTreeSet::new();
    while let Some(page) = pages.message().await? {
        let texts = page.relationships.iter().map(relationship_text);
        seen.extend(texts.map(|text| text.split('#').next().expect("a resource").to_owned()));
    }
    Ok(seen)
}

/// Who sees each document, document by document, at the index of one check before.
async fn by_subjects(client: &Client) -> Result<BTreeSet<String>, Status> {
    let state = client.check(&format!("{}#view@user:tom", member("a", 0)), fully()).await?.at;
    let mut seen = BTreeSet::new();
    for object in ["a", "b"].iter().flat_map(|side| (0..PAIRS).map(|pair| member(side, pair))) {
        let request = LookupSubjectsRequest {
            consistency: exactly(&state),
            resource: check_item(&format!("{object}#view@user:tom")).resource,
            permission: "view".to_owned(),
            subject_object_type: "user".to_owned(),
            ..Default::default()
        };
        let mut rows = client.permissions.clone().lookup_subjects(request).await?.into_inner();
        while let Some(row) = rows.message().await? {
            assert_eq!(row.looked_up_at.as_ref(), Some(&state), "an exact state is that one");
            seen.insert(object.clone());
        }
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_states_on_leader_follower_and_learner() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader, learner])[0];
    let first = (0..PAIRS).map(|pair| create(&format!("{}#viewer@user:tom", member("a", pair))));
    cluster.client(leader).write(first).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(swap_until(Arc::clone(&stop), cluster.client(leader)));
    for _ in 0..ROUNDS {
        for node in [leader, follower, learner] {
            let client = cluster.client(node);
            assert_one_of_each("a bulk check", node, &by_bulk_check(&client).await.unwrap());
            assert_one_of_each("a lookup of resources", node, &by_lookup(&client).await.unwrap());
            assert_one_of_each("a lookup of subjects", node, &by_subjects(&client).await.unwrap());
            assert_one_of_each("a read", node, &by_read(&client).await.unwrap());
            assert_one_of_each("an export", node, &by_export(&client).await.unwrap());
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("the writer saw no error");
}
