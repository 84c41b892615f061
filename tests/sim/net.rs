//! The simulated network, and what all hosts share: the time, the seeded choices, the trace.
//!
//! A message is delivered when its time has come, unless the way is cut then. It is never damaged. Messages overtake each other
//! except within a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use quorate::model::Error;
use quorate::raft::{CallError, Rpc, Transport};
use quorate::service::{Services, WatchEvent};
use quorate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Answer;
use crate::history::Moment;
use crate::observer::Observer;
use crate::trace::Trace;

/// The clients' host; the nodes are 1 and up.
pub const CLIENTS: usize = 0;

/// How long a dead connection stays unnoticed, as `quorate::raft` sets up its connections.
const KEEPALIVE_MS: u64 = 4_000;

/// What a client wants of a node.
pub type Request = Box<dyn FnOnce(Arc<Services>) -> BoxFuture<'static, Result<Answer, Error>> + Send>;

/// What is on its way.
pub enum Packet {
    Peer { call: u64, rpc: Rpc, envelope: Envelope },
    Snapshot { call: u64, parts: Vec<SnapshotPart> },
    Client { call: u64, request: Request },
    Answer { call: u64, answer: Answered },
    Event { stream: u64, event: Option<Result<WatchEvent, Error>> },
}

/// What came of a call.
pub enum Answered {
    Peer(Result<Reply, CallError>),
    Client(Result<Answer, Error>),
    /// The connection broke, or never came about.
    Broken {
        sent: bool,
    },
}

struct Delivery {
    from: usize,
    to: usize,
    packet: Packet,
}

struct Call {
    to: usize,
    from: usize,
    answer: oneshot::Sender<Answered>,
}

struct Stream {
    node: usize,
    last: u64,
    events: mpsc::UnboundedSender<Result<WatchEvent, Error>>,
}

struct Inner {
    /// In milliseconds since the beginning.
    now: u64,
    next: u64,
    rng: StdRng,
    queue: BTreeMap<(u64, u64), Delivery>,
    calls: BTreeMap<u64, Call>,
    streams: BTreeMap<u64, Stream>,
    conditions: Conditions,
    /// Who gave its vote to whom, since somebody asked.
    votes: Vec<Vote>,
    counters: BTreeMap<&'static str, u64>,
    trace: Trace,
}

/// An answer to a request for a vote, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub voter: usize,
    pub candidate: usize,
}

/// The weather, as the faults make it.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Ways that are cut, each in one direction.
    pub cut: BTreeSet<(usize, usize)>,
    /// Nodes with a slow network.
    pub slow: BTreeSet<usize>,
    /// Nodes with a slow disk.
    pub stalled: BTreeSet<usize>,
    /// Of a thousand messages, so many are lost.
    pub lost: u32,
}

#[derive(Clone)]
pub struct Net {
    inner: Arc<Mutex<Inner>>,
    observer: Arc<Mutex<Observer>>,
}

impl Net {
    pub fn new(seed: u64, trace: Trace) -> Self {
        let inner = Inner {
            now: 0,
            next: 0,
            rng: StdRng::seed_from_u64(seed),
            queue: BTreeMap::new(),
            calls: BTreeMap::new(),
            streams: BTreeMap::new(),
            conditions: Conditions::default(),
            votes: Vec::new(),
            counters: BTreeMap::new(),
            trace,
        };
        Self { inner: Arc::new(Mutex::new(inner)), observer: Arc::default() }
    }

    pub fn now(&self) -> u64 {
        self.inner.lock().now
    }

    /// The present, and its place in the order of everything.
    pub fn moment(&self) -> Moment {
        let mut inner = self.inner.lock();
        inner.next += 1;
        Moment { number: inner.next, ms: inner.now }
    }

    pub fn set_now(&self, now: u64) {
        self.inner.lock().now = now;
    }

    pub fn random<T>(&self, choose: impl FnOnce(&mut StdRng) -> T) -> T {
        choose(&mut self.inner.lock().rng)
    }

