//! Opening a log, its identity record, and its handle.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::device::{LogDevice, LogSpace};
use super::flusher::LogCounters;
use super::keys::{self, Record};
use super::recent::Recent;
use super::rocks::RocksDevice;
use crate::raft::codec::{self, CodecError};
use crate::raft::types::{LogId, Vote};

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// RocksDB refused.
    #[error("log database: {0}")]
    Engine(#[from] rocksdb::Error),
    /// The device failed.
    #[error("log database: {0}")]
    Device(#[from] io::Error),
    /// A record does not decode.
    #[error("log database, {what}: {source}")]
    Record {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        source: CodecError,
    },
    /// Entries are missing in the middle.
    #[error(
        "the log has a hole before entry {index}: the disk lost data that it had reported as written. This node cannot go \
             on; remove its data directory and join as a new node"
    )]
    Hole {
        /// The first entry after it.
        index: u64,
    },
    /// The flush thread did not start.
    #[error("log flush thread: {0}")]
    Thread(io::Error),
}

/// The log of one node. Cloning gives another handle to the same log.
#[derive(Clone)]
pub struct LogStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) device: Arc<dyn LogDevice>,
    pub(super) counters: Arc<LogCounters>,
    /// The vote as last written, so that readers need no look-up.
    pub(super) vote: Mutex<Option<Vote>>,
    /// What was appended last. Changed together with the device, so that it never has what the log has not.
    pub(super) recent: Mutex<Recent>,
}

impl LogStore {
    /// Opens or creates the log in `dir`. One process at a time.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let counters = Arc::new(LogCounters::default());
        let device = RocksDevice::open(dir, Arc::clone(&counters))?;
        Self::over(Arc::new(device), counters)
    }

    /// Takes up the log on `device`, which counts its syncs in `counters`.
    pub(in crate::raft) fn over(device: Arc<dyn LogDevice>, counters: Arc<LogCounters>) -> Result<Self, LogError> {
        let inner = Inner { device, counters, vote: Mutex::new(None), recent: Mutex::default() };
        let store = Self { inner: Arc::new(inner) };
        *store.inner.vote.lock() = store.record(Record::Vote, "vote")?;
        store.check_for_holes()?;
        Ok(store)
    }

    /// Refuses a log that lacks entries in its middle: a node that went on from it would acknowledge by its last entry what
    /// it does not have.
    fn check_for_holes(&self) -> Result<(), LogError> {
        let purged: Option<LogId> = self.record(Record::Purged, "purge mark")?;
        let mut expected = purged.map(|id| id.index + 1);
        let mut hole = None;
        self.inner.device.scan(&keys::entry(0), &keys::entries_end(), &mut |key, _| {
            let Some(index) = keys::index_of(key) else { return ControlFlow::Break(()) };
            if expected.is_some_and(|expected| expected != index) {
                hole = Some(index);
                return ControlFlow::Break(());
            }
            expected = Some(index + 1);
            ControlFlow::Continue(())
        })?;
        hole.map_or(Ok(()), |index| Err(LogError::Hole { index }))
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.inner.counters)
    }

    /// Whose log this is, as its owner wrote it.
    pub fn identity(&self) -> Result<Option<Vec<u8>>, LogError> {
        self.record(Record::Identity, "identity")
    }

    /// Writes whose log this is, synced.
    pub async fn write_identity(&self, identity: &[u8]) -> Result<(), LogError> {
        Ok(self.put_synced(Record::Identity, &identity.to_vec()).await?)
    }

    pub(super) fn record<T: serde::de::DeserializeOwned>(
        &self,
        record: Record,
        what: &'static str,
    ) -> Result<Option<T>, LogError> {
        let bytes = self.inner.device.get(LogSpace::Records, &keys::record(record))?;
        let decoded = bytes.map(|bytes| codec::decode(&bytes)).transpose();
        decoded.map_err(|source| LogError::Record { what, source })
    }
}
