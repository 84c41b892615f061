//! Thousands of watchers that have nothing to be told cost next to nothing: neither time nor much memory.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tonic::Streaming;

use crate::harness::wire::authzed::{WatchRequest, WatchResponse};
use crate::harness::{Client, Cluster, say, touch, within};

const WATCHERS: usize = 4_000;
/// As many streams as one connection of a common client carries.
const A_CONNECTION: usize = 100;
/// For how long they are looked at.
const WHILE: Duration = Duration::from_secs(4);
/// What they may take of one processor, and of memory each, in bytes. A stream of HTTP/2 with its task is some 10 to 20 kB.
const SHARE: f64 = 0.05;
const MEMORY: u64 = 64 << 10;

fn begin(client: &Client, object_type: &str) -> impl Future<Output = Streaming<WatchResponse>> + use<> {
    let mut watches = client.watches.clone();
    let request = WatchRequest { optional_object_types: vec![object_type.to_owned()], ..Default::default() };
    async move { watches.watch(request).await.expect("a watch begins").into_inner() }
}

/// Processor time that the node takes in [`WHILE`], as a share of one processor.
async fn share_taken(cluster: &Cluster, node: usize, meanwhile: impl AsyncFn()) -> f64 {
    let (began, before) = (Instant::now(), cluster.nodes[node].processor_time());
    while began.elapsed() < WHILE {
        meanwhile().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (cluster.nodes[node].processor_time() - before).as_secs_f64() / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cost_next_to_nothing() {
    let cluster = Cluster::form(1).await;
    let client = cluster.client(0);
    let written = client.write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let nobody = async || {};
    let alone = share_taken(&cluster, 0, nobody).await;
    let memory_before = cluster.nodes[0].resident_bytes();
    let connections: Vec<Client> = (0..WATCHERS.div_ceil(A_CONNECTION)).map(|_| cluster.client(0)).collect();
    let beginning = (0..WATCHERS).map(|n| begin(&connections[n % connections.len()], "group"));
    let mut watching: Vec<_> = futures::stream::iter(beginning).buffer_unordered(64).collect().await;
    let memory = (cluster.nodes[0].resident_bytes() - memory_before) / WATCHERS as u64;
    let idle = share_taken(&cluster, 0, nobody).await;
    say(&format!(
        "{WATCHERS} idle watchers take {:.1} % of a processor (the node alone {:.1} %) and {} kB each",
        100.0 * idle,
        100.0 * alone,
        memory >> 10
    ));
    assert!(idle - alone < SHARE, "idle watchers take {idle:.3} of a processor, and the node alone {alone:.3}");
    let others = async || drop(client.write([touch("document:plan#viewer@user:tom")]).await.unwrap());
    let bothered = share_taken(&cluster, 0, others).await;
    say(&format!("with 20 writes a second that concern none of them {:.1} %", 100.0 * bothered));
    assert!(memory < MEMORY, "an idle watcher takes {memory} bytes");

    // They are alive, all of them: each is told of the next change that concerns it.
    let told = client.write([touch("group:eng#member@user:tom")]).await.unwrap();
    assert_ne!(told, written);
    for watch in &mut watching {
        let message = within("the change", Duration::from_secs(30), watch.message()).await.unwrap();
        assert_eq!(message.expect("a watch goes on").changes_through.as_ref(), Some(&told));
    }
}
