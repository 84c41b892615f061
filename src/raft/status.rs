//! What a replica knows of itself and of the cluster, in plain values.

use std::sync::Arc;

use openraft::ServerState;
use openraft::metrics::RaftMetrics;

use super::apply::ClusterSettings;
use super::state_machine::AppliedMark;
use super::types::TypeConfig;
use super::{NodeAddress, SupportedLevels};
use crate::model::{Locality, Revision};
use crate::store::Footprint;

/// The part that a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Replicates and has no vote.
    Learner,
    /// Replicates and votes.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Has stopped.
    Stopped,
    /// Was removed from the cluster.
    Removed,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub node_id: u64,
    /// Where it is reached.
    pub address: NodeAddress,
    /// Whether it votes.
    pub voter: bool,
    /// Where it is, as far as that is replicated.
    pub locality: Locality,
    /// The last log index known to be on it; only the leader knows.
    pub matched: Option<u64>,
}

/// A replica's view of itself and the cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The cluster's lineage.
    pub lineage: u64,
    /// This node.
    pub node_id: u64,
    /// Its part.
    pub role: Role,
    /// The term it is in.
    pub term: u64,
    /// The leader that it follows.
    pub leader: Option<u64>,
    /// End of its log.
    pub last_log: u64,
    /// The last index that it knows to be committed.
    pub committed: u64,
    /// The last index it applied, and the hash chain there.
    pub applied: AppliedMark,
    /// The oldest revision that can still be read on it.
    pub oldest: Revision,
    /// The last index in its snapshot.
    pub snapshot: u64,
    /// The last index it purged.
    pub purged: u64,
    /// All members.
    pub members: Vec<MemberStatus>,
    /// Entries appended to its log since it started.
    pub log_entries_appended: u64,
    /// Fsyncs of its log since it started.
    pub log_fsyncs: u64,
    /// Bytes of its store.
    pub store: Footprint,
    /// The cluster's settings that it has applied.
    pub settings: Arc<ClusterSettings>,
    /// The feature levels that its program supports.
    pub supported: SupportedLevels,
}

impl ReplicaStatus {
    pub(super) fn new(
        lineage: u64,
        removed: bool,
        metrics: &RaftMetrics<TypeConfig>,
        (oldest, applied, store): (Revision, AppliedMark, Footprint),
        (settings, supported): (Arc<ClusterSettings>, SupportedLevels),
        (log_entries_appended, log_fsyncs): (u64, u64),
    ) -> Self {
        let index = |id: &Option<super::types::LogId>| id.as_ref().map_or(0, |id| id.index);
        let membership = metrics.membership_config.membership();
        let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
        let matched = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id)).map(index);
        let members = membership.nodes().map(|(id, address)| MemberStatus {
            node_id: *id,
            address: address.clone(),
            voter: voters.contains(id),
            locality: settings.localities.get(id).cloned().unwrap_or_default(),
            matched: matched(id),
        });
        Self {
            lineage,
            node_id: metrics.id,
            role: match metrics.state {
                _ if removed => Role::Removed,
                ServerState::Learner => Role::Learner,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Leader => Role::Leader,
                ServerState::Shutdown => Role::Stopped,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: index(&metrics.cluster_committed).max(index(&metrics.local_committed)),
            applied,
            oldest,
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            members: members.collect(),
            log_entries_appended,
            log_fsyncs,
            store,
            supported,
            settings,
        }
    }
}
