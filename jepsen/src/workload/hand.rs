//! One client process: asks one thing at a time, and has it written down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use super::Recorder;
use crate::cluster::{Client, Cluster};
use crate::history::{Invocation, Mode, Outcome, Request, Token, Update, Workload, Write};
use crate::history::{Relationship, SharedEntries, WatchSession};

/// Zookies that are kept for readers of exact snapshots.
const TOKENS_KEPT: usize = 200;
/// After a failure a client lets go of the processor for this long.
const BACK_OFF: Duration = Duration::from_millis(40);
/// Between two numbers that one client goes by. After an unknown outcome it goes on under the next one.
const STRIDE: u64 = 10_000;

/// What all clients share.
#[derive(Clone)]
pub struct Stage {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The history.
    pub recorder: Arc<Recorder>,
    /// When it falls, everybody stops.
    pub curtain: CancellationToken,
    /// From which all randomness follows.
    pub seed: u64,
    /// How many registers were set up.
    pub registers: u64,
    /// How long a client waits between two requests.
    pub pace: Duration,
    /// Zookies that were answered, for whoever wants one.
    pub tokens: Arc<Mutex<VecDeque<Token>>>,
    /// What watchers were told.
    pub watches: Arc<Mutex<Vec<WatchSession>>>,
    /// What any of them was told, once.
    pub entries: Arc<Mutex<SharedEntries>>,
}

/// One client.
pub struct Hand {
    pub(super) stage: Stage,
    pub(super) random: StdRng,
    workload: Workload,
    number: u64,
    process: u64,
    names: u64,
    clients: Vec<Client>,
}

impl Hand {
    /// A client with a number of its own.
    #[must_use]
    pub fn new(stage: &Stage, workload: Workload, number: u64) -> Self {
        let clients = (1..=stage.cluster.size()).map(|node| stage.cluster.client(node)).collect();
        let random = StdRng::seed_from_u64(stage.seed.wrapping_mul(1_000_003).wrapping_add(number));
        Self { stage: stage.clone(), random, workload, number, process: number, names: 0, clients }
    }

    /// The same client, which waits for long.
    #[must_use]
    pub(super) fn patient(mut self) -> Self {
        self.clients = self.clients.into_iter().map(Client::patient).collect();
        self
    }

    /// Whether the run is over.
    pub(super) fn is_over(&self) -> bool {
        self.stage.curtain.is_cancelled()
    }

    /// A name that nothing else has.
    pub fn name(&mut self) -> String {
        self.names += 1;
        format!("c{}-{}", self.number, self.names)
    }

    /// A node, at random.
    pub(super) fn any_node(&mut self) -> usize {
        self.random.random_range(1..=self.clients.len())
    }

    /// Another node than this, if there is one.
    pub(super) fn other_node(&mut self, than: usize) -> usize {
        let all = self.clients.len();
        (than - 1 + self.random.random_range(1..all.max(2))) % all + 1
    }

    /// Asks a node. The index of the invocation, by which the answer is found again, and the answer.
    pub async fn ask(&mut self, node: usize, request: Request) -> (u64, Outcome) {
        let f = request.name();
        let invocation = Invocation { workload: self.workload, node, request };
        let index = self.stage.recorder.invoke(self.process, &invocation);
        let outcome = self.clients[node - 1].perform(&invocation.request, &self.clients).await;
        self.stage.recorder.complete(self.process, f, &outcome);
        match &outcome {
            Outcome::Ok(answer) => {
                if let Some(at) = answer.index() {
                    self.keep(Token { index: at, from: index });
                }
            }
            Outcome::Info(_) => {
                self.process += STRIDE;
                tokio::time::sleep(BACK_OFF).await;
            }
            Outcome::Fail(_) => tokio::time::sleep(BACK_OFF).await,
        }
        tokio::time::sleep(self.stage.pace).await;
        (index, outcome)
    }

    fn keep(&mut self, token: Token) {
        // A part of them is enough, and what was set up belongs to no test.
        if self.workload == Workload::Setup || !self.random.random_bool(0.1) {
            return;
        }
        let mut tokens = self.stage.tokens.lock().expect("nothing panics while it holds the zookies");
        if tokens.len() == TOKENS_KEPT {
            let out = self.random.random_range(0..TOKENS_KEPT);
            tokens.remove(out);
        }
        tokens.push_back(token);
    }

    /// A zookie that somebody was answered with, old or new.
    pub(super) fn any_token(&mut self) -> Option<Token> {
        let tokens = self.stage.tokens.lock().expect("nothing panics while it holds the zookies");
        (!tokens.is_empty()).then(|| tokens[self.random.random_range(0..tokens.len())])
    }

    /// A promise, at random.
    pub(super) fn any_mode(&mut self) -> Mode {
        match (self.random.random_range(0..6), self.any_token()) {
            (0, Some(token)) => Mode::Fresh(token),
            (1, Some(token)) => Mode::Exact(token),
            (2, _) => Mode::Full,
            (3, _) => Mode::Stale(self.random.random_range(0..500)),
            (4, _) => Mode::Lag(self.random.random_range(0..50)),
            (_, _) => Mode::Minimal,
        }
    }

    /// Writes; the zookie of it, if it was acknowledged.
    pub(super) async fn write(&mut self, node: usize, updates: Vec<Update>) -> Option<Token> {
        let write = Write { op: self.name(), only_if: vec![], updates, idempotency_key: None };
        let (from, outcome) = self.ask(node, Request::Write(write)).await;
        token_of(from, &outcome)
    }

    /// Checks; the zookie of it, if it was answered.
    pub(super) async fn check(&mut self, node: usize, mode: Mode, questions: &[Relationship]) -> Option<Token> {
        let (from, outcome) = self.ask(node, Request::Check { mode, questions: questions.to_vec() }).await;
        token_of(from, &outcome)
    }

    /// Asks whether content may be changed; the zookie to store with it, if that was answered.
    pub(super) async fn content_check(&mut self, node: usize, question: &Relationship) -> Option<Token> {
        let (from, outcome) = self.ask(node, Request::ContentCheck { question: question.clone() }).await;
        token_of(from, &outcome)
    }
}

fn token_of(from: u64, outcome: &Outcome) -> Option<Token> {
    match outcome {
        Outcome::Ok(answer) => Some(Token { index: answer.index()?, from }),
        Outcome::Fail(_) | Outcome::Info(_) => None,
    }
}
