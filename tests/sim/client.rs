//! The clients: changes, repeated where their outcome is unknown, and checks in every mode on any node. What they did and
//! heard is the history that the invariants are judged on.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use quorate::consistency::Zookie;
use quorate::model::{Decision, Error, ErrorCode, StoreId};
use quorate::raft::monotonic;
use quorate::service::{Call, Consistency, Explain, StalenessBound};
use rand::RngExt;
use tokio::time::timeout;

use crate::history::{Acknowledged, Did, EPOCH, Mode, Moment, Op, Seen, Verdict, Watched};
use crate::net::{Answered, CLIENTS, Net, Packet, Request};
use crate::workload::{Ask, Question, any_change, schema};

/// How long a request may take, and a little later its client gives up.
const DEADLINE: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_millis(2000);
/// Changes with a key that are sent again now and then.
const REPEATABLE: usize = 20;

/// What a node answers.
#[derive(Debug)]
pub enum Answer {
    Changed { zookie: Zookie, replayed: bool, count: Option<u64> },
    Checked(Verdict, Zookie),
    Watching,
}

/// What all clients share.
#[derive(Default)]
pub struct Board {
    pub history: Vec<Op>,
    pub watched: Vec<Watched>,
    /// Tokens that clients left for each other.
    pub tokens: Vec<Zookie>,
    /// Changes with a key that were sent.
    repeatable: Vec<(u64, Ask)>,
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

pub fn call(staleness: StalenessBound) -> Call {
    Call { store: StoreId::DEFAULT, deadline: monotonic() + DEADLINE, stream_deadline: None, staleness }
}

/// The request that `ask` is.
fn request_of(ask: Ask) -> Request {
    Box::new(move |services| {
        async move {
            let call = call(StalenessBound::None);
            let (zookie, replayed, count) = match ask {
                Ask::Write(write) => {
                    let written = services.write_tuples(call, write).await?;
                    (written.zookie, written.replayed, None)
                }
                Ask::Schema(schema) => {
                    let written = services.write_schema(call, schema).await?;
                    (written.zookie, written.replayed, None)
                }
                Ask::Delete(delete) => {
                    let deleted = services.delete_tuples(call, delete).await?;
                    (deleted.zookie, deleted.replayed, Some(deleted.count))
                }
            };
            Ok(Answer::Changed { zookie, replayed, count })
        }
        .boxed()
    })
}

impl Clients {
    pub fn any_node(&self) -> usize {
        self.net.random(|rng| rng.random_range(1..=self.nodes))
    }

    /// One request; `None` where no answer came in time.
    pub async fn ask(&self, node: usize, request: Request) -> Option<Result<Answer, Error>> {
        let answered = self.net.call(CLIENTS, node, |call| Packet::Client { call, request });
        match timeout(PATIENCE, answered).await {
            Ok(Ok(Answered::Client(answer))) => Some(answer),
            Ok(Ok(Answered::Broken { sent: false })) => {
                Some(Err(Error::new(ErrorCode::Unavailable, "connection refused")))
            }
            Ok(Ok(Answered::Broken { sent: true } | Answered::Peer(_)) | Err(_)) | Err(_) => None,
        }
    }

    /// Where and when an answer was made that `node` was asked for at `begun`.
    pub fn seen(&self, node: usize, begun: Moment) -> Seen {
        let highest = self.net.observe(|observer| observer.highest());
        Seen { node, begun, ended: self.net.moment(), highest }
    }

