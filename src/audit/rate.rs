//! A bound on lines that anybody can cause: so many at once, so many a second, and a count of the rest.

use std::time::Instant;

/// So many lines may come at once.
const BURST: f64 = 100.0;
/// So many a second may follow.
const PER_SECOND: f64 = 10.0;

/// What is left of the bound.
#[derive(Debug)]
pub(super) struct Rate {
    left: f64,
    since: Instant,
    suppressed: u64,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, suppressed: 0 }
    }

    /// Whether one more line may come; if so, how many could not since the last one.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.left = (self.left + passed * PER_SECOND).min(BURST);
        if self.left < 1.0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_leaves_a_few_lines_and_its_size() {
        let begin = Instant::now();
        let mut rate = Rate::new(begin);
        let passed = (0..10_000).filter_map(|_| rate.take(begin)).count();
        assert_eq!(passed, 100);
        assert_eq!(rate.take(begin + Duration::from_millis(200)), Some(9_900));
        assert_eq!(rate.take(begin + Duration::from_millis(200)), Some(0));
        assert_eq!(rate.take(begin + Duration::from_millis(200)), None);
    }
}
