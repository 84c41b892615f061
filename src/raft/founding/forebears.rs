//! The clusters whose zookies still mean something here: those that this one was restored from, where its operator kept them.
//!
//! A zookie of one of them names an index up to that of the backup, and the same state there. Beyond it, this cluster's indexes
//! stand for other entries: what such a zookie saw is lost, and no state of this cluster will ever contain it. The new lineage
//! in every zookie of this cluster tells the two apart, so an index is never taken for the other one's.

use serde::{Deserialize, Serialize};

use crate::model::Revision;
use crate::raft::codec;
use crate::store::{MetaKey, StateStore, StoreError};

/// The most that are remembered; the oldest go first.
const MOST: usize = 16;

/// A cluster that this one goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forebear {
    /// Its lineage.
    pub lineage: u64,
    /// The last index that both share.
    pub through: Revision,
}

/// Those of the cluster whose state is in `store`, the oldest first.
pub fn forebears(store: &dyn StateStore) -> Result<Vec<Forebear>, StoreError> {
    let Some(record) = store.meta(MetaKey::Cluster)? else { return Ok(Vec::new()) };
    codec::decode(&record).map_err(|error| StoreError::Corrupt { place: "forebears", what: error.to_string() })
}

/// The record of a cluster that goes on from `last`, which had `before`.
pub(super) fn record(mut before: Vec<Forebear>, last: Option<Forebear>) -> Vec<u8> {
    before.extend(last);
    let spare = before.len().saturating_sub(MOST);
    codec::encode(&before.split_off(spare))
}
