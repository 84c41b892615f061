//! Connections that want nothing, or too much: they use up neither the node's files nor its memory, and keep nobody out.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::Streaming;

use crate::harness::wire::authzed::{WatchRequest, WatchResponse};
use crate::harness::{
    Client, Cluster, KEY, Load, SETTLE_LIMIT, Settings, eventually, exchange, fully, metric, say, touch, within,
};

const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";
const LIMIT: Duration = Duration::from_secs(20);

fn settings(flags: &[&str]) -> Settings {
    let flags = [&["--metrics-listen", "127.0.0.1:0"], flags].concat();
    Settings { gateway: true, flags: flags.into_iter().map(str::to_owned).collect(), ..Settings::default() }
}

async fn begin_watch(client: &Client) -> Streaming<WatchResponse> {
    client.watches.clone().watch(WatchRequest::default()).await.expect("a watch begins").into_inner()
}

/// Connections that say nothing.
async fn silent(address: &str, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        // One that the node ends at once is as good as one that it keeps.
        if let Ok(connection) = TcpStream::connect(address).await {
            connections.push(connection);
        }
    }
    connections
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_that_say_nothing_keep_nobody_out() {
    const MOST: usize = 200;
    let cluster = Cluster::form_with(1, settings(&["--connections", "200"])).await;
    let node = &cluster.nodes[0];
    let files = node.open_files();
    let old = cluster.client(0);
    let mut watch = begin_watch(&old).await;
    let (client, gateway, metrics) = (node.client_address.clone(), node.gateway_address(), node.metrics_address());
    let held = [silent(&client, 3_000).await, silent(&gateway, 1_000).await, silent(&metrics, 1_000).await];
    assert!(held.iter().map(Vec::len).sum::<usize>() > 4_500);

    // Whoever had shown a key has kept the connection; whoever shows one now gets in, on each listener.
    let written = within("a write", LIMIT, cluster.client(0).write([touch(TUPLE)])).await.expect("a new client");
    let told = within("the watch", LIMIT, watch.message()).await.expect("the connection stays").expect("it goes on");
    assert_eq!(told.changes_through, Some(written));
    assert!(within("a check", LIMIT, old.check(CHECK, fully())).await.expect("the old client").allowed);
    let healthz = b"GET /healthz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    assert!(exchange(&gateway, healthz).await.expect("it is served").starts_with("HTTP/1.1 200"));

    let open = metric(node, "quorate_connections{listener=\"client\"}").await;
    let gave_way = metric(node, "quorate_connections_ended_total{listener=\"client\",reason=\"gave_way\"}").await;
    assert!(open <= MOST as f64, "{open} are open");
    assert!(gave_way >= (3_000 - MOST) as f64, "{gave_way} gave way");
    let more = node.open_files() - files;
    say(&format!("5000 silent connections: {open} held on the clients' listener, {more} more files open in the node"));
    assert!(more <= 2 * MOST + 128 + 50, "{more} more files are open");
    assert!(node.log().contains("there is no room for more connections"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_have_shown_a_key_stay_and_the_next_one_is_told() {
    const MOST: usize = 12;
    let cluster = Cluster::form_with(1, settings(&["--connections", "12"])).await;
    let node = &cluster.nodes[0];
    let refused = "quorate_connections_ended_total{listener=\"client\",reason=\"full\"}";
    let mut held = Vec::new();
    // The connections with which the cluster was formed are going, or gone.
    eventually("all places are taken by those who have a key", LIMIT, async || {
        while metric(node, "quorate_connections{listener=\"client\"}").await < MOST as f64 {
            let client = cluster.client(0);
            held.push((begin_watch(&client).await, client));
        }
        if held.len() >= MOST { Ok(()) } else { Err(held.len()) }
    })
    .await;
    let before = metric(node, refused).await;
    let late = cluster.client(0);
    let error = within("an answer", LIMIT, late.check(CHECK, fully())).await.expect_err("there is no place");
    // Not an answer: its client names a connection that was closed before anything was said in one way or the other.
    assert!(
        std::error::Error::source(&error).is_some_and(|source| source.is::<tonic::transport::Error>()),
        "{error:?}"
    );
    assert!(metric(node, refused).await > before);
    assert!(node.log().contains("connections are refused: there is no room for more"));
    let written = held[1].1.write([touch("document:other#viewer@user:tom")]).await.expect("it has a connection");
    for (watch, _) in &mut held {
        loop {
            let told = within("the watch", LIMIT, watch.message()).await.expect("it stays").expect("it goes on");
            if told.changes_through.as_ref() == Some(&written) {
                break;
            }
        }
    }
    drop(held.pop());
    eventually("a place for the next one", LIMIT, async || late.check(CHECK, fully()).await).await;
}

/// How long the node bears with a connection on which a byte of `bytes` comes every so often.
async fn borne(address: &str, bytes: &'static [u8]) -> Duration {
    let mut connection = TcpStream::connect(address).await.expect("it listens");
    let began = Instant::now();
    let mut sent = 0;
    let mut answer = [0; 1024];
    loop {
        let next = tokio::time::sleep(Duration::from_millis(300));
        tokio::select! {
            read = connection.read(&mut answer) => match read {
                Ok(0) | Err(_) => return began.elapsed(),
                Ok(_) => {}
            },
            () = next => {
                let byte = bytes.get(sent).copied();
                sent += 1;
                if let Some(byte) = byte && connection.write_all(&[byte]).await.is_err() {
                    return began.elapsed();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_slowly_is_not_listened_to_for_ever() {
    let cluster = Cluster::form_with(1, settings(&[])).await;
    let node = &cluster.nodes[0];
    let (client, gateway, metrics) = (node.client_address.clone(), node.gateway_address(), node.metrics_address());
    const SLOW: &[u8] = b"POST /v1/permissions/check HTTP/1.1\r\nhost: a-node-with-a-long-name.example\r\n";
    let all = futures::future::join_all([
        borne(&client, b""),
        borne(&client, b"PRI * HTTP/2.0"),
        borne(&gateway, b""),
        borne(&gateway, SLOW),
        borne(&metrics, b""),
        borne(&metrics, SLOW),
    ]);
    let began = Instant::now();
    let borne = within("the end of all connections", LIMIT, all).await;
    say(&format!("silent and slow connections were borne for {borne:.1?}, in all {:.1?}", began.elapsed()));
    assert!(borne.iter().all(|time| *time >= Duration::from_secs(4)), "{borne:?}");
    let silent = metric(node, "quorate_connections_ended_total{listener=\"gateway\",reason=\"silent\"}").await;
    assert_eq!(silent, 2.0);
    assert!(cluster.client(0).status().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_do_not_come_between_the_nodes() {
    let cluster = Cluster::form_with(3, settings(&[])).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.term;
    let mut load = Load::start(&cluster.clients(), 1);
    load.progress(20).await;
    let mut held = Vec::new();
    for node in &cluster.nodes {
        held.extend(silent(&node.peer_address, 2_000).await);
    }
    load.progress(50).await;
    load.stop().await;
    let given =
        metric(&cluster.nodes[leader], "quorate_connections_ended_total{listener=\"peer\",reason=\"gave_way\"}");
    assert!(given.await >= 900.0);
    let status = cluster.status(leader).await;
    assert_eq!((status.term, cluster.leader().await), (term, leader), "strangers brought on an election");
    cluster.assert_same_state().await;
}

/// A request whose head tells the node enough to refuse it, with a body that is still coming.
fn refused_request(bytes: usize) -> Vec<u8> {
    let head = format!(
        "POST /v1/permissions/check HTTP/1.1\r\nhost: node\r\nauthorization: Bearer wrong-{KEY}\r\n\
         content-length: {bytes}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b' '; bytes]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_hears_it_though_he_still_speaks() {
    let cluster = Cluster::form_with(1, settings(&[])).await;
    let gateway = cluster.nodes[0].gateway_address();
    for bytes in [10, 100_000, 8 << 20] {
        let request = refused_request(bytes);
        for attempt in 0..5 {
            let answer: io::Result<String> = within("the answer", LIMIT, exchange(&gateway, &request)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{bytes} bytes, attempt {attempt}: {error}"));
            assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("invalid token"), "{bytes}: {answer}");
        }
    }
    // A client that asks first is told before it sends anything.
    let expects =
        b"POST /v1/permissions/check HTTP/1.1\r\nhost: node\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let answer = within("the answer", LIMIT, exchange(&gateway, expects)).await.expect("it is told");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // Who never stops is not listened to for ever.
    let mut endless = TcpStream::connect(&gateway).await.expect("it listens");
    let head = b"POST /v1/permissions/check HTTP/1.1\r\nhost: node\r\ncontent-length: 99999999999\r\n\r\n";
    endless.write_all(head).await.expect("it is taken");
    let piece = vec![b' '; 1 << 16];
    let ended = within("the end of the connection", SETTLE_LIMIT, async {
        let mut sent = 0_usize;
        while endless.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    });
    let sent = ended.await;
    assert!(sent < 64 << 20, "{sent} bytes of a refused body were taken");
}
