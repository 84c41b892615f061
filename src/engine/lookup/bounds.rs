//! What one lookup may spend, as a whole and in one batch. Spending more is an error, never a shorter list; so is work that
//! nobody waits for.

use super::LookupError;
use crate::engine::{Budget, CheckError, Waiter};
use crate::model::TimestampMs;

/// What one lookup may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupBounds {
    /// Tuples looked up or visited.
    pub max_reads: u64,
    /// Objects, each with a relation or permission, that are remembered as seen.
    pub max_seen: usize,
    /// Subjects that can be named as excluded from a wildcard.
    pub max_excluded: usize,
    /// Tuples looked up or visited in one batch; past it, a batch ends even if it is empty.
    pub batch_reads: u64,
    /// Results of one batch.
    pub batch_results: usize,
}

impl Default for LookupBounds {
    fn default() -> Self {
        Self {
            max_reads: 50_000_000,
            max_seen: 2_000_000,
            max_excluded: 50_000,
            batch_reads: 50_000,
            batch_results: 500,
        }
    }
}

/// When a batch is made, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// What has expired by then counts for nothing in it. A time before that of an earlier batch is taken as that one.
    pub now: TimestampMs,
    /// Who waits for it.
    pub waiter: Waiter,
}

/// Counts what a lookup spends.
#[derive(Debug)]
pub(super) struct Spent {
    bounds: LookupBounds,
    reads: u64,
    batch_reads: u64,
    /// For each check of the batch.
    budget: Budget,
}

impl Spent {
    pub(super) fn new(bounds: LookupBounds) -> Self {
        Self { bounds, reads: 0, batch_reads: 0, budget: Budget::default() }
    }

    pub(super) fn bounds(&self) -> &LookupBounds {
        &self.bounds
    }

    pub(super) fn begin_batch(&mut self, waiter: &Waiter) {
        self.batch_reads = 0;
        self.budget = Budget::on_behalf_of(waiter.clone());
    }

    /// What one check of the batch may spend.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether the batch has done its share of work.
    pub(super) fn batch_is_spent(&self) -> bool {
        self.batch_reads >= self.bounds.batch_reads
    }

    /// So many more tuples were looked up or visited.
    pub(super) fn read(&mut self, count: u64) -> Result<(), LookupError> {
        self.reads = self.reads.saturating_add(count);
        self.batch_reads = self.batch_reads.saturating_add(count);
        if self.reads > self.bounds.max_reads {
            return Err(LookupError::ReadsExceeded { max_reads: self.bounds.max_reads });
        }
        if !self.budget.waiter.waits() {
            return Err(CheckError::GivenUp.into());
        }
        Ok(())
    }

    /// Whether so many things may be remembered.
    pub(super) fn seen(&self, count: usize) -> Result<(), LookupError> {
        if count > self.bounds.max_seen {
            return Err(LookupError::SeenExceeded { max_seen: self.bounds.max_seen });
        }
        Ok(())
    }
}
