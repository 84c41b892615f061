//! How long work may wait for its turn, and who decides about it.
//!
//! A queue that empties now and then has room for bursts: work may wait for long in it. One that stays full for as long as that
//! is no burst, and what waits in it only makes everybody late: from then on work may wait for a tenth of the time, and what
//! waited longer is shed (after CoDel, RFC 8289, as adaptive queue timeouts use it). So a node with too much to do answers
//! what it answers soon, and refuses the rest soon.
//!
//! To refuse what has arrived costs a good part of what answering does: it was read and decoded. So while the queue stands, and
//! what left it last had waited for half of what is allowed, no more is let in: see [`Door`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Error, ErrorCode};
use crate::telemetry::METRICS;

const TOO_MANY: &str = "this node has more evaluations waiting than it can serve in time; slow down and try again";

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
    /// How long what left the queue last had waited.
    last_wait: Duration,
}

impl Queue {
    /// Whether it has not been empty for longer than a burst takes.
    fn stands(&self, now: Instant, burst: Duration) -> bool {
        self.waiting > 0 && now.saturating_duration_since(self.empty_at) > burst
    }
}

impl QueueWait {
    /// For a queue in which work may wait for `burst` where it comes in bursts.
    pub(super) fn new(burst: Duration) -> Arc<Self> {
        Arc::new(Self {
            burst,
            queue: Mutex::new(Queue { waiting: 0, empty_at: Instant::now(), last_wait: Duration::ZERO }),
        })
    }

    /// The shortest time that work may wait.
    pub(super) fn shortest(&self) -> Duration {
        self.burst / STANDING
    }

    /// How long work may wait now.
    pub(super) fn allowed(&self, now: Instant) -> Duration {
        if self.queue.lock().stands(now, self.burst) { self.shortest() } else { self.burst }
    }

    /// What is told to those whose work is shed.
    pub(super) fn shed(&self) -> Error {
        METRICS.evaluations_shed.inc();
        Error::new(ErrorCode::ResourceExhausted, TOO_MANY).retry_after(self.shortest())
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
            queue.last_wait = Duration::ZERO;
        }
    }
}

/// Where work comes in that can be refused before it is read.
#[derive(Debug, Clone)]
pub struct Door(Arc<QueueWait>);

impl Door {
    pub(super) fn new(wait: Arc<QueueWait>) -> Self {
        Self(wait)
    }

    /// Refuses what would surely wait for too long.
    pub fn enter(&self) -> Result<(), Error> {
        if self.is_open(Instant::now()) { Ok(()) } else { Err(self.0.shed()) }
    }

    fn is_open(&self, now: Instant) -> bool {
        let queue = self.0.queue.lock();
        !queue.stands(now, self.0.burst) || queue.last_wait <= self.0.shortest() / 2
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
        let waited = now.saturating_duration_since(self.since);
        self.wait.queue.lock().last_wait = waited;
        if can_be_shed && waited > allowed {
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

/// One that lets nobody in.
#[cfg(test)]
impl Door {
    pub(crate) fn closed() -> Self {
        let wait = QueueWait::new(Duration::from_millis(10));
        let empty_at = Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine is older than a second");
        *wait.queue.lock() = Queue { waiting: 1, empty_at, last_wait: Duration::from_secs(1) };
        Self(wait)
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
    fn the_door_is_closed_while_what_comes_out_of_a_standing_queue_is_late() {
        let wait = QueueWait::new(BURST);
        let door = Door::new(Arc::clone(&wait));
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let enter = |ms| wait.enter(at(ms));
        let mut queue: Vec<Queued> = [0, 10, 1_030, 1_060].map(enter).into();
        assert!(queue.remove(0).begin(at(900), true) && door.is_open(at(900)), "a burst");
        assert!(!queue.remove(0).begin(at(1_090), true) && !door.is_open(at(1_090)), "it stands");
        assert_eq!(door.0.shed().code, ErrorCode::ResourceExhausted);
        assert!(queue.remove(0).begin(at(1_100), true) && !door.is_open(at(1_100)), "it waited 70 ms");
        let last = enter(1_070);
        assert!(queue.remove(0).begin(at(1_105), true) && door.is_open(at(1_105)), "it waited 45 ms");
        assert!(!last.begin(at(1_200), true) && door.is_open(at(1_200)), "nobody waits");
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
