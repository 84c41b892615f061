//! The replicated record beside the tuples: where the log stands, and what the cluster knows of itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Revision, TimestampMs};
use crate::raft::Membership;
use crate::raft::types::{LogId, StoredMembership};

/// Written in the same batch as the effects of the entries that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::raft) struct AppliedState {
    /// The last applied entry.
    pub last: Option<LogId>,
    /// The membership in force at that entry.
    pub membership: StoredMembership,
    /// `H(i) = blake3(H(i-1), entry, outcome)`. Nodes that agree up to an index have the same value there.
    pub chain: [u8; 32],
    /// The largest leader time seen in an entry. Never goes back.
    pub cluster_time: TimestampMs,
    /// The next node id to hand out. Never goes back, so that no id is used twice.
    pub next_node_id: u64,
    /// The oldest request that is remembered: its revision, and the cluster's time then. Spares looking for it.
    pub oldest_request: Option<(Revision, TimestampMs)>,
    /// Who was a member and is none any more. One that comes back is told so.
    pub retired: BTreeSet<u64>,
}

impl AppliedState {
    /// The revision of the last applied entry.
    pub(in crate::raft) fn revision(&self) -> Revision {
        self.last.as_ref().map_or(Revision::ZERO, |id| Revision::new(id.index))
    }
}

impl Default for AppliedState {
    fn default() -> Self {
        Self {
            last: None,
            membership: StoredMembership::default(),
            chain: [0; 32],
            cluster_time: TimestampMs(0),
            next_node_id: Membership::FIRST_NODE_ID + 1,
            oldest_request: None,
            retired: BTreeSet::new(),
        }
    }
}
