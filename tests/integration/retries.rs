//! Writes under a key take effect once: whichever node they are repeated at, whoever leads, after restarts and snapshots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

use crate::harness::wire::authzed::relationship_update::Operation;
use crate::harness::wire::authzed::{
    DeleteRelationshipsRequest, ImportBulkRelationshipsRequest, RelationshipUpdate, WatchRequest,
    WriteRelationshipsRequest, WriteSchemaRequest, ZedToken,
};
use crate::harness::{
    Client, Cluster, Fault, SCHEMA, SETTLE_LIMIT, Settings, create, delete, eventually, filter, fully, reason_of,
    relationship_text, run_at, touch, within,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// A try without an answer is given up after this.
const ONE_TRY: Duration = Duration::from_secs(2);
/// Between two tries.
const BACK_OFF: Duration = Duration::from_millis(20);
const TUPLE: &str = "document:plan#viewer@user:tom";
const CHECK: &str = "document:plan#view@user:tom";

/// What a write under a key was answered.
#[derive(Debug, Clone, PartialEq)]
struct Written {
    zookie: ZedToken,
    replayed: bool,
}

fn keyed<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("quorate-idempotency-key", key.parse().expect("plain text"));
    request
}

fn is_replayed<T>(response: &tonic::Response<T>) -> bool {
    response.metadata().get("quorate-replayed").is_some_and(|value| value == "true")
}

async fn write(client: &Client, key: &str, update: RelationshipUpdate) -> Result<Written, Status> {
    let message = WriteRelationshipsRequest { updates: vec![update], ..Default::default() };
    let response = client.permissions.clone().write_relationships(keyed(key, message)).await?;
    let replayed = is_replayed(&response);
    Ok(Written { zookie: response.into_inner().written_at.expect("every answer carries a zookie"), replayed })
}

/// Repeats a write until a node answers it, whatever became of the tries before.
async fn settle(client: &Client, key: &str, update: RelationshipUpdate) -> Written {
    eventually("the write is answered", SETTLE_LIMIT, async || write(client, key, update.clone()).await).await
}

