//! The clients: writes, checks in every mode on any node, and watchers that go on elsewhere when a node dies. What they did and
//! heard is the history that the invariants are judged on.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use quorate::caveat::Context;
use quorate::consistency::Zookie;
use quorate::model::{
    Decision, Error, ErrorCode, ObjectId, ObjectRef, Precondition, PreconditionKind, RelationName, StoreId,
    SubjectFilter, SubjectRef, SubjectRelationFilter, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName, UpdateKind,
};
use quorate::raft::monotonic;
use quorate::service::{
    Call, CheckItem, Consistency, Explain, StalenessBound, Watch, WatchEvent, WatchKinds, WatchStart, WriteTuples,
};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::timeout;

use crate::model::{Change, name};
use crate::net::{Answered, CLIENTS, Net, Packet, Request};

const SCHEMA: &str = "definition user {}\ndefinition document { relation viewer: user\npermission view = viewer }";
/// How long a request may take, and a little later its client gives up.
const DEADLINE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_millis(2000);
/// A watcher that hears nothing for so long goes elsewhere.
const QUIET: Duration = Duration::from_millis(2500);

/// What a node answers.
#[derive(Debug)]
pub enum Answer {
    Written(Zookie),
    Checked(bool, Zookie),
    Watching,
}

/// When something happened, in the order of this one process, and by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub number: u64,
    pub ms: u64,
}

/// What a check demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Full,
    AtLeast(u64),
    Exact(u64),
    Within(u64),
    Lag(u64),
    Latency,
}

#[derive(Debug, Clone)]
pub enum Did {
    Write { op: u64, index: Result<u64, ErrorCode> },
    Check { mode: Mode, tuple: String, found: Result<(u64, bool), ErrorCode> },
}

/// One request and what came of it; nothing where no answer came.
#[derive(Debug, Clone)]
pub struct Op {
    pub begun: Moment,
    pub ended: Moment,
    pub answered: bool,
    pub did: Did,
}

/// What a watcher was told.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The tuples of the snapshot that it began with, if it began with one.
    pub snapshot: Option<Vec<String>>,
    /// After which index the changes begin.
    pub start: u64,
    pub told: Vec<(u64, Vec<Change>)>,
    /// Up to where it was told everything.
    pub through: u64,
    pub streams: u64,
}

/// What all clients share.
#[derive(Default)]
pub struct Board {
    pub history: Vec<Op>,
    pub watched: Vec<Watched>,
    /// Tokens that clients left for each other.
    tokens: Vec<Zookie>,
    next_op: u64,
    pub stop: bool,
    pub running: usize,
}

#[derive(Clone)]
pub struct Clients {
    pub net: Net,
    pub nodes: usize,
    pub board: Arc<Mutex<Board>>,
}

fn call(staleness: StalenessBound) -> Call {
    Call { store: StoreId::DEFAULT, deadline: monotonic() + DEADLINE, stream_deadline: None, staleness }
}

fn key(document: u32, user: u32) -> TupleKey {
    TupleKey {
        resource: ObjectRef::new("document", &format!("d{document}")).expect("valid"),
        relation: RelationName::new("viewer").expect("valid"),
        subject: SubjectRef::new("user", &format!("u{user}"), "").expect("valid"),
    }
}

fn any_key(rng: &mut StdRng) -> TupleKey {
    key(rng.random_range(0..3), rng.random_range(0..3))
}

fn only(key: &TupleKey) -> TupleFilter {
    TupleFilter {
        resource_type: Some(TypeName::new("document").expect("valid")),
        resource_id: Some(ObjectId::new(key.resource.object_id.as_str()).expect("valid")),
        relation: Some(key.relation.clone()),
        subject: Some(SubjectFilter {
            subject_type: TypeName::new("user").expect("valid"),
            subject_id: Some(ObjectId::new(key.subject.object.object_id.as_str()).expect("valid")),
            relation: SubjectRelationFilter::Any,
        }),
        ..TupleFilter::default()
    }
}

fn any_write(rng: &mut StdRng, op: u64) -> WriteTuples {
    let mut updates: Vec<TupleUpdate> = Vec::new();
    for _ in 0..rng.random_range(1..=2) {
        let key = any_key(rng);
        let kind =
            [UpdateKind::Create, UpdateKind::Touch, UpdateKind::Delete, UpdateKind::Delete][rng.random_range(0..4)];
        if updates.iter().all(|update| update.tuple.key != key) {
            updates.push(TupleUpdate { kind, tuple: Tuple::unqualified(key) });
        }
    }
    let mut preconditions = Vec::new();
    if rng.random_bool(0.25) {
        let kind = if rng.random_bool(0.5) { PreconditionKind::MustMatch } else { PreconditionKind::MustNotMatch };
        preconditions.push(Precondition { kind, filter: only(&any_key(rng)) });
    }
    WriteTuples { updates, preconditions, metadata_json: format!("{{\"op\":{op}}}"), key: None }
}

