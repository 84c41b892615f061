//! Rules on revisions that hold for every store: what may be read, and where a batch may write. Pure.

use crate::model::Revision;

use super::StoreError;

/// What a store can be asked about. The oldest is never above the applied.
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
/// what makes views stable without a lock. Beside them, what the batch lets go of.
#[derive(Debug)]
pub(super) struct WriteOrder {
    base: Revision,
    last: Revision,
    oldest: Revision,
}

impl WriteOrder {
    /// For a batch on top of what is there.
    pub(super) fn above(retained: Retained) -> Self {
        Self { base: retained.applied, last: retained.applied, oldest: retained.oldest }
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

    /// Notes that what is below `oldest` goes.
    pub(super) fn expire_below(&mut self, oldest: Revision) {
        self.oldest = self.oldest.max(oldest);
    }

    /// Judges the revision that the batch is committed as; what can be asked for from then on.
    ///
    /// # Panics
    /// When it is below the applied state, below a write of the batch, or itself let go of.
    pub(super) fn finish(&self, applied: Revision) -> Retained {
        assert!(applied >= self.last, "committed as revision {applied}, but it wrote at {}", self.last);
        assert!(self.oldest <= applied, "nothing below {} is kept, and the state is at {applied}", self.oldest);
        Retained { oldest: self.oldest, applied }
    }
}