/// All that changed after `start`, up to a last write that this makes.
async fn changes(client: &Client, start: &ZedToken) -> Vec<String> {
    const END: &str = "document:end#viewer@user:tom";
    client.write([touch(END)]).await.unwrap();
    let request = WatchRequest { optional_start_cursor: Some(start.clone()), ..Default::default() };
    let mut stream = client.watches.clone().watch(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    loop {
        let message = within("a change", PATIENCE, stream.message()).await.unwrap().expect("a watch has no end");
        for update in message.updates {
            let sign = if update.operation() == Operation::Delete { '-' } else { '+' };
            let text = relationship_text(&update.relationship.expect("an update has a relationship"));
            if text == END {
                return found;
            }
            found.push(format!("{sign}{text}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_gets_the_first_answer_everywhere_and_after_restarts() {
    let mut cluster = Cluster::form(3).await;
    cluster.add_learner().await;
    let start = cluster.client(0).write([touch("document:start#viewer@user:tom")]).await.unwrap();
    let first = write(&cluster.client(1), "one key", create(TUPLE)).await.unwrap();
    assert!(!first.replayed);
    let again = Written { replayed: true, ..first.clone() };
    for client in cluster.clients() {
        assert_eq!(write(&client, "one key", create(TUPLE)).await.unwrap(), again);
        let error = write(&client, "one key", touch(TUPLE)).await.expect_err("another request");
        assert_eq!(error.code(), Code::FailedPrecondition, "{error:?}");
        assert_eq!(reason_of(&error).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"), "{error:?}");
    }

    let message = || DeleteRelationshipsRequest { relationship_filter: Some(filter("document")), ..Default::default() };
    let deletion = async |client: Client| {
        let response = client.permissions.clone().delete_relationships(keyed("deletion", message())).await.unwrap();
        (is_replayed(&response), response.into_inner())
    };
    let (replayed, deleted) = deletion(cluster.client(0)).await;
    assert_eq!((replayed, deleted.relationships_deleted_count), (false, 2));
    cluster.client(1).write([create(TUPLE)]).await.unwrap();
    assert_eq!(deletion(cluster.client(2)).await, (true, deleted));
    assert!(cluster.client(2).check(CHECK, fully()).await.unwrap().allowed, "it was deleted once, before this one");
    cluster.client(1).write([delete(TUPLE)]).await.unwrap();

    let schema = format!("{SCHEMA}\ndefinition folder {{}}");
    let change = async |client: Client| {
        let message = WriteSchemaRequest { schema: schema.clone() };
        let response = client.schemas.clone().write_schema(keyed("schema", message)).await.unwrap();
        (is_replayed(&response), response.into_inner().written_at)
    };
    let (replayed, changed_at) = change(cluster.client(0)).await;
    assert!(!replayed);
    cluster.client(2).write_schema(SCHEMA).await.unwrap();
    assert_eq!(change(cluster.client(1)).await, (true, changed_at));

    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let left = cluster.others(&[leader]);
    for index in &left {
        assert_eq!(settle(&cluster.client(*index), "one key", create(TUPLE)).await, again, "after a change of leader");
    }
    for index in left {
        cluster.nodes[index].kill();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        assert_eq!(node.ready().await, "member");
    }
    for client in cluster.clients() {
        assert_eq!(settle(&client, "one key", create(TUPLE)).await, again, "after a restart of all nodes");
    }
    let expected = [
        format!("+{TUPLE}"),
        format!("-{TUPLE}"),
        "-document:start#viewer@user:tom".to_owned(),
        format!("+{TUPLE}"),
        format!("-{TUPLE}"),
    ];
    assert_eq!(changes(&cluster.client(0), &start).await, expected);
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_kept_is_refused() {
    let cluster = Cluster::form(1).await;
    let client = cluster.client(0);
    for bad in ["", "a\tb", &"k".repeat(129)] {
        let error = write(&client, bad, touch(TUPLE)).await.expect_err(bad);
        assert_eq!(reason_of(&error).as_deref(), Some("INVALID_ARGUMENT"), "{error:?}");
        assert!(error.message().contains("quorate-idempotency-key"), "{error:?}");
    }
    let import = futures::stream::iter([ImportBulkRelationshipsRequest::default()]);
    let error = client.permissions.clone().import_bulk_relationships(keyed("key", import)).await.expect_err("not kept");
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert!(error.message().contains("import"), "{error:?}");
    assert!(!client.check(CHECK, fully()).await.unwrap().allowed);
}

/// The answer to the first try is lost in the worst of ways: the node itself does not know what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_timed_out_and_took_effect_after_all_does_so_once() {
    let settings = Settings { request_timeout_ms: Some(1_000), ..Settings::default() };
    let cluster = Cluster::form_with(3, settings).await;
    let leader = cluster.leader().await;
    let [one, other] = cluster.others(&[leader]).try_into().unwrap();
    let start = cluster.client(leader).write([touch("document:start#viewer@user:tom")]).await.unwrap();
    for follower in [one, other] {
        cluster.nodes[follower].inflict(Fault::Pause);
    }
    let error = write(&cluster.client(leader), "k", create(TUPLE)).await.expect_err("there is no majority");
    assert_eq!(reason_of(&error).as_deref(), Some("OUTCOME_UNKNOWN"), "{error:?}");
    // With one follower the leader is a majority again, and nobody else can be: what is in its log commits.
    cluster.nodes[one].inflict(Fault::Resume);
    eventually("writes go on", SETTLE_LIMIT, async || cluster.client(leader).write([delete(TUPLE)]).await).await;
    cluster.nodes[other].inflict(Fault::Resume);
    let settled = settle(&cluster.client(other), "k", create(TUPLE)).await;
    assert!(settled.replayed, "the first try took effect: {settled:?}");
    assert!(!cluster.client(one).check(CHECK, fully()).await.unwrap().allowed, "it was deleted since");
    assert_eq!(changes(&cluster.client(one), &start).await, [format!("+{TUPLE}"), format!("-{TUPLE}")]);
}

/// Creates tuples one after another, each repeated at another node until it is answered.
async fn create_all(name: String, clients: Vec<Client>, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<String> {
    let mut created = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("document:{name}-{}#viewer@user:tom", created.len());
        let begin = Instant::now();
        for client in clients.iter().cycle() {
            // A node that is paused does not answer at all; its client gives up.
            let attempt = tokio::time::timeout(ONE_TRY, write(client, &text, create(&text))).await;
            if let Ok(Ok(_)) = attempt {
                break;
            }
            if let Ok(Err(error)) = &attempt {
                assert_ne!(error.code(), Code::AlreadyExists, "a second effect of one request: {error:?}");
            }
            assert!(begin.elapsed() < SETTLE_LIMIT, "{text} is not answered: {attempt:?}");
            tokio::time::sleep(BACK_OFF).await;
        }
        created.push(text);
        done.fetch_add(1, Ordering::Relaxed);
    }
    created
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_die_leave_no_request_with_two_effects_or_none() {
    let settings = Settings { request_timeout_ms: Some(1_000), ..Settings::default() };
    let mut cluster = Cluster::form_with(3, settings).await;
    let start = cluster.client(0).write([touch("document:start#viewer@user:tom")]).await.unwrap();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        writers.spawn(create_all(format!("w{writer}"), cluster.clients(), Arc::clone(&stop), Arc::clone(&done)));
    }
    let progress = async || {
        let goal = done.load(Ordering::Relaxed) + 60;
        eventually("writes go on", Duration::from_secs(60), async || match done.load(Ordering::Relaxed) {
            now if now >= goal => Ok(()),
            now => Err(format!("{now} of {goal}")),
        })
        .await;
    };
    for round in 0..4 {
        progress().await;
        let leader = cluster.leader().await;
        if round % 2 == 0 {
            cluster.nodes[leader].kill();
            progress().await;
            assert_eq!(cluster.nodes[leader].start().await, "member");
        } else {
            // What it was asked meanwhile it finds when it wakes, and is no leader any more.
            cluster.nodes[leader].inflict(Fault::Pause);
            progress().await;
            cluster.nodes[leader].inflict(Fault::Resume);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut expected: Vec<String> = writers.join_all().await.concat().iter().map(|text| format!("+{text}")).collect();
    expected.sort();
    let mut found = changes(&cluster.client(0), &start).await;
    found.sort();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected, "each once");
    cluster.assert_same_state().await;
}

/// Changes leaders until this one leads.
async fn make_leader(cluster: &mut Cluster, wanted: usize) {
    for _ in 0..15 {
        let leader = cluster.leader().await;
        if leader == wanted {
            return;
        }
        cluster.nodes[leader].kill();
        cluster.leader_among(&cluster.others(&[leader])).await;
        assert_eq!(cluster.nodes[leader].start().await, "member");
    }
    panic!("node {wanted} never led");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_got_its_state_as_a_snapshot_knows_the_requests_before_it() {
    let settings = Settings { snapshot_after_entries: Some(100), keep_entries: Some(20), ..Settings::default() };
    let mut cluster = Cluster::form_with(3, settings).await;
    let absent = cluster.others(&[cluster.leader().await])[0];
    let present = cluster.others(&[absent]);
    let had = cluster.assert_same_state().await;
    assert!(cluster.nodes[absent].stop().await.success());

    let client = cluster.client(present[0]);
    let first = write(&client, "before the snapshot", create(TUPLE)).await.unwrap();
    client.write([delete(TUPLE)]).await.unwrap();
    for n in 0..150 {
        client.write([touch(&format!("document:d{n}#viewer@user:tom"))]).await.unwrap();
    }
    for index in &present {
        cluster.client(*index).snapshot().await.unwrap();
    }
    eventually("the log that the absent node needs is purged everywhere", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&present).await;
        if statuses.len() == 2 && statuses.iter().all(|(_, s)| s.purged_index > had) { Ok(()) } else { Err(statuses) }
    })
    .await;
    assert_eq!(cluster.nodes[absent].start().await, "member");
    cluster.assert_same_state().await;
    let status = cluster.status(absent).await;
    assert!(status.snapshot_index > had, "only a snapshot can have bridged the gap after {had}: {status:?}");

    make_leader(&mut cluster, absent).await;
    let again = settle(&cluster.client(absent), "before the snapshot", create(TUPLE)).await;
    assert_eq!(again, Written { replayed: true, ..first });
    assert!(!cluster.client(absent).check(CHECK, fully()).await.unwrap().allowed, "it was deleted since");
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_can_be_repeated_under_its_key() {
    let cluster = Cluster::form(3).await;
    let create = ["relationship", "create", TUPLE, "--idempotency-key", "from a script", "--json"];
    let first = run_at(&cluster, 0, &create).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    let again = run_at(&cluster, 1, &create).await;
    assert_eq!((again.code, again.json()), (Some(0), first.json()), "{again:?}");
    let other = run_at(&cluster, 1, &["relationship", "delete", TUPLE, "--idempotency-key", "from a script"]).await;
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.err.contains("IDEMPOTENCY_KEY_REUSED"), "{other:?}");
    // Without one, each command has a new key.
    let without = run_at(&cluster, 2, &["relationship", "create", TUPLE]).await;
    assert!(without.err.contains("exists already"), "{without:?}");
}
