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
use rocksdb::{Direction, IteratorMode, ReadOptions, WriteBatch};
use tokio::sync::oneshot;

use super::keys::{self, Record};
use super::open::LogStore;
use crate::raft::codec;
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

impl LogStore {
    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.inner.flusher.check()?;
        self.inner.db.write(batch).map_err(io::Error::other)
    }

    async fn write_synced(&self, batch: WriteBatch) -> io::Result<()> {
        self.write(batch)?;
        let (done, synced) = oneshot::channel();
        // The receiver is gone only when the node is being torn down.
        self.inner.flusher.submit(Box::new(move |outcome| drop(done.send(outcome))));
        synced.await.map_err(|_| io::Error::other("the log was closed while it was being synced"))?
    }

    fn last_entry(&self) -> io::Result<Option<Entry>> {
        let mut read_options = ReadOptions::default();
        read_options.set_iterate_lower_bound(keys::entry(0));
        let end = keys::entry(u64::MAX);
        let mode = IteratorMode::From(&end, Direction::Reverse);
        let mut entries = self.inner.db.iterator_cf_opt(&self.inner.family(keys::ENTRIES), read_options, mode);
        let Some(item) = entries.next() else { return Ok(None) };
        let (_, value) = item.map_err(io::Error::other)?;
        codec::decode(&value)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("last entry: {e}")))
    }
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
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.inner.family(keys::META), keys::record(Record::Vote), codec::encode(vote));
        self.write_synced(batch).await?;
        // Published after the fsync: a reader never acts on a vote that a crash could take back.
        *self.inner.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.inner.family(keys::META), keys::record(Record::Committed), codec::encode(&committed));
        self.write(batch)
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
        let mut batch = WriteBatch::default();
        let mut count = 0;
        {
            let family = self.inner.family(keys::ENTRIES);
            for entry in entries {
                batch.put_cf(&family, keys::entry(entry.log_id().index), codec::encode(&entry));
                count += 1;
            }
        }
        self.write(batch)?;
        self.inner.counters.entries.fetch_add(count, Ordering::Relaxed);
        self.inner.flusher.submit(Box::new(move |outcome| callback.io_completed(outcome)));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let first = last_log_id.map_or(0, |id| id.index + 1);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(&self.inner.family(keys::ENTRIES), keys::entry(first).as_slice(), &keys::entries_end());
        // Synced, though it is rare: a tail of another leader that comes back after a crash would contradict a snapshot that
        // was installed meanwhile.
        self.write_synced(batch).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.inner.family(keys::META), keys::record(Record::Purged), codec::encode(&log_id));
        let end = keys::entry(log_id.index + 1);
        batch.delete_range_cf(&self.inner.family(keys::ENTRIES), keys::entry(0).as_slice(), end.as_slice());
        self.write(batch)
    }
}
