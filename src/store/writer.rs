//! The one writer's place. Apply is serial, so a store never has two batches at a time; a second one is a bug of the caller,
//! and is stopped here rather than left to interleave with the first.

use std::sync::atomic::{AtomicBool, Ordering};

/// Taken by the batch, or the install, that is under way.
#[derive(Debug, Default)]
pub(super) struct WriterSlot {
    taken: AtomicBool,
}

/// The right to write, given back when dropped.
#[derive(Debug)]
pub(super) struct WriterPermit<'a> {
    slot: &'a WriterSlot,
}

impl WriterSlot {
    /// Takes the place.
    ///
    /// # Panics
    /// When it is taken: two writers would see each other's half of the state.
    pub(super) fn take(&self) -> WriterPermit<'_> {
        let taken = self.taken.swap(true, Ordering::Acquire);
        assert!(!taken, "a second writer began while a batch is open: writes to a store are serial");
        WriterPermit { slot: self }
    }
}

impl Drop for WriterPermit<'_> {
    fn drop(&mut self) {
        self.slot.taken.store(false, Ordering::Release);
    }
}
