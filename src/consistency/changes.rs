//! The changelog as watchers need it: from any retained revision on, then as it grows.
//!
//! Watchers that are at the end all want the same few records at the same moment. The first of them reads and decodes them;
//! the others get them from memory.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::{Error, ErrorCode, Revision, StoreId};
use crate::raft::{AppliedMark, Replica};
use crate::store::{ChangeRecord, StateStore, StoreError};

/// Records kept in memory.
const KEPT_RECORDS: usize = 1024;
/// Updates kept in memory, so that a few huge transactions do not fill it.
const KEPT_UPDATES: usize = 50_000;

/// One transaction and the revision that it made.
pub type Change = (Revision, Arc<ChangeRecord>);

/// A part of the changelog without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The transactions, in order.
    pub records: Vec<Change>,
    /// Every transaction up to here was told, by this part or the ones before it.
    pub through: Revision,
}

/// Where watchers get their changes from.
pub trait ChangeSource: Send + Sync {
    /// Waits until something after `revision` is applied. An error says that the node stops.
    fn applied_after(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// The same as [`ChangeSource::changes`] from memory alone; `None` where a disk must be read. Takes microseconds, so that
    /// thousands of watchers that are at the end need no thread of their own for what does not concern them.
    fn remembered(&self, store: StoreId, after: Revision, most: usize) -> Result<Option<Changes>, Error>;

    /// The transactions of `store` after `after`, at most `most` of them. Reads a disk: not for the threads of the network.
    ///
    /// `RevisionExpired` where the changelog does not go back that far.
    fn changes(&self, store: StoreId, after: Revision, most: usize) -> Result<Changes, Error>;
}

/// The changelog of one node's replica.
pub struct ReplicaChanges {
    store: Arc<dyn StateStore>,
    applied: watch::Receiver<AppliedMark>,
    removed: watch::Receiver<bool>,
    recent: Mutex<Recent>,
}

impl ReplicaChanges {
    /// The changelog of `replica`.
    #[must_use]
    pub fn new(replica: &Replica) -> Self {
        let applied = replica.applied();
        let recent = Recent::at(StoreId::DEFAULT, applied.borrow().revision);
        Self { store: Arc::clone(replica.store()), applied, removed: replica.removed(), recent: Mutex::new(recent) }
    }

    fn read(&self, id: StoreId, after: Revision, through: Revision, most: usize) -> Result<Changes, Error> {
        let mut records = Vec::new();
        let mut cut = false;
        self.store.changes(id, after, through, &mut |at, record| {
            cut = records.len() == most;
            if cut {
                return ControlFlow::Break(());
            }
            records.push((at, Arc::new(record)));
            ControlFlow::Continue(())
        })?;
        let through = match records.last() {
            Some((last, _)) if cut => *last,
            Some(_) | None => through,
        };
        Ok(Changes { records, through })
    }
}

impl ChangeSource for ReplicaChanges {
    fn applied_after(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        let (mut applied, mut removed) = (self.applied.clone(), self.removed.clone());
        async move {
            let stopping = |_| Error::new(ErrorCode::Unavailable, "this node is stopping; go on at another one");
            tokio::select! {
                // First, so that nothing more is told by a node that was removed.
                biased;
                Ok(_) = removed.wait_for(|removed| *removed) => {
                    Err(Error::new(ErrorCode::Unavailable, "this node was removed from the cluster; go on at another one"))
                }
                applied = applied.wait_for(|mark| mark.revision > revision) => applied.map(drop).map_err(stopping),
            }
        }
        .boxed()
    }

    fn remembered(&self, store: StoreId, after: Revision, most: usize) -> Result<Option<Changes>, Error> {
        let applied = self.applied.borrow().revision;
        if after >= applied {
            return Ok(Some(Changes { records: Vec::new(), through: after }));
        }
        // What this node happens to remember must not make it answer where another refuses.
        let oldest = self.store.oldest();
        if after < oldest {
            return Err(StoreError::Expired { asked: after, oldest }.into());
        }
        Ok(self.recent.lock().get(store, after, applied, most))
    }

