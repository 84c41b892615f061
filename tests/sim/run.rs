//! One run: a cluster is formed, worked on under faults, healed, and judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quorate::model::ErrorCode;
use rand::RngExt;
use tokio::runtime::Runtime;

use crate::client::{Board, Clients};
use crate::faults::Faults;
use crate::history::{Did, Mode, Op};
use crate::invariants::{exactly_once, monotonic_zookies, no_new_enemy, staleness, watch_completeness};
use crate::model::Model;
use crate::net::{CLIENTS, Net, Packet};
use crate::node::{Node, Settings};
use crate::observer::Violation;
use crate::trace::Trace;

/// How long the faults last, in milliseconds.
const FAULTS_MS: u64 = 8_000;
/// How long forming a cluster, and recovering from all faults, may take.
const FORMING_MS: u64 = 60_000;
const RECOVERY_MS: u64 = 60_000;
/// The longest step; a delivery makes it shorter.
const STEP_MS: u64 = 5;

/// What came of a run.
pub struct Outcome {
    pub trace: String,
    pub violations: Vec<Violation>,
    pub report: String,
}

struct World {
    net: Net,
    nodes: Vec<Node>,
    /// So many of them vote, from the first on.
    voters: usize,
    clients: Runtime,
    begun: tokio::time::Instant,
}

