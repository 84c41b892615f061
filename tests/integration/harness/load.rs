//! Concurrent writers that keep a ledger of what they were told, to hold against what is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Outcome, outcome_of};
use super::cluster::SETTLE_LIMIT;
use super::text::{create, filter, fully, touch};
use super::wait::eventually;

/// After a failure a writer lets go of the processor for this long.
const BACK_OFF: Duration = Duration::from_millis(20);

/// So many were started: a second one on the same cluster must not create what the first one did.
static LOADS: AtomicU64 = AtomicU64::new(0);

/// What the writers were told. A tuple is in at most one of the sets.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: BTreeSet<String>,
    unknown: BTreeSet<String>,
    /// Last told that nothing was written, and not tried again.
    not_written: BTreeSet<String>,
    /// Failures of a kind that may be tried again, and were.
    retries: u64,
    violations: Vec<String>,
}

/// Writers at work. Each creates tuples of its own, so that a second effect of one write would be seen.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: CancellationToken,
    writers: JoinSet<()>,
}

impl Load {
    /// Starts `writers_each` writers at each of `clients`.
    pub(crate) fn start(clients: &[Client], writers_each: usize) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let stop = CancellationToken::new();
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let mut writers = JoinSet::new();
        for (node, client) in clients.iter().enumerate() {
            for writer in 0..writers_each {
                let name = format!("l{load}n{node}w{writer}");
                writers.spawn(write_until(stop.clone(), client.clone(), name, Arc::clone(&ledger)));
            }
        }
        Self { ledger, stop, writers }
    }

    /// How many writes were acknowledged until now.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger.lock().acknowledged.len()
    }

    /// How many writes ended without the node knowing what became of them.
    pub(crate) fn unknown(&self) -> usize {
        self.ledger.lock().unknown.len()
    }

    /// Waits until `more` writes were acknowledged, counted from now.
    pub(crate) async fn progress(&self, more: usize) {
        let goal = self.acknowledged() + more;
        eventually("writes go on", Duration::from_secs(60), async || match self.acknowledged() {
            now if now >= goal => Ok(()),
            now => Err(format!("{now} of {goal} acknowledged")),
        })
        .await;
    }

    /// Reads on this node, linearizable, and holds the answer against the ledger. The writers may be at work.
    pub(crate) async fn verify(&self, client: &Client) {
        let before: BTreeSet<String> = self.ledger.lock().acknowledged.clone();
        let read = eventually("a linearizable read", Duration::from_secs(30), async || {
            client.read(filter("document"), fully()).await
        });
        let found: BTreeSet<String> = read.await.0.into_iter().collect();
        let lost: Vec<&String> = before.difference(&found).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged writes are not there: {lost:?}", lost.len(), before.len());
    }

    /// Stops the writers and returns when they have; then [`Load::verify_exactly`] may be called.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("a writer does not panic");
        }
        let ledger = self.ledger.lock();
        assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
    }

    /// With the writers stopped: everything acknowledged is there, nothing that was said not to be written is, and everything
    /// else that is there has an unknown outcome.
    pub(crate) async fn verify_exactly(&self, client: &Client) {
        self.verify_exactly_with(client, &[]).await;
    }

    /// The same, beside these tuples that others wrote.
    pub(crate) async fn verify_exactly_with(&self, client: &Client, others: &[&str]) {
        self.verify(client).await;
        let (found, _) = client.read(filter("document"), fully()).await.expect("it was read a moment ago");
        let ledger = self.ledger.lock();
        for tuple in &found {
            assert!(
                !ledger.not_written.contains(tuple),
                "{tuple} is there, and its write said that nothing was written"
            );
            let known = ledger.acknowledged.contains(tuple)
                || ledger.unknown.contains(tuple)
                || others.contains(&tuple.as_str());
            assert!(known, "{tuple} is there, and nobody wrote it");
        }
    }

    /// The ledger in a line.
    pub(crate) fn summary(&self) -> String {
        let ledger = self.ledger.lock();
        format!(
            "{} acknowledged, {} unknown, {} retried after a definite failure",
            ledger.acknowledged.len(),
            ledger.unknown.len(),
            ledger.retries
        )
    }
}

async fn write_until(stop: CancellationToken, client: Client, name: String, ledger: Arc<Mutex<Ledger>>) {
    for number in 0.. {
        let tuple = format!("document:{name}-{number}#viewer@user:reader");
        let mut tried = false;
        loop {
            if stop.is_cancelled() {
                if tried {
                    ledger.lock().not_written.insert(tuple);
                }
                return;
            }
            let Err(status) = client.write([create(&tuple)]).await else {
                ledger.lock().acknowledged.insert(tuple);
                break;
            };
            match outcome_of(&status) {
                Outcome::NothingWritten => ledger.lock().retries += 1,
                Outcome::Unknown => {
                    ledger.lock().unknown.insert(tuple);
                    tokio::time::sleep(BACK_OFF).await;
                    break;
                }
                // Nobody else creates this tuple: after definite failures only, it cannot be there.
                Outcome::Refused => {
                    ledger.lock().violations.push(format!("{tuple}: {status:?}"));
                    return;
                }
            }
            tried = true;
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

/// Writes one after another until `done` ends, and gives the longest time between two acknowledgements.
pub(crate) async fn longest_gap<T>(client: Client, done: impl Future<Output = T>) -> (T, Duration) {
    let mut done = std::pin::pin!(done);
    let mut longest = Duration::ZERO;
    let mut ended = None;
    let mut last = Instant::now();
    for number in 0.. {
        let tuple = format!("group:gap-{number}#member@user:nobody");
        let write = eventually("a write", SETTLE_LIMIT, async || client.write([touch(&tuple)]).await);
        let mut write = std::pin::pin!(write);
        loop {
            tokio::select! {
                _ = &mut write => break,
                value = &mut done, if ended.is_none() => ended = Some(value),
            }
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if ended.is_some() {
            break;
        }
    }
    (ended.expect("the loop ends when it is there"), longest)
}
