//! Runs a load: threads, each with connections and clients of its own, for a warm-up and then for the span that counts.
//!
//! Each thread has a runtime of its own that never hands a task to another thread: nothing is locked while operations run, and
//! the generator takes no more processors than it has threads.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tonic::transport::Endpoint;

use super::lane::{Answer, Lane, Stamp};
use super::pace::Pace;
use super::process::Usage;
use super::script::Script;
use super::tally::{Span, Tally, Times};
use super::world::Question;
use crate::cli::failure::Failure;

/// For threads to start.
const HEAD_START: Duration = Duration::from_millis(50);
/// After a failure a client of a closed loop waits for this long: it would do nothing but fail.
const BACK_OFF: Duration = Duration::from_millis(20);

/// One level of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Load {
    /// So many clients, each of which begins when it has its answer.
    Closed { clients: usize },
    /// So many operations a second; at most so many at the same time, further ones wait.
    Open { rate: f64, clients: usize },
}

impl Load {
    pub(super) fn clients(self) -> usize {
        match self {
            Self::Closed { clients } | Self::Open { clients, .. } => clients,
        }
    }

    pub(super) fn rate(self) -> Option<f64> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { rate, .. } => Some(rate),
        }
    }
}

/// Where and how a load is run.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// The nodes; connections are spread over them in turn.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) stamp: Stamp,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) warm_up: Duration,
    pub(super) seconds: Duration,
    /// Servers on this machine, whose processor time is measured.
    pub(super) pids: Vec<u32>,
}

/// What came of one level of load.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) load: Load,
    pub(super) span: Duration,
    pub(super) tally: Tally,
    /// Of the servers, over the span; resident memory at its end.
    pub(super) server: Option<Usage>,
    /// Of this process.
    pub(super) generator: Duration,
    /// Of what was written and acknowledged.
    pub(super) written: Vec<Question>,
}

impl Stage {
    /// Runs `scripts`, one for each client, under `load`. Blocks until it is over.
    pub(super) fn run(&self, load: Load, scripts: Vec<Script>) -> Result<Measured, Failure> {
        let start = Instant::now() + HEAD_START;
        let from = start + self.warm_up;
        let span = Span { from, until: from + self.seconds };
        let pace = Arc::new(Pace::new(start, load.rate()));
        let hands = self.deal(scripts);
        thread::scope(|scope| {
            let workers: Vec<_> = hands
                .into_iter()
                .enumerate()
                .map(|(number, hand)| {
                    let pace = Arc::clone(&pace);
                    scope.spawn(move || self.work(number, hand, &pace, span))
                })
                .collect();
            scope.spawn(|| pace.run(span.until));
            let used = self.watch(&pace, span);
            if used.is_err() {
                pace.stop();
            }
            let (mut tally, mut written) = (Tally::new(), Vec::new());
            for worker in workers {
                let (part, questions) = worker.join().expect("a worker does not panic")?;
                tally.merge(part);
                written.extend(questions);
            }
            pace.missed().for_each(|begun| tally.miss(span, begun));
            let (server, generator) = used?;
            Ok(Measured { load, span: span.length(), tally, server, generator, written })
        })
    }

    /// A hand of clients for each thread.
    fn deal(&self, scripts: Vec<Script>) -> Vec<Vec<Script>> {
        let mut hands: Vec<Vec<Script>> = (0..self.threads.max(1)).map(|_| Vec::new()).collect();
        let count = hands.len();
        for (at, script) in scripts.into_iter().enumerate() {
            hands[at % count].push(script);
        }
        hands
    }

    /// What servers and generator use in the span.
    fn watch(&self, pace: &Pace, span: Span) -> Result<(Option<Usage>, Duration), Failure> {
        let sleep_until = |at: Instant| {
            while Instant::now() < at && !pace.is_over() {
                thread::sleep(at.saturating_duration_since(Instant::now()).min(Duration::from_millis(50)));
            }
        };
        sleep_until(span.from);
        let (servers, own) = (Usage::of(&self.pids)?, Usage::own()?);
        sleep_until(span.until);
        let (later, own_later) = (Usage::of(&self.pids)?, Usage::own()?);
        let used = Usage { processor: later.processor.saturating_sub(servers.processor), ..later };
        Ok(((!self.pids.is_empty()).then_some(used), own_later.processor.saturating_sub(own.processor)))
    }

    /// One thread.
    fn work(
        &self,
        number: usize,
        scripts: Vec<Script>,
        pace: &Arc<Pace>,
        span: Span,
    ) -> Result<(Tally, Vec<Question>), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start a thread of the load: {error}")))?;
        let tally = Rc::new(RefCell::new(Tally::new()));
        let written = runtime.block_on(LocalSet::new().run_until(async {
            let mine = (number..self.connections.max(self.threads)).step_by(self.threads.max(1));
            let lanes: Vec<Lane> =
                mine.map(|at| Lane::new(&self.endpoints[at % self.endpoints.len()], self.stamp.clone())).collect();
            let clients: Vec<_> = scripts
                .into_iter()
                .enumerate()
                .map(|(at, script)| {
                    let lane = lanes[at % lanes.len()].clone();
                    tokio::task::spawn_local(client(lane, script, Arc::clone(pace), Rc::clone(&tally), span))
                })
                .collect();
            let mut written = Vec::new();
            for client in clients {
                written.extend(client.await.expect("a client does not panic"));
            }
            written
        }));
        drop(runtime);
        let tally = Rc::try_unwrap(tally).map_err(|_| Failure::new("a client outlived its thread"))?;
        Ok((tally.into_inner(), written))
    }
}

/// One client: operations one after the other, until there is nothing more to begin, or an answer is wrong.
async fn client(
    mut lane: Lane,
    mut script: Script,
    pace: Arc<Pace>,
    tally: Rc<RefCell<Tally>>,
    span: Span,
) -> Option<Question> {
    while let Some(begun) = pace.next().await {
        let operation = script.next();
        let sent = Instant::now();
        let outcome = lane.perform(&operation).await;
        let times = Times { begun, sent, ended: Instant::now() };
        tally.borrow_mut().add(span, times, &operation, &outcome);
        script.learn(outcome.as_ref().ok());
        match outcome {
            Ok(Answer::Right(_)) => {}
            // What else it would measure is of no interest.
            Ok(Answer::Wrong(_)) => pace.stop(),
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
    script.last_written()
}
