//! How long work may wait for its turn, and who decides about it.
//!
//! A queue that empties now and then has room for bursts: work may wait for long in it. One that stays full for as long as that
//! is no burst, and what waits in it only makes everybody late: from then on work may wait for a tenth of the time, and what
//! waited longer is shed (after CoDel, RFC 8289, as adaptive queue timeouts use it). So a node with too much to do answers
//! what it answers soon, and refuses the rest soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// By this much a wait is shorter while the queue does not empty.
const STANDING: u32 = 10;

/// How long work waits, and may wait.
#[derive(Debug)]
pub(super) struct QueueWait {
    burst: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    waiting: usize,
    /// When nobody waited last.
    empty_at: Instant,
}

impl QueueWait {
    /// For a queue in which work may wait for `burst` where it comes in bursts.
    pub(super) fn new(burst: Duration) -> Arc<Self> {
        Arc::new(Self { burst, queue: Mutex::new(Queue { waiting: 0, empty_at: Instant::now() }) })
    }

    /// The shortest time that work may wait.
    pub(super) fn shortest(&self) -> Duration {
        self.burst / STANDING
    }

    /// How long work may wait now.
    pub(super) fn allowed(&self, now: Instant) -> Duration {
        let empty_at = self.queue.lock().empty_at;
        if now.saturating_duration_since(empty_at) > self.burst { self.shortest() } else { self.burst }
    }

    /// One more waits from now on.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Queued {
        let mut queue = self.queue.lock();
        if queue.waiting == 0 {
            queue.empty_at = now;
        }
        queue.waiting += 1;
        Queued { wait: Arc::clone(self), since: now, turn: Arc::new(Turn(AtomicU8::new(WAITS))) }
    }

    fn leave(&self, now: Instant) {
        let mut queue = self.queue.lock();
        queue.waiting -= 1;
        if queue.waiting == 0 {
            queue.empty_at = now;
        }
    }
}

const WAITS: u8 = 0;
const BEGAN: u8 = 1;
const SHED: u8 = 2;

/// Whether work has begun or was shed: exactly one of the two is ever so.
#[derive(Debug)]
pub(super) struct Turn(AtomicU8);

impl Turn {
    fn becomes(&self, state: u8) -> bool {
        self.0.compare_exchange(WAITS, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Sheds the work, unless it has begun; whether it did.
    pub(super) fn shed(&self) -> bool {
        self.becomes(SHED)
    }
}

/// Work in the queue. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Queued {
    wait: Arc<QueueWait>,
    since: Instant,
    turn: Arc<Turn>,
}

impl Queued {
    /// What decides about the work.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.turn)
    }

    /// It is the work's turn; whether it may begin. Work that cannot be shed begins however long it has waited.
    pub(super) fn begin(self, now: Instant, can_be_shed: bool) -> bool {
        let allowed = self.wait.allowed(now);
        if can_be_shed && now.saturating_duration_since(self.since) > allowed {
            return false;
        }
        self.turn.becomes(BEGAN)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.wait.leave(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_millis(1_000);

    #[test]
    fn a_burst_may_wait_and_a_queue_that_stands_may_not() {
        let wait = QueueWait::new(BURST);
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let first = wait.enter(at(0));
        let second = wait.enter(at(10));
        assert_eq!(wait.allowed(at(900)), BURST);
        assert!(first.begin(at(900), true), "a burst");
        let third = wait.enter(at(1_100));
        assert_eq!(wait.allowed(at(1_150)), BURST / 10);
        assert!(!second.begin(at(1_150), true), "the queue has not been empty for more than a second");
        let fourth = wait.enter(at(1_160));
        assert!(third.begin(at(1_180), true), "it waited for a short time only");
        assert!(fourth.begin(at(1_900), false), "it cannot be shed");
        assert_eq!(wait.queue.lock().waiting, 0);
    }

    #[test]
    fn work_begins_or_is_shed_and_never_both() {
        let wait = QueueWait::new(BURST);
        let now = Instant::now();
        let work = wait.enter(now);
        assert!(work.turn().shed());
        assert!(!work.begin(now, true));
        let work = wait.enter(now);
        let turn = work.turn();
        assert!(work.begin(now, true) && !turn.shed());
    }
}
