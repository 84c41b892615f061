//! The end of the log in memory: what was appended last is read again at once, by each follower's replication and by apply.

use std::collections::VecDeque;

use crate::raft::types::Entry;

/// Entries that are kept at the most.
const MOST_ENTRIES: usize = 4096;
/// Bytes of their records that are kept at the most.
const MOST_BYTES: usize = 4 << 20;

/// The last entries of a log, without a gap up to its end; none at first.
#[derive(Default)]
pub(super) struct Recent {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Recent {
    /// `entry` was appended, in a record of so many bytes.
    pub(super) fn push(&mut self, entry: Entry, bytes: usize) {
        if self.entries.back().is_some_and(|(last, _)| last.log_id.index + 1 != entry.log_id.index) {
            self.clear();
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        while self.entries.len() > MOST_ENTRIES || self.bytes > MOST_BYTES {
            self.drop_first();
        }
    }

    /// The entries from `first` on are taken back.
    pub(super) fn truncate(&mut self, first: u64) {
        while self.entries.back().is_some_and(|(last, _)| last.log_id.index >= first) {
            let (_, bytes) = self.entries.pop_back().expect("there is a last one");
            self.bytes -= bytes;
        }
    }

    /// The entries up to `last` are given up.
    pub(super) fn purge(&mut self, last: u64) {
        while self.entries.front().is_some_and(|(first, _)| first.log_id.index <= last) {
            self.drop_first();
        }
    }

    /// The entries of `from..end`, up to the first that goes past `bytes`; `None` where some may be on disk only.
    pub(super) fn read(&self, from: u64, end: u64, bytes: usize) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.0.log_id.index;
        let at = usize::try_from(from.checked_sub(first)?).ok()?;
        let wanted = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut size = 0;
        let mut read = Vec::new();
        for (entry, length) in self.entries.iter().skip(at).take(wanted) {
            read.push(entry.clone());
            size += length;
            if size >= bytes {
                break;
            }
        }
        Some(read)
    }

    fn drop_first(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::impls::leader_id_std::LeaderId;
    use openraft::vote::RaftLeaderId;

    use super::*;
    use crate::raft::types::LogId;

    fn entry(index: u64) -> Entry {
        let log_id = LogId { leader_id: LeaderId::new(1, 1).to_committed(), index };
        Entry { log_id, payload: EntryPayload::Blank }
    }

    fn indexes(recent: &Recent, from: u64, end: u64, bytes: usize) -> Option<Vec<u64>> {
        let read = recent.read(from, end, bytes)?;
        Some(read.iter().map(|entry| entry.log_id.index).collect())
    }

    fn of(range: std::ops::Range<u64>) -> Recent {
        let mut recent = Recent::default();
        for index in range {
            recent.push(entry(index), 10);
        }
        recent
    }

    #[test]
    fn what_is_not_there_as_a_whole_is_read_elsewhere() {
        assert_eq!(indexes(&Recent::default(), 0, 9, 100), None);
        let recent = of(5..10);
        assert_eq!(indexes(&recent, 4, 9, 100), None);
        assert_eq!(indexes(&recent, 5, 9, 100), Some(vec![5, 6, 7, 8]));
        assert_eq!(indexes(&recent, 8, u64::MAX, 100), Some(vec![8, 9]));
        assert_eq!(indexes(&recent, 10, 20, 100), Some(vec![]), "the log ends before");
        assert_eq!(indexes(&recent, 5, 10, 11), Some(vec![5, 6]), "the one that goes past the bytes is the last");
        assert_eq!(indexes(&recent, 5, 10, 0), Some(vec![5]), "never nothing where there is something");
    }

    #[test]
    fn it_follows_the_log_when_that_is_cut_at_either_end_or_begins_anew() {
        let mut recent = of(5..10);
        recent.truncate(8);
        assert_eq!(indexes(&recent, 5, 20, 100), Some(vec![5, 6, 7]));
        recent.push(entry(8), 10);
        recent.purge(6);
        assert_eq!(indexes(&recent, 6, 20, 100), None);
        assert_eq!(indexes(&recent, 7, 20, 100), Some(vec![7, 8]));
        recent.push(entry(20), 10);
        assert_eq!(indexes(&recent, 7, 30, 100), None, "what is in between is unknown");
        assert_eq!(indexes(&recent, 20, 30, 100), Some(vec![20]));
        recent.truncate(0);
        assert_eq!((indexes(&recent, 20, 30, 100), recent.bytes), (None, 0));
    }

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let recent = of(0..2 * MOST_ENTRIES as u64);
        assert_eq!((recent.entries.len(), recent.bytes), (MOST_ENTRIES, 10 * MOST_ENTRIES));
        let mut recent = of(0..10);
        recent.push(entry(10), MOST_BYTES);
        assert_eq!(indexes(&recent, 9, 20, 100), None);
        assert_eq!(indexes(&recent, 10, 20, 100), Some(vec![10]));
        recent.push(entry(11), MOST_BYTES + 1);
        assert_eq!((recent.entries.len(), recent.bytes), (0, 0), "one that is too large for it is on disk");
        assert_eq!(indexes(&recent, 11, 20, 100), None);
    }
}
