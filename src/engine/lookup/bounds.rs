//! What one lookup may spend, as a whole and in one batch. Spending more is an error, never a shorter list.

use super::LookupError;

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

/// Counts what a lookup spends.
#[derive(Debug)]
pub(super) struct Spent {
    bounds: LookupBounds,
    reads: u64,
    batch_reads: u64,
}

impl Spent {
    pub(super) fn new(bounds: LookupBounds) -> Self {
        Self { bounds, reads: 0, batch_reads: 0 }
    }

    pub(super) fn bounds(&self) -> &LookupBounds {
        &self.bounds
    }

    pub(super) fn begin_batch(&mut self) {
        self.batch_reads = 0;
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
