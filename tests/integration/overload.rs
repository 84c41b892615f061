//! More work than a node can do: it answers what it can soon, refuses the rest soon, and neither its place in the cluster nor
//! its memory suffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use parking_lot::Mutex;
use tonic::{Code, Status, Streaming};

use crate::harness::wire::authzed::{
    CheckBulkPermissionsRequest, ReadRelationshipsRequest, WatchRequest, WatchResponse, WriteRelationshipsRequest,
};
use crate::harness::{
    Client, Cluster, Settings, check_item, eventually, filter, fully, metric, minimize, reason_of, say, touch, within,
};

const CHECK: &str = "document:plan#view@user:tom";
const LIMIT: Duration = Duration::from_secs(30);
/// For how long there is too much to do.
const WHILE: Duration = Duration::from_secs(5);
/// Clients that ask expensive questions without a pause, and how many items each of them has.
const GREEDY: usize = 150;
const ITEMS: usize = 2_000;
/// By how much the memory of a node may grow meanwhile.
const MEMORY: u64 = 512 << 20;

fn settings(flags: &[&str]) -> Settings {
    let flags = [&["--metrics-listen", "127.0.0.1:0"], flags].concat();
    Settings { flags: flags.into_iter().map(str::to_owned).collect(), ..Settings::default() }
}

/// What became of many requests.
#[derive(Default)]
struct Outcomes {
    good: AtomicUsize,
    refused: AtomicUsize,
    other: Mutex<Vec<Status>>,
    times: Mutex<Vec<Duration>>,
}

impl Outcomes {
    fn note<T>(&self, began: Instant, outcome: Result<T, Status>) -> bool {
        match outcome {
            Ok(_) => {
                self.good.fetch_add(1, Ordering::Relaxed);
                self.times.lock().push(began.elapsed());
                true
            }
            Err(status) if status.code() == Code::ResourceExhausted => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            Err(status) => {
                self.other.lock().push(status);
                false
            }
        }
    }

    fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    fn show(&self, who: &str) {
        let mut times = self.times.lock();
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        say(&format!(
            "{who}: {} answered, half of them within {:.1?} and 99 of 100 within {:.1?}; {} refused, {} failed otherwise",
            self.good(),
            at(50),
            at(99),
            self.refused.load(Ordering::Relaxed),
            self.other.lock().len()
        ));
    }
}

