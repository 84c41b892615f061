//! A stopped node, of whose cluster nothing else is left: what it holds, and the founding of a new cluster from it.
//!
//! The whole log is kept. What lies beyond the index that the node knew to be committed is of unknown outcome: any of it may
//! have been acknowledged, and a leader that this node had become would have committed it. To drop it could lose what was
//! promised; to keep it breaks no promise, since nobody was told that it failed.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::storage::{LogState, RaftLogReader, RaftLogStorage};

use super::forebears;
use super::found::{Founding, found};
use crate::model::Revision;
use crate::raft::apply::{AppliedState, Applier, Apply, ApplyError};
use crate::raft::log::LogStore;
use crate::raft::replica::{Membership, ReplicaError, log_dir, state_dir};
use crate::raft::snapshot::SnapshotFolder;
use crate::raft::types::{LogId, StoredMembership};
use crate::raft::{NodeAddress, identity};
use crate::store::{CheckpointStore, RocksStore, StoreError, StoreOptions};

/// Bytes of the log that are applied at a time.
const PIECE_BYTES: usize = 2 << 20;

/// Why nothing can be founded from a node.
#[derive(Debug, thiserror::Error)]
pub enum SurvivorError {
    /// Its databases.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Its state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its log, or the new folder.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has nothing.
    #[error("node {node_id} has applied nothing of its cluster's log: choose another node, or restore a backup")]
    Empty {
        /// Its id.
        node_id: u64,
    },
    /// Its log needs another version of this program.
    #[error("{0}")]
    Level(String),
    /// It was removed while the cluster still lived.
    #[error(
        "node {node_id} was removed from its cluster and knows nothing of what was written since: choose another node"
    )]
    NotAMember {
        /// Its id.
        node_id: u64,
    },
    /// It needs nobody.
    #[error("node {node_id} is the only voter of its cluster and goes on without the others: start it")]
    NothingLost {
        /// Its id.
        node_id: u64,
    },
    /// Neither its state nor a snapshot reaches as far as its log was purged.
    #[error(
        "the state of node {node_id} ends at index {applied} and its log begins after {purged}: what lies between is gone, so \
         this node cannot be trusted with the rest. Choose another node, or restore a backup"
    )]
    Gap {
        /// Its id.
        node_id: u64,
        /// Where the state ends.
        applied: u64,
        /// What was removed from the log.
        purged: u64,
    },
}

impl SurvivorError {
    fn of_apply(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            ApplyError::Level { .. } => Self::Level(error.to_string()),
        }
    }
}

/// A member that the new cluster goes on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostMember {
    /// Its id, which is never given again.
    pub node_id: u64,
    /// Where it was.
    pub address: NodeAddress,
    /// Whether it voted.
    pub voter: bool,
}

/// What a stopped node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurvivalReport {
    /// Who it is.
    pub membership: Membership,
    /// The end of its log, or of its state where that reaches further.
    pub last: Revision,
    /// The term in which the last entry was written. Of two survivors the one with the later term has more; in one term, the
    /// one that ends later.
    pub last_term: u64,
    /// Up to here it knew that everything was committed; what follows is of unknown outcome.
    pub committed: Revision,
    /// How far it had applied.
    pub applied: Revision,
    /// Entries that contradict a later snapshot, so that they were never committed; they are left out.
    pub contradicted: u64,
    /// The other members, by id.
    pub lost: Vec<LostMember>,
}

/// The open databases of a stopped node.
pub struct Survivor {
    log: LogStore,
    state: Arc<RocksStore>,
    options: StoreOptions,
    members: StoredMembership,
    term: u64,
    report: SurvivalReport,
}

impl Survivor {
    /// Opens the databases in `dir`, which are those of `membership`, as a start of the node would, and looks at what is there.
    pub async fn open(dir: &Path, membership: Membership, options: StoreOptions) -> Result<Self, SurvivorError> {
        let mut log = LogStore::open(&log_dir(dir)).map_err(ReplicaError::from)?;
        let state = Arc::new(RocksStore::open(&state_dir(dir), options.clone())?);
        identity::check(&log, &*state, membership)?;
        let mut applied = Applier::open(Arc::clone(&state))?.state().clone();
        let snapshot = SnapshotFolder::open(&dir.join("snapshots"))?.current();
        if let Some(newer) = snapshot.filter(|snapshot| snapshot.meta.last_log_id > applied.last) {
            // Its installing was cut short. The next start would finish it too.
            state.install(newer.snapshot.path())?;
            applied = Applier::open(Arc::clone(&state))?.state().clone();
        }
        let node_id = membership.node_id;
        let last_applied = applied.last.ok_or(SurvivorError::Empty { node_id })?;
        let Tail { last, contradicted } = tail(&mut log, node_id, last_applied).await?;
        let members = members_at_the_end(&log, &applied, last)?;
        let committed = log.read_committed().await?.filter(|id| *id <= last).max(Some(last_applied));
        let vote = log.read_vote().await?;
        let report = SurvivalReport {
            membership,
            last: Revision::new(last.index),
            last_term: last.leader_id.term,
            committed: Revision::new(committed.map_or(0, |id| id.index)),
            applied: Revision::new(last_applied.index),
            contradicted,
            lost: lost(&members, node_id),
        };
        let voters: Vec<u64> = members.voter_ids().collect();
        if members.get_node(&node_id).is_none() || applied.retired.contains(&node_id) {
            return Err(SurvivorError::NotAMember { node_id });
        }
        if voters == [node_id] {
            return Err(SurvivorError::NothingLost { node_id });
        }
        let term = vote.map_or(0, |vote| vote.leader_id.term);
        Ok(Self { log, state, options, members, term, report })
    }

