//! What somebody may use of a node: requests a second, and requests at the same time.
//!
//! Requests a second are counted by a bucket that fills at that rate and holds a burst (GCRA): where it is empty, the next
//! request is told when it may come again.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much may be used. What is not set is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Requests a second, in the long run.
    pub rate: Option<NonZeroU32>,
    /// Requests that may come at once after a pause; without it, those of one second.
    pub burst: Option<NonZeroU32>,
    /// Requests that may be open at the same time.
    pub concurrent: Option<NonZeroU32>,
}

/// Why one more request is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// More requests a second than there may be. One may come again after this time.
    Rate(Duration),
    /// More requests at the same time than there may be.
    Concurrency,
}

/// What is used of an [`Allowance`].
#[derive(Debug)]
pub struct Usage {
    limiter: Option<DefaultDirectRateLimiter>,
    places: Option<Arc<Semaphore>>,
}

impl Usage {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        let quota = |rate| Quota::per_second(rate).allow_burst(allowance.burst.unwrap_or(rate));
        Self {
            limiter: allowance.rate.map(|rate| RateLimiter::direct(quota(rate))),
            places: allowance.concurrent.map(|most| Arc::new(Semaphore::new(most.get() as usize))),
        }
    }

    /// A place for one more request, until it is dropped; `None` where places are not bounded.
    pub fn place(&self) -> Result<Option<OwnedSemaphorePermit>, Exceeded> {
        let place = self.places.as_ref().map(|places| Arc::clone(places).try_acquire_owned()).transpose();
        place.map_err(|_| Exceeded::Concurrency)
    }

    /// Counts one more request.
    pub fn count(&self) -> Result<(), Exceeded> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check().map_err(|soon| Exceeded::Rate(soon.wait_time_from(DefaultClock::default().now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let allowance = Allowance { rate: NonZeroU32::new(1), burst: NonZeroU32::new(3), concurrent: None };
        let usage = Usage::new(allowance);
        assert_eq!([usage.count(), usage.count(), usage.count()], [Ok(()); 3]);
        let Err(Exceeded::Rate(wait)) = usage.count() else { panic!("the bucket is empty") };
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(usage.place().expect("not bounded").is_none());
        let free = Usage::new(Allowance::default());
        assert!((0..10_000).all(|_| free.count().is_ok()));
    }

    #[test]
    fn places_come_back() {
        let usage = Usage::new(Allowance { concurrent: NonZeroU32::new(2), ..Allowance::default() });
        let held = [usage.place().expect("room"), usage.place().expect("room")];
        assert_eq!(usage.place().expect_err("full"), Exceeded::Concurrency);
        drop(held);
        usage.place().expect("room again");
    }
}
