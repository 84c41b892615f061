//! What each consistency mode costs, on the leader and on a follower, beside each other in one run. Not a test of anything:
//! `make cost` prints the table that `docs/consistency.md` shows.
//!
//! Rounds alternate between all cells, so that a noisy moment of the machine falls on each of them. Processor time is that
//! of all nodes together, from `/proc`, so that what a mode asks of the leader counts as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tonic::Request;

use crate::harness::wire::authzed::{CheckPermissionRequest, Consistency, ZedToken};
use crate::harness::{Client, Cluster, Node, at_least, check_item, create, exactly, fully, minimize, say, touch};

/// Of one cell in one round.
const SLICE: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;
/// Clients that ask at the same time under load.
const CLIENTS: usize = 32;
/// Clients that write meanwhile, where there are writes.
const WRITERS: usize = 4;

/// How a check asks for freshness.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Minimize,
    MaxStaleness,
    MaxLag,
    FreshOld,
    FreshNew,
    Exact,
    Full,
}

const MODES: [(Mode, &str); 7] = [
    (Mode::Minimize, "`minimize_latency`"),
    (Mode::MaxStaleness, "`quorate-max-staleness: 500ms`"),
    (Mode::MaxLag, "`quorate-max-lag: 100`"),
    (Mode::FreshOld, "`at_least_as_fresh`, an old zookie"),
    (Mode::FreshNew, "`at_least_as_fresh`, the newest zookie"),
    (Mode::Exact, "`at_exact_snapshot`"),
    (Mode::Full, "`fully_consistent`"),
];

/// Who asks, and what goes on meanwhile.
#[derive(Debug, Clone, Copy)]
struct Load {
    name: &'static str,
    clients: usize,
    writers: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "one client", clients: 1, writers: 0 },
    Load { name: "32 clients", clients: CLIENTS, writers: 0 },
    Load { name: "32 clients, 4 writers", clients: CLIENTS, writers: WRITERS },
];

/// What was measured of one cell.
struct Cell {
    latencies: Histogram<u64>,
    asked_for: Duration,
    processor: Duration,
}

/// The zookies that the modes name.
#[derive(Clone)]
struct Tokens {
    old: ZedToken,
    newest: Arc<Mutex<ZedToken>>,
}

impl Mode {
    fn request(self, tokens: &Tokens) -> Request<CheckPermissionRequest> {
        let consistency: Option<Consistency> = match self {
            Self::Minimize => minimize(),
            Self::MaxStaleness | Self::MaxLag => None,
            Self::FreshOld => at_least(&tokens.old),
            Self::FreshNew => at_least(&tokens.newest.lock()),
            Self::Exact => exactly(&tokens.old),
            Self::Full => fully(),
        };
        let item = check_item("document:plan#view@user:tom");
        let mut request = Request::new(CheckPermissionRequest {
            consistency,
            resource: item.resource,
            permission: item.permission,
            subject: item.subject,
            ..Default::default()
        });
        let metadata = match self {
            Self::MaxStaleness => Some(("quorate-max-staleness", "500ms")),
            Self::MaxLag => Some(("quorate-max-lag", "100")),
            Self::Minimize | Self::FreshOld | Self::FreshNew | Self::Exact | Self::Full => None,
        };
        if let Some((name, value)) = metadata {
            request.metadata_mut().insert(name, value.parse().expect("plain text"));
        }
        request
    }
}

/// Processor time of all nodes until now.
fn processor_time(cluster: &Cluster) -> Duration {
    cluster.nodes.iter().map(Node::processor_time).sum()
}

async fn ask(client: Client, mode: Mode, tokens: Tokens, until: Instant) -> Histogram<u64> {
    let mut latencies = Histogram::new(3).expect("three digits");
    while Instant::now() < until {
        let begin = Instant::now();
        client.permissions.clone().check_permission(mode.request(&tokens)).await.expect("nothing is broken");
        let micros = u64::try_from(begin.elapsed().as_micros()).expect("shorter than an age");
        latencies.record(micros).expect("resizes by itself");
    }
    latencies
}

