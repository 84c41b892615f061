//! Which revisions are being read: what a collector of history must leave alone until the readers are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::Revision;

/// Readers by revision.
#[derive(Debug, Default)]
pub(super) struct Pins {
    readers: Mutex<BTreeMap<Revision, usize>>,
}

/// One reader, counted until dropped.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Arc<Pins>,
    revision: Revision,
}

impl Pins {
    pub(super) fn pin(self: &Arc<Self>, revision: Revision) -> Pin {
        *self.readers.lock().entry(revision).or_insert(0) += 1;
        Pin { pins: Arc::clone(self), revision }
    }

    /// Lets nobody pin, nor ask for the oldest, until it is dropped.
    #[cfg(test)]
    pub(super) fn stopped(&self) -> impl Drop + '_ {
        self.readers.lock()
    }

    /// The oldest revision that somebody reads.
    pub(super) fn oldest(&self) -> Option<Revision> {
        self.readers.lock().keys().next().copied()
    }
}

impl Pin {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut readers = self.pins.readers.lock();
        if let Some(count) = readers.get_mut(&self.revision) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.revision);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reader_counts_until_all_of_its_revision_are_gone() {
        let pins = Arc::new(Pins::default());
        let (at, newer) = (Revision::new(3), Revision::new(9));
        let (first, second, third) = (pins.pin(at), pins.pin(newer), pins.pin(at));
        assert_eq!(pins.oldest(), Some(at));
        drop(first);
        assert_eq!(pins.oldest(), Some(at));
        drop(third);
        assert_eq!(pins.oldest(), Some(newer));
        drop(second);
        assert_eq!(pins.oldest(), None);
    }
}