impl Clients {
    fn any_node(&self) -> usize {
        self.net.random(|rng| rng.random_range(1..=self.nodes))
    }

    /// One request; `None` where no answer came in time.
    async fn ask(&self, node: usize, request: Request) -> Option<Result<Answer, Error>> {
        let answered = self.net.call(CLIENTS, node, |call| Packet::Client { call, request });
        match timeout(PATIENCE, answered).await {
            Ok(Ok(Answered::Client(answer))) => Some(answer),
            Ok(Ok(Answered::Broken { sent: false })) => {
                Some(Err(Error::new(ErrorCode::Unavailable, "connection refused")))
            }
            Ok(Ok(Answered::Broken { sent: true } | Answered::Peer(_)) | Err(_)) | Err(_) => None,
        }
    }

    /// Writes the schema; its token.
    pub async fn write_schema(&self) -> Zookie {
        loop {
            let request: Request = Box::new(|services| {
                async move {
                    let written = services.write_schema(call(StalenessBound::None), SCHEMA.to_owned()).await?;
                    Ok(Answer::Written(written.zookie))
                }
                .boxed()
            });
            if let Some(Ok(Answer::Written(zookie))) = self.ask(self.any_node(), request).await {
                self.board.lock().tokens.push(zookie);
                return zookie;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn write(&self) {
        let op = {
            let mut board = self.board.lock();
            board.next_op += 1;
            board.next_op
        };
        let write = self.net.random(|rng| any_write(rng, op));
        self.net.tell(|| format!("write {op}: {:?}", write.updates.iter().map(name).collect::<Vec<_>>()));
        let node = self.any_node();
        let begun = self.net.moment();
        let request: Request = Box::new(move |services| {
            async move {
                let written = services.write_tuples(call(StalenessBound::None), write).await?;
                Ok(Answer::Written(written.zookie))
            }
            .boxed()
        });
        let answer = self.ask(node, request).await;
        let answered = answer.is_some();
        let index = match answer {
            Some(Ok(Answer::Written(zookie))) => {
                self.board.lock().tokens.push(zookie);
                Ok(zookie.revision.index())
            }
            Some(Err(error)) => Err(error.code),
            Some(Ok(Answer::Checked(..) | Answer::Watching)) | None => Err(ErrorCode::OutcomeUnknown),
        };
        self.record(node, begun, answered, Did::Write { op, index });
    }

    async fn check(&self, mode: Option<Mode>, key: TupleKey, node: usize) -> Option<(u64, bool)> {
        let (mode, consistency, staleness) = self.demand(mode);
        let tuple = key.to_string();
        if let Mode::AtLeast(token) | Mode::Exact(token) = mode
            && self.net.observe(|observer| observer.applied(node)) < token
        {
            self.net.count("checks that wait", 1);
        }
        let item = CheckItem {
            resource: key.resource,
            permission: RelationName::new("view").expect("valid"),
            subject: key.subject,
            context: Context::default(),
        };
        let begun = self.net.moment();
        let request: Request = Box::new(move |services| {
            async move {
                let answer = services.check(call(staleness), &consistency, item, Explain::No).await?;
                Ok(Answer::Checked(matches!(answer.answer.decision, Decision::Allowed), answer.zookie))
            }
            .boxed()
        });
        let answer = self.ask(node, request).await;
        let answered = answer.is_some();
        let found = match answer {
            Some(Ok(Answer::Checked(allowed, zookie))) => {
                self.board.lock().tokens.push(zookie);
                Ok((zookie.revision.index(), allowed))
            }
            Some(Err(error)) => Err(error.code),
            Some(Ok(Answer::Written(_) | Answer::Watching)) | None => Err(ErrorCode::DeadlineExceeded),
        };
        self.record(node, begun, answered, Did::Check { mode, tuple, found });
        found.ok()
    }

    fn demand(&self, mode: Option<Mode>) -> (Mode, Consistency, StalenessBound) {
        let tokens = self.board.lock().tokens.clone();
        // The latest half: old ones say little.
        let token = self.net.random(|rng| tokens[rng.random_range(tokens.len() / 2..tokens.len())]);
        let index = token.revision.index();
        let mode = mode.unwrap_or_else(|| {
            self.net.random(|rng| match rng.random_range(0..10) {
                0..=2 => Mode::Full,
                3..=5 => Mode::AtLeast(index),
                6 => Mode::Exact(index),
                7 => Mode::Within(rng.random_range(50..600)),
                8 => Mode::Lag(rng.random_range(0..5)),
                _ => Mode::Latency,
            })
        });
        let latency = Consistency::MinimizeLatency;
        match mode {
            Mode::Full => (mode, Consistency::FullyConsistent, StalenessBound::None),
            Mode::AtLeast(_) => (mode, Consistency::AtLeastAsFresh(token.encode()), StalenessBound::None),
            Mode::Exact(_) => (mode, Consistency::AtExactSnapshot(token.encode()), StalenessBound::None),
            Mode::Within(ms) => {
                let local_only = self.net.random(|rng| rng.random_bool(0.5));
                (mode, latency, StalenessBound::Within { bound: Duration::from_millis(ms), local_only })
            }
            Mode::Lag(entries) => (mode, latency, StalenessBound::Lag(entries)),
            Mode::Latency => (mode, latency, StalenessBound::None),
        }
    }

    fn record(&self, node: usize, begun: Moment, answered: bool, did: Did) {
        let ended = self.net.moment();
        let op = Op { begun, ended, answered, did };
        self.net.tell(|| format!("node {node}: {op:?}"));
        self.board.lock().history.push(op);
    }

    /// One client, until the end of the run.
    pub async fn work(self, writes: f64) {
        self.board.lock().running += 1;
        while !self.board.lock().stop {
            let pause = self.net.random(|rng| rng.random_range(1..40));
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.net.random(|rng| rng.random_bool(writes)) {
                self.write().await;
            } else {
                let key = self.net.random(any_key);
                self.check(None, key, self.any_node()).await;
            }
        }
        self.board.lock().running -= 1;
    }

    /// After the faults: every node must answer with full consistency. The highest index that one named.
    pub async fn ask_all(self, nodes: usize) -> u64 {
        let mut highest = 0;
        for node in 1..=nodes {
            loop {
                if let Some((index, _)) = self.check(Some(Mode::Full), key(0, 0), node).await {
                    highest = highest.max(index);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        highest
    }

    /// One watcher, for all of the run.
    pub async fn watch(self, start: Option<Zookie>) {
        let place = {
            let mut board = self.board.lock();
            let snapshot = if start.is_none() { Some(Vec::new()) } else { None };
            let index = start.map_or(0, |zookie| zookie.revision.index());
            board.watched.push(Watched { snapshot, start: index, through: index, ..Watched::default() });
            board.watched.len() - 1
        };
        let mut last = start;
        loop {
            let node = self.any_node();
            let (stream, mut events) = self.net.open_stream(node);
            let from = last.map_or(WatchStart::Snapshot, |zookie| WatchStart::After(zookie.encode()));
            let kinds = WatchKinds { tuples: true, schema: false, checkpoints: true };
            let watch = Watch { start: from, object_types: Vec::new(), filters: Vec::new(), kinds };
            let net = self.net.clone();
            let request: Request = Box::new(move |services| {
                async move {
                    let mut told = services.watch(call(StalenessBound::None), watch).await?;
                    tokio::spawn(async move {
                        while let Some(event) = told.recv().await {
                            if !net.stream(node, stream, Some(event)) {
                                return;
                            }
                        }
                        net.stream(node, stream, None);
                    });
                    Ok(Answer::Watching)
                }
                .boxed()
            });
            if let Some(Ok(Answer::Watching)) = self.ask(node, request).await {
                self.board.lock().watched[place].streams += 1;
                while let Ok(Some(Ok(event))) = timeout(QUIET, events.recv()).await {
                    self.told(place, event, &mut last);
                }
            }
            drop(events);
            if last.is_none() {
                // The snapshot was not whole: it begins anew.
                self.board.lock().watched[place].snapshot = Some(Vec::new());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn told(&self, place: usize, event: WatchEvent, last: &mut Option<Zookie>) {
        let mut board = self.board.lock();
        let watched = &mut board.watched[place];
        let names = |updates: &[TupleUpdate]| updates.iter().map(name).collect::<Vec<_>>();
        match event {
            WatchEvent::Snapshot { updates } => {
                if let Some(tuples) = &mut watched.snapshot {
                    tuples.extend(names(&updates));
                }
            }
            WatchEvent::Tuples { updates, zookie, .. } => {
                let change = |update: &TupleUpdate| (update.kind != UpdateKind::Delete, name(update));
                watched.told.push((zookie.revision.index(), updates.iter().map(change).collect()));
                watched.through = zookie.revision.index();
                *last = Some(zookie);
            }
            WatchEvent::Checkpoint { zookie } => {
                if last.is_none() {
                    watched.start = zookie.revision.index();
                }
                watched.through = watched.through.max(zookie.revision.index());
                *last = Some(zookie);
            }
            WatchEvent::Schema { .. } => {}
        }
    }

    /// Up to where each watcher was told everything.
    pub fn watched_through(&self) -> Vec<u64> {
        self.board.lock().watched.iter().map(|watched| watched.through).collect()
    }
}
