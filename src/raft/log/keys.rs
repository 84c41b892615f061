//! Keys of the log database. The Raft group comes first, so that several groups can share a log one day.
//!
//! | column family | key | value |
//! |---|---|---|
//! | `entries` | group u32 BE, index u64 BE | a log entry |
//! | `meta` | group u32 BE, kind u8 | a single record |

/// The only group there is today.
pub(super) const GROUP: u32 = 1;

/// Column family of the entries.
pub(super) const ENTRIES: &str = "entries";
/// Column family of the single records.
pub(super) const META: &str = "meta";

/// Width of an entry's key.
pub(super) const ENTRY_KEY_BYTES: usize = 12;
const _: () = assert!(ENTRY_KEY_BYTES == size_of::<u32>() + size_of::<u64>());

/// The single records. Numbers are append-only.
#[derive(Debug, Clone, Copy)]
pub(super) enum Record {
    /// The vote of this node (Raft paper, figure 2: `currentTerm` and `votedFor`).
    Vote = 1,
    /// The last purged log id.
    Purged = 2,
    /// The last log id known to be committed; a hint, not synced.
    Committed = 3,
    /// Which cluster and node this log belongs to.
    Identity = 4,
}

/// Key of the entry at `index`.
pub(super) fn entry(index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..4].copy_from_slice(&GROUP.to_be_bytes());
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The first key after all entries of the group.
pub(super) fn entries_end() -> [u8; 4] {
    (GROUP + 1).to_be_bytes()
}

/// The index in an entry's key; `None` when it is no such key.
pub(super) fn index_of(key: &[u8]) -> Option<u64> {
    let index: [u8; 8] = key.strip_prefix(&GROUP.to_be_bytes())?.try_into().ok()?;
    Some(u64::from_be_bytes(index))
}

/// Key of a single record.
pub(super) fn record(record: Record) -> [u8; 5] {
    let mut key = [0; 5];
    key[..4].copy_from_slice(&GROUP.to_be_bytes());
    key[4] = record as u8;
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_indexes_do_and_decode() {
        let mut previous = entry(0);
        for index in [1, 255, 256, u64::from(u32::MAX), u64::MAX] {
            let key = entry(index);
            assert!(previous < key && key.as_slice() < entries_end().as_slice());
            assert_eq!(index_of(&key), Some(index));
            previous = key;
        }
        assert_eq!(index_of(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(index_of(&[1, 2]), None);
    }
}
