//! Reading the log: by replication, by apply, and at start-up.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, ControlFlow, RangeBounds};

use futures::{Stream, TryStreamExt, stream};
use openraft::RaftLogReader;

use super::keys;
use super::open::LogStore;
use crate::raft::codec;
use crate::raft::types::{Entry, TypeConfig, Vote};

/// Bytes after which a limited read stops, so that one replication message stays small.
const READ_BYTES: usize = 2 << 20;

impl LogStore {
    /// Entries of `from..end`, in order; stops after the first that goes past `bytes`.
    pub(in crate::raft) fn read(&self, from: u64, end: u64, bytes: usize) -> io::Result<Vec<Entry>> {
        if let Some(entries) = self.inner.recent.lock().read(from, end, bytes) {
            return Ok(entries);
        }
        let mut entries = Vec::new();
        let mut size = 0;
        let mut expected = None;
        let mut take = |key: &[u8], value: &[u8]| {
            let index = keys::index_of(key).ok_or_else(|| damaged("a key that is no index".into()))?;
            // The start of the range may have been purged; after its first entry a log has no holes.
            if expected.is_some_and(|expected| expected != index) {
                return Err(damaged(format!("entry {index} follows a hole")));
            }
            expected = Some(index + 1);
            entries.push(codec::decode(value).map_err(|error| damaged(format!("entry {index}: {error}")))?);
            size += value.len();
            Ok(if size >= bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let mut failure = None;
        self.inner.device.scan(&keys::entry(from), &keys::entry(end), &mut |key, value| {
            take(key, value).unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        })?;
        failure.map_or(Ok(entries), Err)
    }
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged: {what}"))
}

/// First index of a range, and the one after its last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, end)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (from, end) = bounds(&range);
        if from >= end { Ok(Vec::new()) } else { self.read(from, end, usize::MAX) }
    }

    /// In pieces: what a node has to apply after a restart may be far more than fits into memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (from, end) = bounds(&range);
        let pieces = stream::try_unfold((self.clone(), from), move |(log, from)| async move {
            if from >= end {
                return Ok(None);
            }
            let piece = log.read(from, end, READ_BYTES)?;
            let Some(last) = piece.last() else { return Ok(None) };
            let next = last.log_id.index + 1;
            Ok::<_, io::Error>(Some((stream::iter(piece.into_iter().map(Ok)), (log, next))))
        });
        Box::pin(pieces.try_flatten())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        if start >= end { Ok(Vec::new()) } else { self.read(start, end, READ_BYTES) }
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*self.inner.vote.lock())
    }
}