    fn changes(&self, store: StoreId, after: Revision, most: usize) -> Result<Changes, Error> {
        if let Some(known) = self.remembered(store, after, most)? {
            return Ok(known);
        }
        let applied = self.applied.borrow().revision;
        // Two may both read the same; what the second one adds is there already then, and is left out.
        let read = self.read(store, after, applied, most)?;
        self.recent.lock().extend(store, after, &read);
        Ok(read)
    }
}

/// The end of the changelog of one store: every record in `(from, through]`.
struct Recent {
    store: StoreId,
    from: Revision,
    through: Revision,
    records: VecDeque<Change>,
    updates: usize,
}

impl Recent {
    fn at(store: StoreId, revision: Revision) -> Self {
        Self { store, from: revision, through: revision, records: VecDeque::new(), updates: 0 }
    }

    /// The records in `(after, through]`, where all of them are here.
    fn get(&self, store: StoreId, after: Revision, through: Revision, most: usize) -> Option<Changes> {
        if store != self.store || after < self.from || through > self.through {
            return None;
        }
        let begin = self.records.partition_point(|(at, _)| *at <= after);
        let end = self.records.partition_point(|(at, _)| *at <= through);
        let records: Vec<Change> = self.records.range(begin..end).take(most).cloned().collect();
        let through = match records.last() {
            Some((last, _)) if records.len() < end - begin => *last,
            Some(_) | None => through,
        };
        Some(Changes { records, through })
    }

    /// Takes over `read`, which tells of `(after, read.through]`, as far as it is newer. Where there is a gap between the
    /// two, what was here goes: nobody read it in time.
    fn extend(&mut self, store: StoreId, after: Revision, read: &Changes) {
        if store != self.store || read.through <= self.through {
            return;
        }
        if after > self.through {
            *self = Self::at(store, after);
        }
        for (at, record) in read.records.iter().filter(|(at, _)| *at > self.through) {
            self.updates += record.updates.len();
            self.records.push_back((*at, Arc::clone(record)));
        }
        self.through = read.through;
        while self.records.len() > KEPT_RECORDS || self.updates > KEPT_UPDATES {
            let Some((at, record)) = self.records.pop_front() else { break };
            self.updates -= record.updates.len();
            self.from = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: u64) -> Change {
        let record = ChangeRecord { op_id: 0, updates: Vec::new(), schema_changed: true, metadata_json: String::new() };
        (Revision::new(at), Arc::new(record))
    }

    fn part(records: &[u64], through: u64) -> Changes {
        Changes { records: records.iter().map(|at| change(*at)).collect(), through: Revision::new(through) }
    }

    #[test]
    fn what_is_kept_is_without_gaps() {
        let store = StoreId::DEFAULT;
        let at = Revision::new;
        let mut recent = Recent::at(store, at(10));
        recent.extend(store, at(10), &part(&[11], 12));
        recent.extend(store, at(10), &part(&[11, 13], 14));
        recent.extend(store, at(11), &part(&[13], 14));
        recent.extend(store, at(12), &part(&[13, 15], 16));
        assert_eq!(recent.get(store, at(10), at(16), 9), Some(part(&[11, 13, 15], 16)));
        assert_eq!(recent.get(store, at(11), at(14), 9), Some(part(&[13], 14)));
        assert_eq!(recent.get(store, at(10), at(16), 2), Some(part(&[11, 13], 13)), "cut after what was told");
        assert_eq!(recent.get(store, at(9), at(16), 9), None, "older than what is kept");
        assert_eq!(recent.get(store, at(10), at(17), 9), None, "newer than what is kept");
        assert_eq!(recent.get(StoreId::new(7), at(10), at(16), 9), None, "another store");
        recent.extend(store, at(18), &part(&[19], 20));
        assert_eq!(recent.get(store, at(18), at(20), 9), Some(part(&[19], 20)));
        assert_eq!(recent.get(store, at(10), at(20), 9), None, "17 and 18 were never told");
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::at(StoreId::DEFAULT, Revision::ZERO);
        let many: Vec<u64> = (1..=KEPT_RECORDS as u64 + 5).collect();
        recent.extend(StoreId::DEFAULT, Revision::ZERO, &part(&many, 5000));
        assert_eq!((recent.records.len(), recent.from), (KEPT_RECORDS, Revision::new(5)));
        assert!(recent.get(StoreId::DEFAULT, Revision::new(5), Revision::new(5000), 9).is_some());
    }
}
