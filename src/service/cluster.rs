//! Administration as a use case: what a node must be able to do for its operator. The node implements it; the fronts convert
//! to and from these types.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::{BackupStream, Changed, FeatureLevel, Footprint, MemberChange, MemberReport};
use crate::model::{Error, Locality, PlaceName, Revision};

/// A cluster was formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFormed {
    /// Its lineage.
    pub lineage: u64,
    /// The id of its first member.
    pub node_id: u64,
}

/// How far a join has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinStage {
    /// The cluster gave this node an id.
    Admitted,
    /// This node is a learner and receives the log or a snapshot.
    CatchingUp,
    /// This node is a voter; the join is over.
    Voter,
    /// This node has caught up and stays a learner; the join is over.
    Learner,
}

/// What a node joins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinAs {
    /// It gets a vote once it has caught up.
    Voter,
    /// It has everything, serves every read, and has no vote.
    Learner,
}

/// One report on a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinProgress {
    /// The stage.
    pub stage: JoinStage,
    /// This node's id.
    pub node_id: u64,
    /// How far this node has applied.
    pub applied: Revision,
    /// How far the leader had committed when last heard.
    pub target: Revision,
}

/// What a node is, in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Not a member of any cluster.
    Waiting,
    /// Receives the log and does not vote.
    Learner,
    /// Votes and follows.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Stopped by a fault.
    Faulted,
    /// Removed from the cluster.
    Removed,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub node_id: u64,
    /// `host:port` of its public API.
    pub client_address: String,
    /// `host:port` for the other nodes.
    pub peer_address: String,
    /// Whether it votes.
    pub voter: bool,
    /// Where it is, as far as that is replicated.
    pub locality: Locality,
    /// The last log index known to be on it; only the leader knows.
    pub matched: Option<Revision>,
}

/// What a node knows of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// What it is.
    pub state: NodeState,
    /// Its id; 0 while it has none.
    pub node_id: u64,
    /// The cluster's lineage; `None` while it has none.
    pub lineage: Option<u64>,
    /// The Raft term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader_id: Option<u64>,
    /// The end of its log.
    pub last_log: Revision,
    /// How much of it is committed.
    pub committed: Revision,
    /// How much of it is applied.
    pub applied: Revision,
    /// The oldest revision that can still be read on it.
    pub oldest: Revision,
    /// What the last snapshot covers.
    pub snapshot: Revision,
    /// What was removed from the log.
    pub purged: Revision,
    /// The hash chain over all applied entries, in hexadecimal.
    pub state_hash: String,
    /// All members, by id.
    pub members: Vec<MemberStatus>,
    /// Entries appended to the log since the node started.
    pub log_entries_appended: u64,
    /// Fsyncs done for them.
    pub log_fsyncs: u64,
    /// How old this node's state may be at most; `None` where that was never made certain.
    pub state_age: Option<Duration>,
    /// What it did since it started.
    pub work: Work,
    /// Bytes of its store.
    pub store: Footprint,
    /// The feature level that it has applied; `None` while it belongs to no cluster.
    pub feature_level: Option<FeatureLevel>,
    /// The highest one that its program supports.
    pub highest_level: FeatureLevel,
    /// Where the leader is to be, as far as it has applied.
    pub home_region: Option<PlaceName>,
}

impl ClusterStatus {
    /// What a node says that is in no cluster, and has done this `work`, by a program that knows levels up to `highest_level`.
    #[must_use]
    pub fn waiting(work: Work, highest_level: FeatureLevel) -> Self {
        Self {
            state: NodeState::Waiting,
            node_id: 0,
            lineage: None,
            term: 0,
            leader_id: None,
            last_log: Revision::ZERO,
            committed: Revision::ZERO,
            applied: Revision::ZERO,
            oldest: Revision::ZERO,
            snapshot: Revision::ZERO,
            purged: Revision::ZERO,
            state_hash: String::new(),
            members: Vec::new(),
            log_entries_appended: 0,
            log_fsyncs: 0,
            state_age: None,
            work,
            store: Footprint::default(),
            feature_level: None,
            highest_level,
            home_region: None,
        }
    }
}

/// What a node did since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Checks answered, those in a bulk each.
    pub checks: u64,
    /// Changes that its clients made and the log took.
    pub writes: u64,
    /// Times that the leader, as it sees it, changed or was lost.
    pub leader_changes: u64,
}

/// A snapshot was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// What it covers.
    pub snapshot: Revision,
    /// What was removed from the log.
    pub purged: Revision,
}

/// Who a node is, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePosition {
    /// Its id.
    pub node_id: u64,
    /// How much of the log it has applied.
    pub applied: Revision,
}

/// What an operator can ask of a node.
pub trait ClusterAdmin: Send + Sync {
    /// Makes this waiting node the first member of a new cluster.
    fn init(&self) -> BoxFuture<'_, Result<ClusterFormed, Error>>;

    /// Makes this waiting node join the cluster of the first of `peers` that answers. The stream ends after
    /// [`JoinStage::Voter`] or [`JoinStage::Learner`], or the first error. Calling it again continues an interrupted join, and
    /// makes a learner a voter where that is asked for.
    fn join(
        &self,
        peers: Vec<String>,
        join_as: JoinAs,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<JoinProgress, Error>>, Error>>;

    /// What this node knows, without asking another.
    fn status(&self) -> BoxFuture<'_, Result<ClusterStatus, Error>>;

    /// Asks each other member what it says of itself, for `patience` at most. The reports are the front's own messages.
    fn ask_members(&self, patience: Duration) -> BoxFuture<'_, Vec<MemberReport>>;

    /// Who this node is, for every response; `None` while it is no member. Must cost nothing.
    fn position(&self) -> Option<NodePosition>;

    /// Has the leader make this change to the members. To ask for what is so already changes nothing.
    fn change_members(&self, change: MemberChange, deadline: Instant) -> BoxFuture<'_, Result<Changed, Error>>;

    /// Sets where the leader is to be, `None` for anywhere; whether that changed anything.
    fn set_home_region(&self, region: Option<PlaceName>, deadline: Instant) -> BoxFuture<'_, Result<bool, Error>>;

    /// Gives all of this node's state, without the files with a hash in `have`.
    fn backup(&self, have: HashSet<[u8; 32]>) -> BoxFuture<'_, Result<BackupStream, Error>>;

    /// Writes a snapshot and removes the log that it covers.
    fn snapshot(&self) -> BoxFuture<'_, Result<SnapshotTaken, Error>>;
}
