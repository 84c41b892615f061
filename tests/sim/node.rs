//! A node: the product's replica, views and use cases over a simulated disk, network and clock, in a runtime of its own.
//!
//! A crash drops the runtime with everything in it. A pause does not run it; afterwards its clock jumps, as that of a stopped
//! process does. The assembly is that of `quorate::node`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quorate::consistency::{FreshnessOptions, ReplicaChanges, ReplicaViews};
use quorate::model::{Locality, TimestampMs};
use quorate::raft::simulation::{Foundation, asks_for_vote};
use quorate::raft::{
    Announcement, CallError, HistoryOptions, Membership, NodeAddress, PeerServer, Propose, Replica, ReplicaOptions,
    Rpc, SupportedLevels, WallClock, monotonic, request_admission, request_promotion,
};
use quorate::service::{ServiceLimits, Services};
use quorate::store::{MemoryStore, StoreOptions};
use quorate::wire::quorate::peer::Reply;
use quorate::wire::quorate::peer::peer_service_server::PeerService;
use rand::RngExt;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tonic::{Request, Status};

use crate::disk::Disk;
use crate::history::EPOCH;
use crate::net::{Answered, CLIENTS, Net, Packet, Vote, Wire, address_of};

const LINEAGE: u64 = 0x51e;
/// The ceiling on staleness that the nodes are configured with.
pub const CEILING: Duration = Duration::from_millis(1500);

/// A wall clock that faults can move.
#[derive(Default)]
pub struct Clock {
    now: AtomicU64,
    off: AtomicI64,
}

impl WallClock for Clock {
    fn now(&self) -> TimestampMs {
        let now = EPOCH + self.now.load(Ordering::Relaxed);
        TimestampMs(now.saturating_add_signed(self.off.load(Ordering::Relaxed)))
    }
}

/// What a crash leaves.
struct Kept {
    log: Arc<Disk>,
    state: Arc<MemoryStore>,
    /// The state as it was when its disk last had all of it.
    saved: Arc<Mutex<MemoryStore>>,
    dir: PathBuf,
    membership: Arc<Mutex<Option<Membership>>>,
    /// Whether it has joined for good.
    joined: Arc<Mutex<bool>>,
}

struct Running {
    runtime: Runtime,
    begun: tokio::time::Instant,
    booted: u64,
    peers: PeerServer,
    services: Arc<Services>,
    replica: Arc<Mutex<Option<Arc<Replica>>>>,
}

pub struct Node {
    pub id: usize,
    /// Whether it is to vote; else it stays a learner.
    voter: bool,
    net: Net,
    kept: Kept,
    clock: Arc<Clock>,
    /// How fast its monotonic clock goes, in thousandths.
    pub rate: u64,
    settings: Settings,
    /// The time until which it ran.
    ran: u64,
    running: Option<Running>,
    paused: bool,
}

/// How the nodes of a run are configured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub snapshot_after_entries: u64,
    pub keep_entries: u64,
}