    /// What is there.
    #[must_use]
    pub fn report(&self) -> &SurvivalReport {
        &self.report
    }

    /// Writes the databases of a new cluster, of which this node is the only member, to the folder `into`: all of the state,
    /// and all of the log applied to it. They are synced; the names in `into` are not.
    pub async fn found(self, lineage: u64, into: &Path) -> Result<Membership, SurvivorError> {
        let node_id = self.report.membership.node_id;
        let membership = Membership { lineage, node_id };
        let checkpoint = into.join("checkpoint");
        self.state.checkpoint(&checkpoint)?;
        let state = Arc::new(RocksStore::open(&state_dir(into), self.options)?);
        state.install(&checkpoint)?;
        fs::remove_dir_all(&checkpoint)?;
        let mut applier = Applier::open(Arc::clone(&state))?;
        let (mut from, end) = (self.report.applied.index() + 1, self.report.last.index() + 1);
        while from < end {
            let piece = self.log.read(from, end, PIECE_BYTES)?;
            let Some(last) = piece.last() else {
                let what = format!("entry {from} of the log is gone");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
            };
            from = last.log_id.index + 1;
            applier.apply(&piece).map_err(SurvivorError::of_apply)?;
        }
        let address = self.members.get_node(&node_id).cloned().unwrap_or_default();
        let log = LogStore::open(&log_dir(into)).map_err(ReplicaError::from)?;
        // Which of the old cluster's zookies name what is here, nobody can know any more.
        let forebears = forebears::record(Vec::new(), None);
        let founding = Founding { membership, address, term: self.term, forebears };
        found(&*state, &log, applier.state().clone(), &founding).await?;
        state.sync()?;
        Ok(membership)
    }
}

/// What the log adds to the state.
struct Tail {
    /// Its last entry, or the state's where it adds nothing.
    last: LogId,
    /// Entries behind the state that do not follow from it.
    contradicted: u64,
}

async fn tail(log: &mut LogStore, node_id: u64, applied: LogId) -> Result<Tail, SurvivorError> {
    let LogState { last_purged_log_id: purged, last_log_id: last } = log.get_log_state().await?;
    let Some(last) = last.filter(|last| last.index > applied.index) else {
        return Ok(Tail { last: applied, contradicted: 0 });
    };
    let known = log.read(applied.index, applied.index + 1, usize::MAX)?;
    let there = known.first().map(|entry| entry.log_id).or(purged.filter(|id| id.index == applied.index));
    match there {
        Some(same) if same == applied => Ok(Tail { last, contradicted: 0 }),
        // The log matching property (Raft paper, section 5.3): what follows another entry than the one that was committed at
        // its index was never committed.
        Some(_) => Ok(Tail { last: applied, contradicted: last.index - applied.index }),
        None => {
            let purged = purged.map_or(0, |id| id.index);
            Err(SurvivorError::Gap { node_id, applied: applied.index, purged })
        }
    }
}

/// The members by the last word on them, committed or not.
fn members_at_the_end(log: &LogStore, applied: &AppliedState, last: LogId) -> io::Result<StoredMembership> {
    let mut members = applied.membership.clone();
    let (mut from, end) = (applied.revision().index() + 1, last.index + 1);
    while from < end {
        let piece = log.read(from, end, PIECE_BYTES)?;
        let Some(next) = piece.last().map(|entry| entry.log_id.index + 1) else { break };
        for entry in piece {
            if let EntryPayload::Membership(changed) = entry.payload {
                members = StoredMembership::new(Some(entry.log_id), changed);
            }
        }
        from = next;
    }
    Ok(members)
}

fn lost(members: &StoredMembership, survivor: u64) -> Vec<LostMember> {
    let voters: Vec<u64> = members.voter_ids().collect();
    let others = members.nodes().filter(|(id, _)| **id != survivor);
    let lost = |(id, address): (&u64, &NodeAddress)| LostMember {
        node_id: *id,
        address: address.clone(),
        voter: voters.contains(id),
    };
    others.map(lost).collect()
}
