//! Group commit: one thread syncs the log for all writers that wait.
//!
//! It takes everything that is pending, does one fsync, and completes the callbacks in the order of submission. There is no
//! timer: while one fsync runs, the next batch gathers. A failed fsync is final (the kernel may have dropped the dirty pages,
//! so trying again could "succeed" without the data): every later write fails and the node stops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rocksdb::DB;

use super::device::Completion;
use crate::mutants::Mutant;
use crate::telemetry::{METRICS, seconds};

/// What the log has done since it was opened.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Entries appended.
    pub entries: AtomicU64,
    /// Fsyncs done.
    pub fsyncs: AtomicU64,
}

#[derive(Default)]
struct Queue {
    pending: Vec<Completion>,
    stopping: bool,
    failure: Option<String>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// Owns the thread. Dropping it completes what is pending and joins the thread.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread that syncs `db`.
    pub(super) fn start(db: Arc<DB>, counters: Arc<LogCounters>) -> io::Result<Self> {
        let sync = move || {
            let begin = Instant::now();
            let outcome = db.flush_wal(!Mutant::AckBeforeFsync.is_on()).map_err(|e| e.to_string());
            METRICS.log_sync.observe(seconds(begin.elapsed()));
            counters.fsyncs.fetch_add(1, Ordering::Relaxed);
            outcome
        };
        Self::start_with(sync)
    }

    fn start_with(sync: impl FnMut() -> Result<(), String> + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log-flush".into()).spawn(move || run(&worker, sync))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues `done` for the next fsync. The write that it stands for must be in the database already.
    pub(super) fn submit(&self, done: Completion) {
        self.shared.queue.lock().pending.push(done);
        self.shared.wake.notify_one();
    }

    /// Refuses work after a failed fsync.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.shared.queue.lock().failure {
            None => Ok(()),
            Some(reason) => Err(poisoned(reason)),
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread cannot be ours: completions only send on channels and never own the log.
            let _ = thread.join();
        }
    }
}

fn poisoned(reason: &str) -> io::Error {
    io::Error::other(format!("the log could not be synced and takes no more writes: {reason}"))
}

fn run(shared: &Shared, mut sync: impl FnMut() -> Result<(), String>) {
    loop {
        let (batch, failure) = {
            let mut queue = shared.queue.lock();
            while queue.pending.is_empty() && !queue.stopping {
                shared.wake.wait(&mut queue);
            }
            if queue.pending.is_empty() {
                return;
            }
            (std::mem::take(&mut queue.pending), queue.failure.clone())
        };
        let outcome = match failure {
            Some(reason) => Err(reason),
            None => sync(),
        };
        if let Err(reason) = &outcome {
            shared.queue.lock().failure.get_or_insert_with(|| reason.clone());
        }
        for done in batch {
            done(outcome.clone().map_err(|reason| poisoned(&reason)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn writers_that_wait_share_one_fsync_and_complete_in_order() {
        let (gate, opened) = mpsc::channel::<()>();
        let syncs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&syncs);
        let flusher = Flusher::start_with(move || {
            opened.recv().map_err(|e| e.to_string())?;
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        let (sender, done) = mpsc::channel();
        for n in 0..100 {
            let sender = sender.clone();
            flusher.submit(Box::new(move |outcome| sender.send((n, outcome.is_ok())).unwrap()));
        }
        // The first fsync may have begun with any number of them; the second covers all the rest.
        gate.send(()).unwrap();
        gate.send(()).unwrap();
        let order: Vec<_> = done.iter().take(100).collect();
        assert_eq!(order, (0..100).map(|n| (n, true)).collect::<Vec<_>>());
        assert!(syncs.load(Ordering::SeqCst) <= 2);
    }

    #[test]
    fn a_failed_fsync_fails_everything_after_it() {
        let mut calls = 0;
        let flusher = Flusher::start_with(move || {
            calls += 1;
            if calls == 1 { Err("input/output error".into()) } else { Ok(()) }
        })
        .unwrap();
        let (sender, done) = mpsc::channel();
        for _ in 0..2 {
            let sender = sender.clone();
            flusher.submit(Box::new(move |outcome| sender.send(outcome.is_err()).unwrap()));
            assert!(done.recv().unwrap());
        }
        assert!(flusher.check().is_err());
    }
}