impl Node {
    pub fn new(id: usize, voter: bool, net: Net, dir: PathBuf, settings: Settings) -> Self {
        let rate = any_rate(&net);
        let kept = Kept {
            log: Arc::new(Disk::new(id, net.clone())),
            state: Arc::default(),
            saved: Arc::default(),
            dir,
            membership: Arc::default(),
            joined: Arc::default(),
        };
        Self { id, voter, net, kept, clock: Arc::default(), rate, settings, ran: 0, running: None, paused: false }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub fn log(&self) -> &Disk {
        &self.kept.log
    }

    pub fn move_clock(&self, off: i64) {
        self.clock.off.store(off, Ordering::Relaxed);
        self.net.observe(|observer| observer.clocks.moved(self.id, self.net.now(), off));
    }

    pub fn replica(&self) -> Option<Arc<Replica>> {
        self.running.as_ref().and_then(|running| running.replica.lock().clone())
    }

    pub fn has_joined(&self) -> bool {
        *self.kept.joined.lock()
    }

    /// Whether it should run now: something has arrived, or its timers have waited for long enough.
    pub fn is_due(&self, longest: u64) -> bool {
        self.net.now() >= self.ran + longest || self.net.is_due(self.id)
    }

    /// What the state's disk has, from time to time.
    pub fn save(&mut self) {
        *self.kept.saved.lock() = self.kept.state.fork();
    }

    /// The process ends at once. With `power`, so does the machine: of the state, only what its disk had survives.
    pub fn crash(&mut self, power: bool) {
        let Some(running) = self.running.take() else { return };
        self.paused = false;
        drop(running);
        self.net.crashed(self.id);
        // The log's own buffer is in the process, so what was not synced may be lost either way.
        self.kept.log.crash();
        let state = if power { self.kept.saved.lock().fork() } else { self.kept.state.fork() };
        self.kept.state = Arc::new(state);
        self.net.observe(|observer| observer.replaced(self.id));
    }

    pub fn boot(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime of one thread needs nothing");
        let limits = ServiceLimits {
            concurrent_evaluations: 0,
            evaluation_wait: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
        };
        let services = Arc::new(Services::new(limits));
        let (peers, replica) = (PeerServer::default(), Arc::default());
        let boot = Boot {
            id: self.id,
            net: self.net.clone(),
            log: Arc::clone(&self.kept.log),
            state: Arc::clone(&self.kept.state),
            saved: Arc::clone(&self.kept.saved),
            clock: Arc::clone(&self.clock),
            membership: Arc::clone(&self.kept.membership),
            voter: self.voter,
            joined: Arc::clone(&self.kept.joined),
            peers: peers.clone(),
            services: Arc::clone(&services),
            replica: Arc::clone(&replica),
            dir: self.kept.dir.clone(),
            settings: self.settings,
        };
        let begun = runtime.block_on(async { tokio::time::Instant::now() });
        runtime.spawn(boot.run());
        self.running = Some(Running { runtime, begun, booted: self.net.now(), peers, services, replica });
    }

    /// Runs the node until the present.
    pub fn run(&mut self) {
        let now = self.net.now();
        self.ran = now;
        self.clock.now.store(now, Ordering::Relaxed);
        let Some(running) = &self.running else {
            for packet in self.net.due(self.id) {
                self.refuse(packet);
            }
            return;
        };
        if self.paused {
            return;
        }
        let until = running.begun + Duration::from_millis((now - running.booted) * self.rate / 1000);
        let packets = self.net.due(self.id);
        running.runtime.block_on(async {
            let behind = until.saturating_duration_since(tokio::time::Instant::now());
            if behind > Duration::from_millis(25) {
                // It was paused: its timers are all due at once.
                tokio::time::advance(behind).await;
            }
            for packet in packets {
                self.deliver(running, packet);
            }
            tokio::time::sleep_until(until).await;
        });
    }

    /// Nobody listens.
    fn refuse(&self, packet: Packet) {
        let call = match packet {
            Packet::Peer { call, .. } | Packet::Snapshot { call, .. } | Packet::Client { call, .. } => call,
            Packet::Answer { .. } | Packet::Event { .. } => return,
        };
        let to = self.net.caller(call);
        self.net.answer(self.id, to, call, Answered::Broken { sent: false });
    }

    fn deliver(&self, running: &Running, packet: Packet) {
        let (net, me) = (self.net.clone(), self.id);
        match packet {
            Packet::Answer { call, answer } => net.answered(call, answer),
            Packet::Event { .. } => {}
            Packet::Client { call, request } => {
                let services = Arc::clone(&running.services);
                tokio::spawn(async move {
                    let answer = request(services).await;
                    net.answer(me, CLIENTS, call, Answered::Client(answer));
                });
            }
            Packet::Peer { call, rpc, envelope } => {
                let peers = running.peers.clone();
                let to = net.caller(call);
                let vote = asks_for_vote(&envelope).then_some(Vote { voter: me, candidate: to });
                tokio::spawn(async move {
                    let request = Request::new(envelope);
                    let reply = match rpc {
                        Rpc::Heartbeat | Rpc::Raft | Rpc::Snapshot => peers.raft(request).await,
                        Rpc::Propose => peers.propose(request).await,
                        Rpc::ProposeMany => peers.propose_many(request).await,
                        Rpc::ReadIndex => peers.read_index(request).await,
                        Rpc::Admit => peers.admit(request).await,
                        Rpc::Promote => peers.promote(request).await,
                        Rpc::ChangeMembers => peers.change_members(request).await,
                        Rpc::Status => peers.status(request).await,
                    };
                    net.answer(me, to, call, Answered::Peer(outcome(me, reply.map(tonic::Response::into_inner))));
                    if let Some(vote) = vote {
                        net.voted(vote);
                    }
                });
            }
            Packet::Snapshot { call, parts } => {
                let peers = running.peers.clone();
                let to = net.caller(call);
                tokio::spawn(async move {
                    // Parts come in over some time, and a crash in between leaves a half.
                    let slowly = tokio_stream::iter(parts).then(|part| async {
                        tokio::time::sleep(Duration::from_millis(3)).await;
                        Ok(part)
                    });
                    let reply = peers.take_snapshot(Box::pin(slowly)).await;
                    net.count("snapshots sent", 1);
                    net.observe(|observer| observer.replaced(me));
                    net.answer(me, to, call, Answered::Peer(outcome(me, reply)));
                });
            }
        }
    }
}

fn outcome(me: usize, reply: Result<Reply, Status>) -> Result<Reply, CallError> {
    reply.map_err(|status| CallError::of_status(address_of(me), &status))
}

/// Everything that a process does from its start on.
struct Boot {
    id: usize,
    net: Net,
    log: Arc<Disk>,
    state: Arc<MemoryStore>,
    saved: Arc<Mutex<MemoryStore>>,
    clock: Arc<Clock>,
    membership: Arc<Mutex<Option<Membership>>>,
    voter: bool,
    joined: Arc<Mutex<bool>>,
    peers: PeerServer,
    services: Arc<Services>,
    replica: Arc<Mutex<Option<Arc<Replica>>>>,
    dir: PathBuf,
    settings: Settings,
}

impl Boot {
    fn foundation(&self) -> Foundation<MemoryStore> {
        Foundation {
            log: Arc::clone(&self.log) as _,
            state: Arc::clone(&self.state),
            transport: Arc::new(Wire { net: self.net.clone(), me: self.id }),
            clock: Arc::clone(&self.clock) as _,
        }
    }