async fn measure(cluster: &Cluster, node: usize, mode: Mode, clients: usize, tokens: &Tokens, cell: &mut Cell) {
    let (begin, before) = (Instant::now(), processor_time(cluster));
    // A connection for each eight, as a service with a pool would have.
    let connections: Vec<Client> = (0..clients.div_ceil(8)).map(|_| cluster.client(node)).collect();
    let asking = (0..clients).map(|n| {
        let client = connections[n % connections.len()].clone();
        tokio::spawn(ask(client, mode, tokens.clone(), begin + SLICE))
    });
    for ended in futures::future::join_all(asking).await {
        cell.latencies.add(ended.expect("no panic")).expect("of one kind");
    }
    cell.asked_for += begin.elapsed();
    cell.processor += processor_time(cluster) - before;
}

/// Writes until told to stop, and leaves the newest zookie behind.
async fn write_until(stop: Arc<AtomicBool>, client: Client, writer: usize, tokens: Tokens) {
    let mut n = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let token = client.write([touch(&format!("document:w{writer}#viewer@user:u{}", n % 1000))]).await;
        *tokens.newest.lock() = token.expect("nothing is broken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for a minute: make cost"]
async fn of_each_mode() {
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader])[0];
    let tuples =
        ["document:plan#viewer@group:eng#member", "group:eng#member@group:core#member", "group:core#member@user:tom"];
    let old = cluster.client(leader).write(tuples.map(create)).await.expect("healthy");
    let tokens = Tokens { newest: Arc::new(Mutex::new(old.clone())), old };
    let new_cell = || Cell {
        latencies: Histogram::new(3).expect("three digits"),
        asked_for: Duration::ZERO,
        processor: Duration::ZERO,
    };
    let nodes = [(leader, "leader"), (follower, "follower")];
    for load in LOADS {
        let mut cells: Vec<Vec<Cell>> = nodes.iter().map(|_| MODES.iter().map(|_| new_cell()).collect()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..load.writers)
            .map(|writer| tokio::spawn(write_until(Arc::clone(&stop), cluster.client(leader), writer, tokens.clone())))
            .collect();
        for _ in 0..ROUNDS {
            for (at, (node, _)) in nodes.iter().enumerate() {
                for (cell, (mode, _)) in cells[at].iter_mut().zip(MODES) {
                    measure(&cluster, *node, mode, load.clients, &tokens, cell).await;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        futures::future::join_all(writers).await;
        show(load, &nodes.map(|(_, name)| name), &cells);
    }
}

fn show(load: Load, nodes: &[&str], cells: &[Vec<Cell>]) {
    say(&format!(
        "\n{}: p50 / p99, times the p50 of `minimize_latency` on the leader; processor time a check\n",
        load.name
    ));
    say(&format!("| mode | {} |", nodes.join(" | ")));
    say(&format!("|---|{}", "---|".repeat(nodes.len())));
    let unit = cells[0][0].latencies.value_at_quantile(0.5) as f64;
    for (row, (_, name)) in MODES.iter().enumerate() {
        let columns = cells.iter().map(|of_node| {
            let Cell { latencies, asked_for: _, processor } = &of_node[row];
            let times = |quantile| latencies.value_at_quantile(quantile) as f64 / unit;
            // Writers cost, too, and what they cost is not to be told apart.
            let cost = match load.writers {
                0 => format!("; {:.0} µs", processor.as_secs_f64() * 1e6 / latencies.len() as f64),
                _ => String::new(),
            };
            format!("{:.1} / {:.1}{cost}", times(0.5), times(0.99))
        });
        say(&format!("| {name} | {} |", columns.collect::<Vec<_>>().join(" | ")));
    }
    let checks: u64 = cells.iter().flatten().map(|cell| cell.latencies.len()).sum();
    let time: Duration = cells.iter().flatten().map(|cell| cell.asked_for).sum();
    say(&format!("\n1.0 is {unit:.0} µs; {checks} checks, {:.0} a second", checks as f64 / time.as_secs_f64()));
}
