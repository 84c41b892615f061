//! Rules on revisions that hold for every store: what may be read, and where a batch may write. Pure.

use crate::model::Revision;

use super::StoreError;

/// What a store can be asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retained {
    /// The oldest readable revision.
    pub(super) oldest: Revision,
    /// The newest.
    pub(super) applied: Revision,
}

impl Retained {
    /// Whether the state at `asked` can be shown.
    pub(super) fn check(self, asked: Revision) -> Result<(), StoreError> {
        if asked > self.applied {
            Err(StoreError::NotApplied { asked, applied: self.applied })
        } else if asked < self.oldest {
            Err(StoreError::Expired { asked, oldest: self.oldest })
        } else {
            Ok(())
        }
    }
}

/// The revisions at which a batch writes. They only grow: what a view may already show is never written again, which is
/// what makes views stable without a lock.
#[derive(Debug)]
pub(super) struct WriteOrder {
    base: Revision,
    last: Revision,
}

impl WriteOrder {
    /// For a batch on top of the state at `base`.
    pub(super) fn above(base: Revision) -> Self {
        Self { base, last: base }
    }

    /// Notes a write at `at`.
    ///
    /// # Panics
    /// When `at` is not above the applied state, or below an earlier write of the batch.
    pub(super) fn note(&mut self, at: Revision) {
        assert!(at > self.base, "a write at revision {at}, but views may already show {}", self.base);
        assert!(at >= self.last, "a write at revision {at} after one at {}: batches are in log order", self.last);
        self.last = at;
    }

    /// Judges the revision that the batch is committed as.
    ///
    /// # Panics
    /// When it is below the applied state or below a write of the batch.
    pub(super) fn finish(&self, applied: Revision) {
        assert!(applied >= self.last, "committed as revision {applied}, but it wrote at {}", self.last);
    }
}
