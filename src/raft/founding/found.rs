//! The primitive: a state at an index becomes that of a new cluster with one member and an empty log behind it.
//!
//! What stays: everything that can be read, at the index where it was. What is new: the lineage, so that neither a zookie nor a
//! message of the old cluster passes for one of this; the members, of which there is one; the log, which begins after the
//! index; and the terms, which are above all that the state knows of.

use std::collections::{BTreeMap, BTreeSet};

use openraft::Membership as Members;

use crate::raft::NodeAddress;
use crate::raft::apply::{AppliedState, ClusterSettings};
use crate::raft::codec;
use crate::raft::identity;
use crate::raft::log::{LogError, LogStore};
use crate::raft::replica::{Membership, ReplicaError};
use crate::raft::types::{StoredMembership, Vote};
use crate::store::{MetaKey, StateBatch, StateStore};

/// Mixed into the hash chain, so that it tells the new cluster's history from the old one's.
const CHAIN: &[u8] = b"a cluster was founded";

/// What is founded.
#[derive(Debug, Clone)]
pub(super) struct Founding {
    /// Whose it is.
    pub(super) membership: Membership,
    /// Where its one member is.
    pub(super) address: NodeAddress,
    /// A term that the member may have voted in.
    pub(super) term: u64,
    /// The record of whose zookies still mean something.
    pub(super) forebears: Vec<u8>,
}

/// Makes of `state`, which says `applied` of itself, and of the empty `log` those of a new cluster. Both are synced by the
/// caller.
pub(super) async fn found<S: StateStore>(
    state: &S,
    log: &LogStore,
    mut applied: AppliedState,
    founding: &Founding,
) -> Result<(), ReplicaError> {
    let Founding { membership: Membership { lineage, node_id }, address, term, forebears } = founding;
    let nothing = || ReplicaError::Start("nothing was ever applied to this state".into());
    let last = applied.last.ok_or_else(nothing)?;
    let before = applied.membership.membership().nodes().map(|(id, _)| *id);
    let others: Vec<u64> = before.filter(|id| id != node_id).collect();
    applied.retired.extend(others);
    applied.retired.remove(node_id);
    applied.next_node_id = applied.next_node_id.max(node_id.saturating_add(1));
    let nodes = BTreeMap::from([(*node_id, address.clone())]);
    let members = Members::new(vec![BTreeSet::from([*node_id])], nodes).expect("the only voter is among the members");
    applied.membership = StoredMembership::new(Some(last), members);
    let mut hash = blake3::Hasher::new();
    hash.update(CHAIN).update(&applied.chain).update(&lineage.to_be_bytes()).update(&node_id.to_be_bytes());
    applied.chain = *hash.finalize().as_bytes();

    // The level stays: what was written under it is there.
    let level = ClusterSettings::read(state)?.level;
    let mut batch = state.batch();
    batch.put_meta(MetaKey::Applied, &codec::encode_at(level, &applied))?;
    batch.put_meta(MetaKey::Identity, &identity::of_state(*lineage))?;
    batch.put_meta(MetaKey::Cluster, forebears)?;
    batch.commit(applied.revision())?;
    // Its first election is for a term above that: no log id of the old cluster comes again.
    let vote = Vote::new((*term).max(last.leader_id.term), *node_id);
    log.begin_after(last, vote).await.map_err(LogError::from)?;
    log.write_identity(&identity::of_log(founding.membership)).await?;
    Ok(())
}
