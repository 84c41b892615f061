//! Evaluation is synchronous, recursive and reads a disk, so it runs on threads of its own, not on those that serve the
//! network. Their stacks are large enough for the deepest evaluation that the engine's budget allows.
//!
//! A single check mostly needs none of that: a few reads in memory. As long as the network's threads have time
//! ([`EvaluationPool::has_time`]), it is tried there first, within a budget of microseconds.
//!
//! Bounded three times: so many run, and so many wait; the next one is refused at once; and what waits for too long is shed.
//! Work whose deadline has passed or whose caller has gone is dropped before it begins, and is told of it afterwards: what may
//! take long looks at its [`Waiter`]. The threads give way to all others of the process, so that a node with too many
//! evaluations still hears its leader, and its clients.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout_at;

use super::queue_wait::{Door, QueueWait};
use super::spare_time::SpareTime;
use crate::engine::Waiter;
use crate::model::{Error, ErrorCode};
use crate::raft::monotonic;
use crate::telemetry::{METRICS, part_of_trace};

/// So many may wait, besides those that run. For how long they do is bounded as well; this bounds the memory that they take.
const WAITING: usize = 4_096;
/// By how much the threads give way to others (nice values, sched(7)): a tenth of the share of an equal one.
const NICE: i32 = 10;
/// The engine's default budget fits 16 MiB; the rest is for what calls it. Untouched stack costs no memory.
const STACK_BYTES: usize = 24 << 20;

const LATE: &str = "the deadline passed before the evaluation was done; try again with more time";
const BROKEN: &str = "an evaluation ended without an answer";

type Job = Box<dyn FnOnce() + Send>;

/// Where evaluations run. A clone is the same pool; the threads end with the last one.
#[derive(Debug, Clone)]
pub(super) struct EvaluationPool {
    /// A permit for each evaluation that runs or waits. The queue itself needs no bound.
    admitted: Arc<Semaphore>,
    /// None where evaluations run on the thread that asks.
    queue: Option<Arc<Queue>>,
    wait: Arc<QueueWait>,
    network: Arc<SpareTime>,
}

/// What waits for a thread. No thread sleeps with the lock in its hand, so that one is woken for a job and no other.
#[derive(Default)]
struct Jobs {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Nobody is left who could bring more.
    closed: bool,
}