pub fn run(seed: u64, dir: &Path, print: bool) -> Outcome {
    let net = Net::new(seed, Trace::new(print));
    let (voters, learners, settings) = net.random(|rng| {
        let settings = Settings {
            snapshot_after_entries: rng.random_range(15..200),
            keep_entries: if rng.random_bool(0.5) { 0 } else { rng.random_range(0..50) },
        };
        (if rng.random_bool(0.75) { 3 } else { 5 }, rng.random_range(0..=2), settings)
    });
    net.tell(|| format!("{voters} voters, {learners} learners, {settings:?}"));
    let node = |id: usize| Node::new(id, id <= voters, net.clone(), dir.join(id.to_string()), settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let clients = runtime.expect("a runtime of one thread needs nothing");
    let begun = clients.block_on(async { tokio::time::Instant::now() });
    let mut world =
        World { net: net.clone(), voters, nodes: (1..=voters + learners).map(node).collect(), clients, begun };
    world.run();
    world.outcome()
}

impl World {
    /// Goes on until `done`; `false` where that took longer than `ms`.
    fn until(&mut self, ms: u64, faults: &mut Option<Faults>, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.net.now() + ms;
        while !done(self) {
            let now = self.net.now();
            if now >= end {
                return false;
            }
            let next = self.net.next_delivery().unwrap_or(u64::MAX).clamp(now + 1, now + STEP_MS);
            self.net.set_now(next);
            if let Some(faults) = faults {
                faults.step(&mut self.nodes);
            }
            let count = self.nodes.len();
            let first = self.net.random(|rng| rng.random_range(0..count));
            for at in (0..count).map(|turn| (first + turn) % count) {
                if self.nodes[at].is_due(STEP_MS) {
                    self.run_node(at);
                }
            }
            self.run_clients();
        }
        true
    }

    fn run_node(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.run();
        if let Some(replica) = node.replica() {
            self.net.observe(|observer| observer.look(node.id, &replica.status(), node.log()));
        }
        if self.net.random(|rng| rng.random_bool(0.005)) {
            node.save();
        }
    }

    fn run_clients(&self) {
        let packets = self.net.due(CLIENTS);
        self.clients.block_on(async {
            for packet in packets {
                match packet {
                    Packet::Answer { call, answer } => self.net.answered(call, answer),
                    Packet::Event { stream, event } => self.net.streamed(stream, event),
                    Packet::Peer { .. } | Packet::Snapshot { .. } | Packet::Client { .. } => {}
                }
            }
            tokio::time::sleep_until(self.begun + Duration::from_millis(self.net.now())).await;
        });
    }

    fn stuck(&self, what: &str) {
        let states: Vec<String> = self
            .nodes
            .iter()
            .map(|node| match node.replica() {
                Some(replica) => format!("{:?}", replica.status()),
                None => format!("node {} has no replica", node.id),
            })
            .collect();
        self.net.observe(|observer| observer.violation("liveness", format!("{what}: {}", states.join("; "))));
    }

    fn run(&mut self) {
        for node in &mut self.nodes {
            node.boot();
        }
        if !self.until(FORMING_MS, &mut None, |world| world.nodes.iter().all(Node::has_joined)) {
            return self.stuck("the cluster was not formed");
        }
        let board: Arc<Mutex<Board>> = Arc::default();
        let clients = Clients { net: self.net.clone(), nodes: self.nodes.len(), board: Arc::clone(&board) };
        let writer = clients.clone();
        let schema = self.clients.spawn(async move { writer.begin().await });
        if !self.until(FORMING_MS, &mut None, |_| schema.is_finished()) {
            return self.stuck("no schema was written");
        }
        let first = self.clients.block_on(schema).expect("the client does not panic");
        let changes = self.net.random(|rng| rng.random_range(0.2..0.8));
        let count = self.net.random(|rng| rng.random_range(4..12));
        for _ in 0..count {
            self.clients.spawn(clients.clone().work(changes));
        }
        for (start, only) in [(Some(first), None), (None, None), (Some(first), Some("viewer"))] {
            self.clients.spawn(clients.clone().watch(start, only));
        }
        let mut faults = Some(Faults::new(self.net.clone()));
        self.until(FAULTS_MS, &mut faults, |_| false);
        if let Some(mut faults) = faults {
            faults.heal(&mut self.nodes);
        }
        board.lock().stop = true;
        if !self.until(RECOVERY_MS, &mut None, |_| board.lock().running == 0) {
            return self.stuck("clients wait for ever");
        }
        let last = self.clients.spawn(clients.clone().ask_all());
        if !self.until(RECOVERY_MS, &mut None, |_| last.is_finished()) {
            return self.stuck("a node does not answer after all faults");
        }
        let last = self.clients.block_on(last).expect("the client does not panic");
        let all_told = |_: &Self| clients.watched_through().iter().all(|through| *through >= last);
        if !self.until(RECOVERY_MS, &mut None, all_told) {
            return self.stuck(&format!("watchers were told up to {:?}, not {last}", clients.watched_through()));
        }
        self.judge(&board.lock());
    }

    fn judge(&self, board: &Board) {
        let (log, clocks) = self.net.observe(|observer| (observer.committed(), observer.clocks.clone()));
        let model = Model::replay(&log, clocks);
        let history = &board.history;
        let rates: BTreeMap<usize, u64> = self.nodes.iter().map(|node| (node.id, node.rate)).collect();
        let results = [
            ("the log is known", model.missing.iter().map(|index| format!("entry {index} was never seen")).collect()),
            ("no new enemy", no_new_enemy::broken(history, &model)),
            ("staleness", staleness::broken(history, &rates)),
            ("monotonic zookies", monotonic_zookies::broken(history)),
            ("watch completeness", watch_completeness::broken(&board.watched, &model)),
            ("exactly once", exactly_once::broken(history, &model)),
        ];
        for (invariant, broken) in results {
            let broken: Vec<String> = broken;
            for what in broken {
                self.net.observe(|observer| observer.violation(invariant, what));
            }
        }
        let how_many = |what, which: &dyn Fn(&Op) -> bool| {
            self.net.count(what, history.iter().filter(|op| which(op)).count() as u64);
        };
        how_many("operations", &|_| true);
        how_many("answered", &|op| op.answered);
        how_many(
            "repetitions acknowledged",
            &|op| matches!(op.did, Did::Change { outcome: Ok(acknowledged), .. } if acknowledged.replayed),
        );
        how_many("keys refused", &|op| {
            matches!(op.did, Did::Change { outcome: Err(ErrorCode::IdempotencyKeyReused), .. })
        });
        how_many("bounded answers of learners", &|op| {
            let bounded = matches!(op.did, Did::Check { mode: Mode::Within(_) | Mode::Latency, found: Ok(_), .. });
            bounded && op.seen.node > self.voters
        });
        how_many("answers that hang on time", &|op| match &op.did {
            Did::Check { question, found: Ok((index, _)), .. } => model.hangs_on_time(question, *index, &op.seen),
            Did::Check { .. } | Did::Change { .. } => false,
        });
        self.net.count("transactions", model.effects.iter().filter(|effect| effect.done).count() as u64);
        self.net.count("schemas", model.schemas());
        self.net.count("streams", board.watched.iter().map(|watched| watched.streams).sum());
        let terms = self.net.observe(|observer| observer.elections.terms());
        self.net.count("terms", terms);
    }

    fn outcome(self) -> Outcome {
        let report: Vec<String> = self.net.counters().iter().map(|(what, count)| format!("{what}: {count}")).collect();
        Outcome {
            trace: self.net.trace_hash(),
            violations: self.net.observe(|observer| observer.violations()),
            report: report.join(", "),
        }
    }
}