    pub fn count(&self, what: &'static str, by: u64) {
        *self.inner.lock().counters.entry(what).or_default() += by;
    }

    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.inner.lock().counters.clone()
    }

    /// Writes a line into the trace.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let mut inner = self.inner.lock();
        let now = inner.now;
        inner.trace.tell(now, &line());
    }

    pub fn trace_hash(&self) -> String {
        self.inner.lock().trace.hash()
    }

    pub fn conditions(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.inner.lock().conditions);
    }

    pub fn observe<T>(&self, with: impl FnOnce(&mut Observer) -> T) -> T {
        with(&mut self.observer.lock())
    }

    /// An entry was written to a node's log.
    pub fn appended(&self, node: usize, entry: &[u8], at: impl Fn(u64) -> Option<Vec<u8>>) {
        self.tell(|| format!("node {node} appends {}", blake3::hash(entry).to_hex()));
        self.observe(|observer| observer.log_matching.appended(node, entry, at));
    }

    /// How long a sync that begins now takes.
    pub fn sync_time(&self, node: usize) -> u64 {
        let mut inner = self.inner.lock();
        let stalled = inner.conditions.stalled.contains(&node);
        if stalled { inner.rng.random_range(50..1500) } else { inner.rng.random_range(1..6) }
    }

    /// The time of the next delivery.
    pub fn next_delivery(&self) -> Option<u64> {
        self.inner.lock().queue.keys().next().map(|(at, _)| *at)
    }

    fn send(&self, from: usize, to: usize, packet: Packet) {
        let mut inner = self.inner.lock();
        let at = inner.arrival(from, to);
        inner.enqueue(at, Delivery { from, to, packet });
    }

    /// Calls `to`; the answer, or nothing at all where a message was lost.
    pub fn call(&self, from: usize, to: usize, packet: impl FnOnce(u64) -> Packet) -> oneshot::Receiver<Answered> {
        let (answer, answered) = oneshot::channel();
        let call = {
            let mut inner = self.inner.lock();
            inner.next += 1;
            let call = inner.next;
            inner.calls.insert(call, Call { to, from, answer });
            call
        };
        self.send(from, to, packet(call));
        answered
    }

    pub fn answer(&self, from: usize, to: usize, call: u64, answer: Answered) {
        self.send(from, to, Packet::Answer { call, answer });
    }

    /// A node has answered a request for its vote.
    pub fn voted(&self, vote: Vote) {
        self.inner.lock().votes.push(vote);
    }

    pub fn take_votes(&self) -> Vec<Vote> {
        std::mem::take(&mut self.inner.lock().votes)
    }

    /// Who waits for the answer to `call`.
    pub fn caller(&self, call: u64) -> usize {
        self.inner.lock().calls.get(&call).map_or(CLIENTS, |call| call.from)
    }

    /// Gives the answer to whoever waits for it.
    pub fn answered(&self, call: u64, answer: Answered) {
        let waiting = self.inner.lock().calls.remove(&call);
        if let Some(waiting) = waiting {
            // Whoever gave up has dropped its end.
            let _ = waiting.answer.send(answer);
        }
    }

    /// A new stream from `node` to the clients.
    pub fn open_stream(&self, node: usize) -> (u64, mpsc::UnboundedReceiver<Result<WatchEvent, Error>>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let mut inner = self.inner.lock();
        inner.next += 1;
        let stream = inner.next;
        inner.streams.insert(stream, Stream { node, last: 0, events });
        (stream, receiver)
    }

    /// Sends the next of a stream. Where it is lost, the stream is broken; `false` says that nobody listens any more.
    pub fn stream(&self, from: usize, stream: u64, event: Option<Result<WatchEvent, Error>>) -> bool {
        let mut inner = self.inner.lock();
        let at = inner.arrival(from, CLIENTS);
        let Some(open) = inner.streams.get_mut(&stream) else { return false };
        let at = at.max(open.last);
        open.last = at;
        inner.enqueue(at, Delivery { from, to: CLIENTS, packet: Packet::Event { stream, event } });
        true
    }

    pub fn streamed(&self, stream: u64, event: Option<Result<WatchEvent, Error>>) {
        let mut inner = self.inner.lock();
        let Some(event) = event else {
            inner.streams.remove(&stream);
            return;
        };
        let gone = inner.streams.get(&stream).is_some_and(|open| open.events.send(event).is_err());
        if gone {
            inner.streams.remove(&stream);
        }
    }

    /// Whether something has arrived at `host` by now.
    pub fn is_due(&self, host: usize) -> bool {
        let inner = self.inner.lock();
        inner.queue.range(..(inner.now + 1, 0)).any(|(_, delivery)| delivery.to == host)
    }

    /// What has arrived at `host` by now.
    pub fn due(&self, host: usize) -> Vec<Packet> {
        let mut inner = self.inner.lock();
        let now = inner.now;
        let due = inner.queue.range(..(now + 1, 0)).filter(|(_, delivery)| delivery.to == host);
        let keys: Vec<_> = due.map(|(key, _)| *key).collect();
        let mut packets = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(Delivery { from, to, packet }) = inner.queue.remove(&key) else { continue };
            let lost = inner.conditions.lost;
            let unlucky = from != CLIENTS && to != CLIENTS && inner.rng.random_range(0..1000) < lost;
            if inner.conditions.cut.contains(&(from, to)) || unlucky {
                if let Packet::Event { stream, .. } = &packet {
                    inner.streams.remove(stream);
                }
                *inner.counters.entry("messages lost").or_default() += 1;
                inner.notice(from, to, &packet);
                continue;
            }
            let line = format!("{from} -> {to}: {}", describe(&packet));
            inner.trace.tell(now, &line);
            packets.push(packet);
        }
        packets
    }

    /// `node` has crashed: what was on its way there is lost, and whoever waits for it hears so, or hears nothing.
    pub fn crashed(&self, node: usize) {
        let mut inner = self.inner.lock();
        let gone: Vec<_> =
            inner.queue.iter().filter(|(_, delivery)| delivery.to == node).map(|(key, _)| *key).collect();
        for key in gone {
            inner.queue.remove(&key);
        }
        inner.streams.retain(|_, stream| stream.node != node);
        let waiting: Vec<_> =
            inner.calls.iter().filter(|(_, call)| call.to == node).map(|(id, c)| (*id, c.from)).collect();
        for (call, from) in waiting {
            if inner.rng.random_bool(0.7) {
                let at = inner.arrival(node, from);
                let packet = Packet::Answer { call, answer: Answered::Broken { sent: true } };
                inner.enqueue(at, Delivery { from: node, to: from, packet });
            }
        }
        inner.calls.retain(|_, call| call.from != node);
    }
}