/// The end at which jobs come in. Closed when dropped.
struct Queue(Arc<Jobs>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    fn push(&self, job: Job) {
        self.0.waiting.lock().jobs.push_back(job);
        self.0.changed.notify_one();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.waiting.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// Whether work is given up when it has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Its caller can try again and has lost nothing.
    Bounded,
    /// It is the next step of something that was begun: it has until its deadline.
    UntilDeadline,
}

impl EvaluationPool {
    /// A pool that runs `concurrent` evaluations at a time; for 0, each on the thread that asks for it. One may wait for `wait`
    /// where they come in bursts, and for a tenth of that where they do not stop coming.
    pub(super) fn new(concurrent: usize, wait: Duration) -> Self {
        let threads = concurrent;
        let wait = QueueWait::new(wait);
        if threads == 0 {
            return Self { admitted: Arc::new(Semaphore::new(1)), queue: None, wait, network: Arc::default() };
        }
        let jobs = Arc::<Jobs>::default();
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new()
                .name(format!("evaluate-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    give_way();
                    work_off(&jobs);
                })
                .expect("a node that cannot start its threads at the start of its life cannot serve");
        }
        let (admitted, queue) = (Arc::new(Semaphore::new(threads + WAITING)), Some(Arc::new(Queue(jobs))));
        Self { admitted, queue, wait, network: Arc::default() }
    }

    /// Whether the threads that serve the network have time for work that needs next to none. Not when they are late for
    /// anything: then all evaluations give way to them, and wait for their turn.
    pub(super) fn has_time(&self) -> bool {
        self.queue.is_some() && self.network.is_there()
    }

    /// Where what will be evaluated here can be refused before it is read.
    pub(super) fn door(&self) -> Door {
        Door::new(Arc::clone(&self.wait))
    }

    /// Runs `work`, which is short, and waits for its answer until `deadline`.
    pub(super) async fn run<T, W>(&self, deadline: Instant, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        self.evaluate(deadline, |_: &Waiter| work()).await
    }

    /// The same for work that may take long: it gives up when its waiter does not wait any more.
    pub(super) async fn evaluate<T, W>(&self, deadline: Instant, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Waiter) -> Result<T, Error> + Send + 'static,
    {
        const BUSY: &str = "this node has more evaluations waiting than it can serve; slow down and try again";
        let place = Arc::clone(&self.admitted).try_acquire_owned();
        let place = place.map_err(|_| {
            METRICS.evaluations_refused.inc();
            Error::new(ErrorCode::ResourceExhausted, BUSY)
        })?;
        self.answer(place, deadline, Patience::Bounded, work).await
    }

    /// The same for the next step of a stream that was admitted once: where no place is free, it waits for one.
    pub(super) async fn go_on<T, W>(&self, deadline: Instant, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Waiter) -> Result<T, Error> + Send + 'static,
    {
        let place = timeout_at(deadline.into(), Arc::clone(&self.admitted).acquire_owned()).await;
        let place = place.map_err(|_| Error::new(ErrorCode::DeadlineExceeded, LATE))?;
        let place = place.map_err(|_| Error::new(ErrorCode::Internal, BROKEN))?;
        self.answer(place, deadline, Patience::UntilDeadline, work).await
    }

    async fn answer<T, W>(
        &self,
        place: OwnedSemaphorePermit,
        deadline: Instant,
        patience: Patience,
        work: W,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Waiter) -> Result<T, Error> + Send + 'static,
    {
        // Where one thread does everything, nobody leaves meanwhile; and its time may be a simulated one, of which the waiter's
        // clock knows nothing.
        let Some(queue) = &self.queue else { return work(&Waiter::default()) };
        let counted = Counted::new();
        let waiting = Asking(Waiter::until(deadline));
        let waiter = waiting.0.clone();
        let (answer, mut answered) = oneshot::channel();
        let began = Instant::now();
        let queued = self.wait.enter(began);
        let turn = queued.turn();
        let can_be_shed = patience == Patience::Bounded;
        // From here on: waiting for a thread is a part of it.
        let span = part_of_trace!("evaluate");
        let job = Box::new(move || {
            // What is shed in its turn is told so by the one who waits for it: the sender is dropped without an answer.
            if queued.begin(Instant::now(), can_be_shed) && waiter.waits() {
                // What `work` holds is given up with it, so that nothing half-done can be seen later. When it panics, the
                // sender is dropped, and that is the caller's answer.
                if let Ok(result) = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| work(&waiter)))) {
                    let _ = answer.send(result); // The caller may have gone.
                }
            }
            drop((place, counted, span));
        });
        queue.push(job);
        // Where all threads are held for long, nobody looks at the queue but those who wait in it.
        let mut look = began + self.wait.shortest();
        let mut sheddable = can_be_shed;
        loop {
            let until = if sheddable { deadline.min(look) } else { deadline };
            match timeout_at(until.into(), &mut answered).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) if turn.shed() => return Err(self.wait.shed()),
                Ok(Err(_)) if monotonic() >= deadline => return Err(Error::new(ErrorCode::DeadlineExceeded, LATE)),
                Ok(Err(_)) => return Err(Error::new(ErrorCode::Internal, BROKEN)),
                Err(_) if until >= deadline => return Err(Error::new(ErrorCode::DeadlineExceeded, LATE)),
                Err(_) => {
                    let now = Instant::now();
                    let allowed = self.wait.allowed(now);
                    if now.saturating_duration_since(began) < allowed {
                        look = began + allowed;
                        continue;
                    }
                    if turn.shed() {
                        return Err(self.wait.shed());
                    }
                    sheddable = false;
                }
            }
        }
    }
}

/// Someone who waits for an answer, until this is dropped.
struct Asking(Waiter);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// An evaluation that runs or waits, for the metrics.
struct Counted;

impl Counted {
    fn new() -> Self {
        METRICS.evaluations.inc();
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        METRICS.evaluations.dec();
    }
}

/// From now on this thread has a smaller share of a processor than those that serve the network and the log.
fn give_way() {
    // Elsewhere the call is about the whole process (setpriority(2), "C library/kernel differences").
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread that evaluates cannot give way to others");
    }
}