    fn address(&self) -> NodeAddress {
        NodeAddress { client: format!("client-{}:1", self.id), peer: address_of(self.id) }
    }

    async fn become_member(&self) -> Membership {
        let membership = if self.id == 1 {
            Membership { lineage: LINEAGE, node_id: Membership::FIRST_NODE_ID }
        } else {
            let transport = Arc::new(Wire { net: self.net.clone(), me: self.id });
            loop {
                match request_admission(Arc::clone(&transport) as _, &[address_of(1)], self.address(), announcement())
                    .await
                {
                    Ok(membership) => break membership,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        self.foundation().format(membership).await.expect("an empty disk can be formatted");
        *self.saved.lock() = self.state.fork();
        *self.membership.lock() = Some(membership);
        membership
    }

    async fn run(self) {
        let known = *self.membership.lock();
        let membership = match known {
            Some(membership) => membership,
            None => self.become_member().await,
        };
        let options = ReplicaOptions {
            dir: self.dir.clone(),
            membership,
            heartbeat: Duration::from_millis(100),
            election_timeout: (Duration::from_millis(1000), Duration::from_millis(2000)),
            snapshot_after_entries: self.settings.snapshot_after_entries,
            keep_entries: self.settings.keep_entries,
            waiting_writes: 1000,
            history: HistoryOptions { retain: Duration::from_secs(3600), retain_entries: 100_000 },
            store: StoreOptions::default(),
            announcement: announcement(),
        };
        let replica = match self.foundation().start(options).await {
            Ok(replica) => replica,
            Err(error) => return self.net.observe(|o| o.violation("start", format!("node {}: {error}", self.id))),
        };
        if self.id == 1 {
            replica.bootstrap(self.address()).await.expect("the first node begins the cluster");
        }
        self.peers.serve_for(Arc::clone(&replica));
        let log: Arc<dyn Propose> = Arc::clone(replica.proposer()) as _;
        let freshness = FreshnessOptions { ceiling: CEILING, poll: Duration::from_millis(200) };
        let views = Arc::new(ReplicaViews::new(&replica, freshness));
        self.services.attach(Arc::clone(&views) as _, log, Arc::new(ReplicaChanges::new(&replica)));
        *self.replica.lock() = Some(Arc::clone(&replica));
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            views.catch_up().await;
            services.set_ready(true);
            views.keep_fresh().await;
        });
        let (net, id, failing) = (self.net.clone(), self.id, Arc::clone(&replica));
        tokio::spawn(async move {
            if let Some(reason) = failing.failed().await {
                net.observe(|observer| observer.violation("no node stops by itself", format!("node {id}: {reason}")));
            }
        });
        self.promote(&replica).await;
    }

    async fn promote(&self, replica: &Replica) {
        let first = self.id == 1;
        while !first && !*self.joined.lock() {
            let seeds = [address_of(1)];
            let deadline = monotonic() + Duration::from_secs(20);
            let joined = request_promotion(replica, &seeds, self.address(), self.voter, deadline).await;
            *self.joined.lock() = joined.is_ok();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        *self.joined.lock() = true;
    }
}

/// What every node says of itself.
fn announcement() -> Announcement {
    Announcement { levels: SupportedLevels::of_this_program(), locality: Locality::default() }
}

/// A monotonic clock's rate: right, a little wrong, or very wrong.
fn any_rate(net: &Net) -> u64 {
    net.random(|rng| match rng.random_range(0..10) {
        0..4 => 1000,
        4..8 => rng.random_range(950..1050),
        _ => rng.random_range(700..1400),
    })
}