/// A question with thousands of parts.
fn expensive() -> CheckBulkPermissionsRequest {
    let items = (0..ITEMS).map(|n| check_item(&format!("document:d{n}#view@user:tom"))).collect();
    CheckBulkPermissionsRequest { consistency: minimize(), items, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expensive_questions_of_many_cost_neither_the_leader_nor_the_memory() {
    let cluster = Cluster::form_with(3, settings(&[])).await;
    let leader = cluster.leader().await;
    let node = &cluster.nodes[leader];
    let tuples = (0..500).map(|n| touch(&format!("document:d{n}#viewer@user:tom")));
    cluster.client(leader).write(tuples.chain([touch("document:plan#viewer@user:tom")])).await.unwrap();
    let before = cluster.status(leader).await;
    let (memory, stop) = (node.resident_bytes(), Arc::new(AtomicBool::new(false)));
    let (greedy, modest, writes) = (Arc::<Outcomes>::default(), Arc::<Outcomes>::default(), Arc::<Outcomes>::default());

    let mut tasks = tokio::task::JoinSet::new();
    for client in (0..GREEDY).map(|_| cluster.client(leader)) {
        let (stop, outcomes) = (Arc::clone(&stop), Arc::clone(&greedy));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let asked = client.permissions.clone().check_bulk_permissions(expensive()).await;
                if !outcomes.note(began, asked) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    for at in [leader, cluster.others(&[leader])[0]] {
        let (client, stop, outcomes, writes) =
            (cluster.client(at), Arc::clone(&stop), Arc::clone(&modest), Arc::clone(&writes));
        tasks.spawn(async move {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                outcomes.note(began, client.check(CHECK, fully()).await);
                let began = Instant::now();
                writes.note(began, client.write([touch(&format!("document:w{number}#viewer@user:tom"))]).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let (began, mut most) = (Instant::now(), memory);
    while began.elapsed() < WHILE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(node.resident_bytes());
    }
    stop.store(true, Ordering::Relaxed);
    within("the end of all requests", LIMIT, async { while tasks.join_next().await.is_some() {} }).await;

    greedy.show("expensive questions");
    modest.show("cheap questions");
    writes.show("writes");
    let shed = metric(node, "quorate_evaluations_shed_total").await;
    say(&format!("{shed} evaluations shed; memory {} MiB before, {} MiB at the most", memory >> 20, most >> 20));
    let after = cluster.status(leader).await;
    assert_eq!((after.term, after.leader_id), (before.term, before.leader_id), "the load brought on an election");
    for (who, outcomes) in [("cheap questions", &modest), ("writes", &writes)] {
        assert!(outcomes.good() > 0, "{who} were never answered");
        assert!(outcomes.other.lock().is_empty(), "{who}: {:?}", outcomes.other.lock().first());
    }
    assert!(greedy.good() > 0, "nothing of the work came to an end");
    assert!(shed > 0.0, "there was not too much to do");
    assert!(most - memory < MEMORY, "{} MiB more", (most - memory) >> 20);
    // Well again at once.
    let began = Instant::now();
    eventually("an answer", LIMIT, async || cluster.client(leader).check(CHECK, fully()).await).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_hold_next_to_nothing() {
    const STREAMS: usize = 400;
    let cluster = Cluster::form_with(1, settings(&[])).await;
    let (node, client) = (&cluster.nodes[0], cluster.client(0));
    for part in 0..20 {
        let tuples = (0..1_000).map(|n| touch(&format!("document:d{part}-{n}#viewer@user:tom")));
        client.write(tuples).await.unwrap();
    }
    let memory = node.resident_bytes();
    let mut streams = Vec::new();
    let readers: Vec<Client> = (0..4).map(|_| cluster.client(0)).collect();
    for n in 0..STREAMS {
        let request = ReadRelationshipsRequest {
            consistency: minimize(),
            relationship_filter: Some(filter("document")),
            ..Default::default()
        };
        let mut permissions = readers[n % readers.len()].permissions.clone();
        streams.push(within("a stream", LIMIT, permissions.read_relationships(request)).await.expect("it begins"));
    }
    let (began, mut most) = (Instant::now(), memory);
    while began.elapsed() < Duration::from_secs(2) {
        most = most.max(node.resident_bytes());
        assert!(client.check("document:d0-0#view@user:tom", fully()).await.expect("others are served").allowed);
    }
    say(&format!("{STREAMS} streams that nobody reads take {} kB each", ((most - memory) / STREAMS as u64) >> 10));
    // What is on its way, of an answer of several MiB.
    assert!(most - memory < (STREAMS as u64) << 20, "{} MiB more", (most - memory) >> 20);
    drop(streams);
    client.check("document:d0-0#view@user:tom", fully()).await.expect("others are served");
}

async fn begin_watch(client: &Client) -> Streaming<WatchResponse> {
    let request = WatchRequest { optional_object_types: vec!["document".to_owned()], ..Default::default() };
    loop {
        match client.watches.clone().watch(request.clone()).await {
            Ok(watch) => return watch.into_inner(),
            Err(status) => {
                let again = matches!(status.code(), Code::ResourceExhausted | Code::Unavailable);
                assert!(again, "a watch was refused for another reason than load: {status:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_watchers_that_come_back_passes() {
    const WATCHERS: usize = 3_000;
    const ON_ONE: usize = 30;
    let cluster = Cluster::form_with(3, settings(&[])).await;
    let leader = cluster.leader().await;
    let before = cluster.status(leader).await;
    let at = cluster.others(&[leader])[0];
    let storm = async || {
        let clients: Vec<Client> = (0..WATCHERS / ON_ONE).map(|_| cluster.client(at)).collect();
        let all = (0..WATCHERS).map(|n| begin_watch(&clients[n % clients.len()]));
        // All of them at once, as after a restart of what they went through.
        futures::stream::iter(all).buffer_unordered(WATCHERS).collect::<Vec<_>>().await
    };
    for round in 0..2 {
        let began = Instant::now();
        let mut watches = within("all watches", LIMIT, storm()).await;
        say(&format!("{WATCHERS} watchers came at once, and were served within {:.1?}", began.elapsed()));
        assert!(metric(&cluster.nodes[at], "quorate_watches").await >= WATCHERS as f64);
        let written =
            cluster.client(leader).write([touch(&format!("document:r{round}#viewer@user:tom"))]).await.unwrap();
        for watch in &mut watches {
            let told = within("the change", LIMIT, watch.message()).await.unwrap().expect("a watch goes on");
            assert_eq!(told.changes_through.as_ref(), Some(&written));
        }
    }
    let after = cluster.status(leader).await;
    assert_eq!((after.term, after.leader_id), (before.term, before.leader_id), "the storm brought on an election");
    eventually("the watches of clients that left end", LIMIT, async || {
        let left = metric(&cluster.nodes[at], "quorate_watches").await;
        if left == 0.0 { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beyond_the_limit_are_refused_and_take_no_memory() {
    let cluster = Cluster::form_with(1, settings(&[])).await;
    let node = &cluster.nodes[0];
    cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let memory = node.resident_bytes();
    let updates = vec![touch("document:plan#viewer@user:tom"); 400_000];
    let calls = (0..8).map(|_| {
        let mut permissions = cluster.client(0).permissions;
        let request = WriteRelationshipsRequest { updates: updates.clone(), ..Default::default() };
        async move { permissions.write_relationships(request).await.expect_err("too long") }
    });
    for status in within("the answers", LIMIT, futures::future::join_all(calls)).await {
        // Where the node ends the stream before the client has said everything, a client may see that instead.
        let told =
            matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::Internal | Code::Unavailable);
        assert!(told, "{status:?} {:?}", reason_of(&status));
    }
    let more = node.resident_bytes().saturating_sub(memory);
    assert!(more < 128 << 20, "{} MiB more", more >> 20);
    assert!(cluster.client(0).check(CHECK, fully()).await.expect("it is well").allowed);
}
