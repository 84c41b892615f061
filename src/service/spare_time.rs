//! Whether the threads that serve the network have time to spare.
//!
//! They do while what is due is done when it is due. A timer says so: it goes off when one of them looks for what has become
//! ready, which is how messages of the leader, and of clients, are found as well. It runs while anybody asks, and ends when
//! nobody has asked since it went off last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the timer goes off.
const PERIOD: Duration = Duration::from_millis(5);
/// By how much it may be late: far less than a heartbeat may, and more than a short burst makes it.
const LATE: Duration = Duration::from_millis(20);

/// Knows whether there is time.
#[derive(Debug)]
pub(super) struct SpareTime {
    origin: Instant,
    /// When the timer went off last, in microseconds since `origin`.
    last: AtomicU64,
    /// Whether it was late then.
    late: AtomicBool,
    /// Whether anybody has asked since.
    asked: AtomicBool,
    runs: AtomicBool,
}

impl Default for SpareTime {
    fn default() -> Self {
        let (last, origin) = (AtomicU64::new(0), Instant::now());
        Self { origin, last, late: AtomicBool::new(false), asked: AtomicBool::new(false), runs: AtomicBool::new(false) }
    }
}

impl SpareTime {
    /// Whether there is time now. To be asked on one of the threads that this is about.
    pub(super) fn is_there(self: &Arc<Self>) -> bool {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        if !self.runs.load(Ordering::Acquire) && !self.runs.swap(true, Ordering::AcqRel) {
            self.last.store(self.now(), Ordering::Relaxed);
            tokio::spawn(Arc::clone(self).watch());
        }
        !self.late.load(Ordering::Relaxed) && !is_late(self.now().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    async fn watch(self: Arc<Self>) {
        while self.asked.swap(false, Ordering::Relaxed) {
            let began = self.now();
            tokio::time::sleep(PERIOD).await;
            let now = self.now();
            self.late.store(is_late(now.saturating_sub(began)), Ordering::Relaxed);
            self.last.store(now, Ordering::Relaxed);
        }
        self.runs.store(false, Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Whether so many microseconds are more than there should be between two times that the timer goes off.
fn is_late(micros: u64) -> bool {
    Duration::from_micros(micros) > PERIOD + LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until the answer is `expected`; the test's time limit is that of the whole.
    async fn until(time: &Arc<SpareTime>, expected: bool) {
        while time.is_there() != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_thread_that_is_held_has_no_time_until_it_is_free_again() {
        let time = Arc::<SpareTime>::default();
        assert!(time.is_there());
        // The only thread is held, and knows it at once.
        let held = Instant::now();
        while held.elapsed() < PERIOD + LATE + Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        assert!(!time.is_there());
        until(&time, true).await;
        // Nobody asks, and the timer ends; whoever asks next starts another.
        while time.runs.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(time.is_there() && time.runs.load(Ordering::Acquire));
    }
}