    /// Writes the first schema; its token.
    pub async fn begin(&self) -> Zookie {
        loop {
            let op = self.number();
            if let Ok(acknowledged) = self.send(op, &schema(0, op)).await {
                let token = self.board.lock().tokens.last().copied();
                return token
                    .filter(|token| token.revision.index() == acknowledged.index)
                    .expect("nobody else is here");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn number(&self) -> u64 {
        let mut board = self.board.lock();
        board.next_op += 1;
        board.next_op
    }

    /// One try of a change on any node.
    async fn send(&self, op: u64, ask: &Ask) -> Result<Acknowledged, ErrorCode> {
        self.net.tell(|| format!("change {op}: {ask:?}"));
        let node = self.any_node();
        let begun = self.net.moment();
        let answer = self.ask(node, request_of(ask.clone())).await;
        let answered = answer.is_some();
        let outcome = match answer {
            Some(Ok(Answer::Changed { zookie, replayed, count })) => {
                self.board.lock().tokens.push(zookie);
                Ok(Acknowledged { index: zookie.revision.index(), replayed, count })
            }
            Some(Err(error)) => Err(error.code),
            Some(Ok(Answer::Checked(..) | Answer::Watching)) | None => Err(ErrorCode::OutcomeUnknown),
        };
        let key = ask.key().map(|key| key.as_str().to_owned());
        self.record(self.seen(node, begun), answered, Did::Change { op, key, outcome });
        outcome
    }

    /// A new change; or one that was sent before, unchanged, or another one under its key.
    fn next_change(&self) -> (u64, Ask) {
        let old = {
            let board = self.board.lock();
            let count = board.repeatable.len();
            let old = self.net.random(|rng| (count > 0 && rng.random_bool(0.15)).then(|| rng.random_range(0..count)));
            old.map(|at| board.repeatable[at].clone())
        };
        if let Some(old) = old.clone().filter(|_| self.net.random(|rng| rng.random_bool(0.7))) {
            self.net.count("repeated later", 1);
            return old;
        }
        let op = self.number();
        let time = self.net.observe(|observer| observer.cluster_time()).max(EPOCH + self.net.now());
        let new = self.net.random(|rng| any_change(rng, op, time));
        match old {
            Some((_, old)) => (op, new.with_key(old.key().cloned())),
            None => (op, new),
        }
    }

    /// A change; with a key, it is repeated while its outcome is unknown, mostly.
    async fn change(&self) {
        let (op, ask) = self.next_change();
        for _ in 0..4 {
            let outcome = self.send(op, &ask).await;
            let again = ask.key().is_some() && self.net.random(|rng| rng.random_bool(0.8));
            if outcome.err() != Some(ErrorCode::OutcomeUnknown) || !again {
                break;
            }
            self.net.count("repeated at once", 1);
        }
        if ask.key().is_some() {
            let mut board = self.board.lock();
            if board.repeatable.iter().any(|(known, _)| *known == op) {
                return;
            }
            if board.repeatable.len() == REPEATABLE {
                let at = self.net.random(|rng| rng.random_range(0..REPEATABLE));
                board.repeatable.swap_remove(at);
            }
            board.repeatable.push((op, ask));
        }
    }

    async fn check(&self, mode: Option<Mode>, question: Question, node: usize) -> Option<(u64, Verdict)> {
        let (mode, consistency, staleness) = self.demand(mode);
        if let Mode::AtLeast(token) | Mode::Exact(token) = mode
            && self.net.observe(|observer| observer.applied(node)) < token
        {
            self.net.count("checks that wait", 1);
        }
        let item = question.item();
        let begun = self.net.moment();
        let request: Request = Box::new(move |services| {
            async move {
                let answer = services.check(call(staleness), &consistency, item, Explain::No).await?;
                let verdict = match answer.answer.decision {
                    Decision::Allowed => Verdict::Allowed,
                    Decision::Denied => Verdict::Denied,
                    Decision::Conditional { .. } => Verdict::Conditional,
                };
                Ok(Answer::Checked(verdict, answer.zookie))
            }
            .boxed()
        });
        let answer = self.ask(node, request).await;
        let answered = answer.is_some();
        let found = match answer {
            Some(Ok(Answer::Checked(verdict, zookie))) => {
                self.board.lock().tokens.push(zookie);
                Ok((zookie.revision.index(), verdict))
            }
            Some(Err(error)) => Err(error.code),
            Some(Ok(Answer::Changed { .. } | Answer::Watching)) | None => Err(ErrorCode::DeadlineExceeded),
        };
        if let (StalenessBound::Within { local_only: true, .. }, Err(ErrorCode::Unavailable)) = (staleness, &found) {
            self.net.count("bounded reads refused", 1);
        }
        self.record(self.seen(node, begun), answered, Did::Check { mode, question, found });
        found.ok()
    }

    fn demand(&self, mode: Option<Mode>) -> (Mode, Consistency, StalenessBound) {
        let token = {
            let board = self.board.lock();
            // The latest half: old ones say little.
            let range = board.tokens.len() / 2..board.tokens.len();
            board.tokens[self.net.random(|rng| rng.random_range(range))]
        };
        let index = token.revision.index();
        let mode = mode.unwrap_or_else(|| {
            self.net.random(|rng| match rng.random_range(0..11) {
                0..3 => Mode::Full,
                3..6 => Mode::AtLeast(index),
                6 => Mode::Exact(index),
                7..9 => Mode::Within(rng.random_range(50..600)),
                9 => Mode::Lag(rng.random_range(0..5)),
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

    fn record(&self, seen: Seen, answered: bool, did: Did) {
        let op = Op { seen, answered, did };
        self.net.tell(|| format!("{op:?}"));
        self.board.lock().history.push(op);
    }

    /// One client, until the end of the run.
    pub async fn work(self, changes: f64) {
        self.board.lock().running += 1;
        while !self.board.lock().stop {
            let pause = self.net.random(|rng| rng.random_range(1..40));
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.net.random(|rng| rng.random_bool(changes)) {
                self.change().await;
            } else {
                let question = self.net.random(Question::any);
                self.check(None, question, self.any_node()).await;
            }
        }
        self.board.lock().running -= 1;
    }

    /// After the faults: every node must answer with full consistency. The highest index that one named.
    pub async fn ask_all(self) -> u64 {
        let mut highest = 0;
        for node in 1..=self.nodes {
            loop {
                let question = self.net.random(Question::any);
                if let Some((index, _)) = self.check(Some(Mode::Full), question, node).await {
                    highest = highest.max(index);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        highest
    }

    /// Up to where each watcher was told everything.
    pub fn watched_through(&self) -> Vec<u64> {
        self.board.lock().watched.iter().map(|watched| watched.through).collect()
    }
}
