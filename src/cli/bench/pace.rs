//! When operations begin: as soon as the one before has ended (a closed loop), or at a rate, whatever becomes of the others (an
//! open loop).
//!
//! In an open loop an operation has a time at which it ought to begin, and its latency counts from there: one that had to
//! wait for a free client waited, and is not left out. Tokio's timer ticks in milliseconds, so a thread keeps the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// The longest that the pacing thread sleeps, so that it notices when a run is called off.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Gives out beginnings.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// Operations a second, in an open loop.
    rate: Option<f64>,
    permits: Semaphore,
    released: AtomicU64,
    taken: AtomicU64,
}

impl Pace {
    pub(super) fn new(start: Instant, rate: Option<f64>) -> Self {
        let permits = Semaphore::new(0);
        Self { start, rate, permits, released: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// When the next operation begins, or ought to have begun; none when there is nothing more to begin.
    pub(super) async fn next(&self) -> Option<Instant> {
        let Some(rate) = self.rate else {
            return (!self.permits.is_closed()).then(Instant::now);
        };
        self.permits.acquire().await.ok()?.forget();
        // Permits are all alike: whoever has one takes the earliest beginning that nobody took.
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        Some(self.beginning(number, rate))
    }

    fn beginning(&self, number: u64, rate: f64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / rate)
    }

    /// How many ought to have begun by `now`: the first at the start.
    fn due(&self, now: Instant, rate: f64) -> u64 {
        now.checked_duration_since(self.start).map_or(0, |passed| (passed.as_secs_f64() * rate) as u64 + 1)
    }

    /// Lets operations begin until `until`; then, or after [`Pace::stop`], none begins any more. To be called on a thread.
    pub(super) fn run(&self, until: Instant) {
        // How late the kernel may wake this thread; where it cannot be set, beginnings are a little later.
        let _ = nix::sys::prctl::set_timerslack(1000);
        let mut released = 0;
        loop {
            let now = Instant::now();
            if now >= until || self.permits.is_closed() {
                break;
            }
            let mut wake = now + LONGEST_SLEEP;
            if let Some(rate) = self.rate {
                let due = self.due(now, rate);
                if due > released {
                    self.permits.add_permits(usize::try_from(due - released).unwrap_or(usize::MAX >> 4));
                    released = due;
                    self.released.store(released, Ordering::Relaxed);
                }
                wake = wake.min(self.beginning(released, rate));
            }
            std::thread::sleep(wake.min(until).saturating_duration_since(Instant::now()));
        }
        self.stop();
    }

    /// Calls off what has not begun.
    pub(super) fn stop(&self) {
        self.permits.close();
    }

    /// Whether nothing begins any more.
    pub(super) fn is_over(&self) -> bool {
        self.permits.is_closed()
    }

    /// When those ought to have begun that nobody began, at the end.
    pub(super) fn missed(&self) -> impl Iterator<Item = Instant> {
        let (taken, released) = (self.taken.load(Ordering::Relaxed), self.released.load(Ordering::Relaxed));
        let rate = self.rate.unwrap_or(1.0);
        (taken..released).map(move |number| self.beginning(number, rate))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_open_loop_begins_on_time_whatever_becomes_of_the_others() {
        let start = Instant::now();
        let pace = Arc::new(Pace::new(start, Some(1000.0)));
        let keeper = Arc::clone(&pace);
        let thread = std::thread::spawn(move || keeper.run(start + Duration::from_millis(200)));
        let mut begun = Vec::new();
        while let Some(at) = pace.next().await {
            begun.push((at - start).as_micros());
            if begun.len() == 50 {
                break; // The client is stuck from here on.
            }
        }
        thread.join().unwrap();
        let expected: Vec<u128> = (0..50).map(|number| number * 1000).collect();
        assert!(begun.iter().zip(&expected).all(|(at, expected)| at.abs_diff(*expected) <= 1), "{begun:?}");
        let missed: Vec<Instant> = pace.missed().collect();
        assert!((100..=150).contains(&missed.len()), "{}", missed.len());
        assert!(missed[0] - start >= Duration::from_micros(49_999));
        assert!(pace.next().await.is_none());
    }

    #[test]
    fn the_first_is_due_at_the_start_and_each_further_one_on_time() {
        let start = Instant::now() + Duration::from_secs(1);
        let pace = Pace::new(start, Some(100.0));
        let due = |ms: u64| pace.due(start + Duration::from_millis(ms), 100.0);
        assert_eq!(pace.due(start - Duration::from_millis(1), 100.0), 0);
        assert_eq!([due(0), due(9), due(11), due(19), due(995)], [1, 1, 2, 2, 100]);
        assert_eq!(pace.beginning(due(11) - 1, 100.0), start + Duration::from_millis(10));
    }

    #[tokio::test]
    async fn a_closed_loop_goes_on_until_it_is_over() {
        let pace = Pace::new(Instant::now(), None);
        assert!(pace.next().await.is_some() && pace.next().await.is_some());
        pace.run(Instant::now());
        assert!(pace.next().await.is_none());
        assert_eq!(pace.missed().count(), 0);
    }
}
