//! openraft's log storage over the log database.
//!
//! Invariants (`L` is the log on disk):
//! - `append` makes entries readable on return, and its callback runs only after an fsync that covers them.
//! - `save_vote` and `truncate_after` return only after an fsync that covers them, and go through the same queue as appends.
//! - Votes, appends, truncations and purges reach the write-ahead log in the order in which openraft asked for them, so that
//!   a crash keeps a prefix of that order.
//! - `L` has no holes: a truncation is one range, a purge writes its mark and its range in one batch.

use std::io;
use std::sync::atomic::Ordering;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use serde::Serialize;
use tokio::sync::oneshot;

use super::device::{LogChange, LogSpace};
use super::keys::{self, Record};
use super::open::LogStore;
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

impl LogStore {
    async fn write_synced(&self, changes: Vec<LogChange>) -> io::Result<()> {
        self.inner.device.write(changes)?;
        let (done, synced) = oneshot::channel();
        // The receiver is gone only when the node is being torn down.
        self.inner.device.sync(Box::new(move |outcome| drop(done.send(outcome))));
        synced.await.map_err(|_| io::Error::other("the log was closed while it was being synced"))?
    }

    pub(super) async fn put_synced<T: Serialize>(&self, record: Record, value: &T) -> io::Result<()> {
        self.write_synced(vec![put_record(record, value)]).await
    }

    /// Makes an empty log one that ended at `last`, all of it purged, on a node that has voted `vote`. Synced.
    pub(in crate::raft) async fn begin_after(&self, last: LogId, vote: Vote) -> io::Result<()> {
        let records = vec![
            put_record(Record::Purged, &last),
            put_record(Record::Committed, &Some(last)),
            put_record(Record::Vote, &vote),
        ];
        self.write_synced(records).await?;
        *self.inner.vote.lock() = Some(vote);
        Ok(())
    }

    fn last_entry(&self) -> io::Result<Option<Entry>> {
        let Some(value) = self.inner.device.last(&keys::entry(0), &keys::entries_end())? else { return Ok(None) };
        codec::decode(&value)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("last entry: {e}")))
    }
}

fn put_record<T: Serialize>(record: Record, value: &T) -> LogChange {
    LogChange::Put { space: LogSpace::Records, key: keys::record(record).to_vec(), value: codec::encode(value) }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let last_purged_log_id: Option<LogId> = self.record(Record::Purged, "purge mark").map_err(io::Error::other)?;
        let last_log_id = self.last_entry()?.map(|entry| entry.log_id()).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.put_synced(Record::Vote, vote).await?;
        // Published after the fsync: a reader never acts on a vote that a crash could take back.
        *self.inner.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.inner.device.write(vec![put_record(Record::Committed, &committed)])
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let committed: Option<Option<LogId>> =
            self.record(Record::Committed, "committed mark").map_err(io::Error::other)?;
        Ok(committed.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let (mut changes, mut appended) = (Vec::new(), Vec::new());
        for entry in entries {
            let (key, value) = (keys::entry(entry.log_id().index).to_vec(), codec::encode(&entry));
            appended.push((entry, value.len()));
            changes.push(LogChange::Put { space: LogSpace::Entries, key, value });
        }
        self.inner.device.write(changes)?;
        self.inner.counters.entries.fetch_add(appended.len() as u64, Ordering::Relaxed);
        let mut recent = self.inner.recent.lock();
        for (entry, bytes) in appended {
            recent.push(entry, bytes);
        }
        drop(recent);
        self.inner.device.sync(Box::new(move |outcome| callback.io_completed(outcome)));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let first = last_log_id.map_or(0, |id| id.index + 1);
        self.inner.recent.lock().truncate(first);
        // Synced, though it is rare: a tail of another leader that comes back after a crash would contradict a snapshot that
        // was installed meanwhile.
        self.write_synced(vec![remove(&keys::entry(first), &keys::entries_end())]).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.inner.recent.lock().purge(log_id.index);
        let mark = put_record(Record::Purged, &log_id);
        let end = keys::entry(log_id.index + 1);
        self.inner.device.write(vec![mark, remove(&keys::entry(0), &end)])?;
        self.inner.device.trim(&end);
        Ok(())
    }
}

fn remove(from: &[u8], end: &[u8]) -> LogChange {
    LogChange::RemoveEntries { from: from.to_vec(), end: end.to_vec() }
}