impl Inner {
    fn arrival(&mut self, from: usize, to: usize) -> u64 {
        let slow = self.conditions.slow.contains(&from) || self.conditions.slow.contains(&to);
        let delay = match self.rng.random_range(0..100) {
            _ if slow => self.rng.random_range(20..400),
            0 => self.rng.random_range(10..200),
            _ => self.rng.random_range(1..6),
        };
        self.now + delay
    }

    /// A caller hears of a lost message when its connection's keepalive does.
    fn notice(&mut self, from: usize, to: usize, packet: &Packet) {
        let (caller, call) = match packet {
            Packet::Peer { call, .. } | Packet::Snapshot { call, .. } => (from, *call),
            Packet::Answer { call, .. } => (to, *call),
            Packet::Client { .. } | Packet::Event { .. } => return,
        };
        let packet = Packet::Answer { call, answer: Answered::Broken { sent: true } };
        self.enqueue(self.now + KEEPALIVE_MS, Delivery { from: caller, to: caller, packet });
    }

    fn enqueue(&mut self, at: u64, delivery: Delivery) {
        self.next += 1;
        self.queue.insert((at, self.next), delivery);
    }
}

fn describe(packet: &Packet) -> String {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    match packet {
        Packet::Peer { rpc, envelope, .. } => format!("{rpc:?} kind {} {}", envelope.kind, hash(&envelope.payload)),
        Packet::Snapshot { parts, .. } => format!("a snapshot in {} parts", parts.len()),
        Packet::Client { call, .. } => format!("request {call}"),
        Packet::Answer { call, answer } => match answer {
            Answered::Peer(Ok(reply)) => format!("reply to {call} {}", hash(&reply.payload)),
            Answered::Peer(Err(error)) => format!("reply to {call}: {error}"),
            Answered::Client(answer) => format!("answer to {call}: {answer:?}"),
            Answered::Broken { sent } => format!("call {call} is broken, sent: {sent}"),
        },
        Packet::Event { stream, event } => format!("stream {stream}: {event:?}"),
    }
}

/// One node's way to the others.
pub struct Wire {
    pub net: Net,
    pub me: usize,
}

/// The peer address of a node.
pub fn address_of(node: usize) -> String {
    format!("node-{node}:1")
}

impl Wire {
    fn to(address: &str) -> usize {
        let number = address.strip_prefix("node-").and_then(|rest| rest.strip_suffix(":1"));
        number.and_then(|number| number.parse().ok()).expect("the simulation gave out all addresses")
    }

    async fn reply(address: String, answered: oneshot::Receiver<Answered>) -> Result<Reply, CallError> {
        match answered.await {
            Ok(Answered::Peer(reply)) => reply,
            Ok(Answered::Broken { sent: false }) => {
                Err(CallError::NotSent { address, reason: "connection refused".into() })
            }
            Ok(Answered::Broken { sent: true } | Answered::Client(_)) => {
                Err(CallError::Lost { address, reason: "connection reset".into() })
            }
            // Dropped with the caller, so nobody hears it.
            Err(_) => Err(CallError::Lost { address, reason: "gone".into() }),
        }
    }
}

impl Transport for Wire {
    fn call(&self, rpc: Rpc, address: &str, envelope: Envelope) -> BoxFuture<'_, Result<Reply, CallError>> {
        let to = Self::to(address);
        let answered = self.net.call(self.me, to, |call| Packet::Peer { call, rpc, envelope });
        Self::reply(address.to_owned(), answered).boxed()
    }

    fn send_snapshot(
        &self,
        address: &str,
        parts: ReceiverStream<SnapshotPart>,
    ) -> BoxFuture<'_, Result<Reply, CallError>> {
        let (to, address) = (Self::to(address), address.to_owned());
        async move {
            let parts: Vec<SnapshotPart> = parts.collect().await;
            let answered = self.net.call(self.me, to, |call| Packet::Snapshot { call, parts });
            Self::reply(address, answered).await
        }
        .boxed()
    }

    fn reconnect(&self, _: Rpc, _: &str) {}
}