/// Until the queue is closed and empty.
fn work_off(jobs: &Jobs) {
    let mut waiting = jobs.waiting.lock();
    loop {
        if let Some(job) = waiting.jobs.pop_front() {
            MutexGuard::unlocked(&mut waiting, job);
        } else if waiting.closed {
            return;
        } else {
            jobs.changed.wait(&mut waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Nothing is shed.
    const LONG: Duration = Duration::from_secs(20);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_leaves_the_pool_usable() {
        let pool = EvaluationPool::new(1, LONG);
        let error = pool.run::<(), _>(soon(), || panic!("broken")).await.expect_err("panics");
        assert_eq!(error.code, ErrorCode::Internal);
        assert_eq!(pool.run(soon(), || Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn what_waits_past_its_deadline_is_late_and_never_runs() {
        let pool = EvaluationPool::new(1, LONG);
        let (release, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let first = {
            let pool = pool.clone();
            tokio::spawn(async move {
                pool.run(soon(), move || {
                    let _ = started.send(());
                    let _ = gate.recv();
                    Ok(1)
                })
                .await
            })
        };
        has_started.await.expect("the first one runs");
        let ran = Arc::new(Mutex::new(false));
        let mark = Arc::clone(&ran);
        let late = pool
            .run(Instant::now() + Duration::from_millis(20), move || {
                *mark.lock() = true;
                Ok(2)
            })
            .await;
        assert_eq!(late.expect_err("no thread is free").code, ErrorCode::DeadlineExceeded);
        release.send(()).expect("the first one waits");
        assert_eq!(first.await.expect("joins"), Ok(1));
        assert_eq!(pool.run(soon(), || Ok(3)).await, Ok(3));
        assert!(!*ran.lock());
    }

    #[tokio::test]
    async fn work_is_told_when_nobody_waits_for_it_any_more() {
        let pool = EvaluationPool::new(1, LONG);
        let until_nobody_waits = |waiter: &Waiter| {
            while waiter.waits() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err::<(), _>(Error::new(ErrorCode::DeadlineExceeded, LATE))
        };
        let late = pool.evaluate(Instant::now() + Duration::from_millis(20), until_nobody_waits).await;
        assert_eq!(late.expect_err("never done").code, ErrorCode::DeadlineExceeded);
        let gone = tokio::time::timeout(Duration::from_millis(20), pool.evaluate(soon(), until_nobody_waits)).await;
        assert!(gone.is_err());
        // The only thread is free again.
        assert_eq!(pool.run(soon(), || Ok(3)).await, Ok(3));
    }

    #[tokio::test]
    async fn a_stream_waits_for_a_place_and_a_request_does_not() {
        let pool = EvaluationPool::new(1, LONG);
        let all = u32::try_from(pool.admitted.available_permits()).expect("small");
        let taken = pool.admitted.clone().try_acquire_many_owned(all).expect("free");
        let step = pool.go_on(Instant::now() + Duration::from_millis(20), |_: &Waiter| Ok(()));
        assert_eq!(step.await.expect_err("full").code, ErrorCode::DeadlineExceeded);
        let step = tokio::spawn({
            let pool = pool.clone();
            async move { pool.go_on(soon(), |_: &Waiter| Ok(7)).await }
        });
        tokio::task::yield_now().await;
        drop(taken);
        assert_eq!(step.await.expect("joins"), Ok(7));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_places_come_back() {
        let pool = EvaluationPool::new(1, LONG);
        let all = pool.admitted.available_permits();
        let taken = pool.admitted.clone().try_acquire_many_owned(u32::try_from(all).expect("small")).expect("free");
        let error = pool.run(soon(), || Ok(())).await.expect_err("full");
        assert_eq!(error.code, ErrorCode::ResourceExhausted);
        drop(taken);
        assert_eq!(pool.run(soon(), || Ok(())).await, Ok(()));
    }

    #[tokio::test]
    async fn what_waits_for_too_long_is_shed_though_no_thread_is_free() {
        let pool = EvaluationPool::new(1, Duration::from_millis(50));
        let (release, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let held = tokio::spawn({
            let pool = pool.clone();
            let wait = move |_: &Waiter| {
                let _ = started.send(());
                let _ = gate.recv();
                Ok(())
            };
            async move { pool.go_on(soon(), wait).await }
        });
        has_started.await.expect("it runs");
        let shed = pool.run(soon(), || Ok(())).await.expect_err("the only thread is held");
        assert_eq!(shed.code, ErrorCode::ResourceExhausted);
        assert!(shed.retry_after.is_some());
        // The next step of something that was begun is not.
        let step = tokio::time::timeout(Duration::from_millis(150), pool.go_on(soon(), |_: &Waiter| Ok(())));
        assert!(step.await.is_err(), "it still waits");
        release.send(()).expect("held");
        held.await.expect("joins").expect("it ends");
        assert_eq!(pool.go_on(soon(), |_: &Waiter| Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn the_stack_is_deep() {
        fn sink(depth: usize, filler: [u8; 4096]) -> usize {
            let filler = std::hint::black_box(filler);
            if depth == 0 { usize::from(filler[0]) } else { sink(depth - 1, filler) + 1 }
        }
        let depth = 16 * 256 - 256;
        assert_eq!(EvaluationPool::new(1, LONG).run(soon(), move || Ok(sink(depth, [0; 4096]))).await, Ok(depth));
    }
}
