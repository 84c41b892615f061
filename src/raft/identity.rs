//! Whose data a log and a state hold: written once, compared at every start, so that the data of two nodes is never mixed.

use super::codec;
use super::log::{LogError, LogStore};
use super::replica::{Membership, ReplicaError};
use crate::model::Revision;
use crate::store::{MetaKey, StateBatch, StateStore, StoreError};

/// Marks an empty log and an empty state as those of `membership`. The log's mark is synced.
pub(super) async fn write(log: &LogStore, state: &impl StateStore, membership: Membership) -> Result<(), ReplicaError> {
    log.write_identity(&of_log(membership)).await?;
    let mut batch = state.batch();
    batch.put_meta(MetaKey::Identity, &of_state(membership.lineage))?;
    Ok(batch.commit(Revision::ZERO)?)
}

/// The mark of a log.
pub(super) fn of_log(Membership { lineage, node_id }: Membership) -> Vec<u8> {
    codec::encode(&(lineage, node_id))
}

/// The mark of a state. Only the lineage: a state travels between nodes as snapshots.
pub(super) fn of_state(lineage: u64) -> Vec<u8> {
    codec::encode(&lineage)
}

/// Refuses data that is not that of `expected`.
pub(super) fn check(log: &LogStore, state: &impl StateStore, expected: Membership) -> Result<(), ReplicaError> {
    let Membership { lineage, node_id } = expected;
    let name = |(lineage, node_id): (u64, u64)| format!("node {node_id} of cluster {lineage:016x}");
    let found: Option<(u64, u64)> = match log.identity()? {
        None => None,
        Some(bytes) => Some(codec::decode(&bytes).map_err(|source| LogError::Record { what: "identity", source })?),
    };
    if found != Some((lineage, node_id)) {
        let found = found.map_or_else(|| "nobody".into(), name);
        return Err(ReplicaError::Foreign { what: "the log", found, expected: name((lineage, node_id)) });
    }
    let cluster = |lineage: u64| format!("cluster {lineage:016x}");
    let found: Option<u64> = match state.meta(MetaKey::Identity)? {
        None => None,
        Some(bytes) => Some(
            codec::decode(&bytes)
                .map_err(|error| StoreError::Corrupt { place: "identity", what: error.to_string() })?,
        ),
    };
    if found != Some(lineage) {
        let found = found.map_or_else(|| "nobody".into(), cluster);
        return Err(ReplicaError::Foreign { what: "the state", found, expected: cluster(lineage) });
    }
    Ok(())
}
