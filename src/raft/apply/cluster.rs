//! What the cluster has settled about itself: its feature level, where its members are, and where the leader is to be. One
//! record beside the tuples, written when it changes and never at the first level, where there is nothing to write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Locality, PlaceName};
use crate::raft::{FeatureLevel, Outcome, RaiseLevel, Refusal, codec};
use crate::store::{MetaKey, StateBatch, StateStore, StoreError};

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// What every member supports.
    pub level: FeatureLevel,
    /// Where members are, those that say so.
    pub localities: BTreeMap<u64, Locality>,
    /// Where the leader is to be, if that matters.
    pub home_region: Option<PlaceName>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { level: FeatureLevel::FIRST, localities: BTreeMap::new(), home_region: None }
    }
}

impl ClusterSettings {
    /// Whether a member is where the leader is to be; every member is, where nothing is said of that.
    #[must_use]
    pub fn is_home(&self, node_id: u64) -> bool {
        let region = self.localities.get(&node_id).and_then(|locality| locality.region.as_ref());
        self.home_region.is_none() || region == self.home_region.as_ref()
    }

    /// What a store holds.
    pub(in crate::raft) fn read<S: StateStore>(store: &S) -> Result<Self, StoreError> {
        store.meta(MetaKey::Settings)?.map_or_else(|| Ok(Self::default()), |record| Self::decode(&record))
    }

    /// What a record of [`MetaKey::Settings`] says.
    pub(in crate::raft) fn decode(record: &[u8]) -> Result<Self, StoreError> {
        codec::decode(record).map_err(|e| StoreError::Corrupt { place: "cluster settings", what: e.to_string() })
    }
}

/// Raises the level, if it is still below and the members are those that were asked.
pub(super) fn raise<B: StateBatch>(
    batch: &mut B,
    settings: &mut Arc<ClusterSettings>,
    members: &BTreeSet<u64>,
    raise: &RaiseLevel,
) -> Result<Outcome, StoreError> {
    if raise.to <= settings.level {
        return Ok(Outcome::Refused(Refusal::WrongLevel { current: settings.level }));
    }
    if !members.is_subset(&raise.members) {
        return Ok(Outcome::Refused(Refusal::MembersChanged));
    }
    change(batch, settings, |settings| settings.level = raise.to)
}

/// Says where a member is.
pub(super) fn place<B: StateBatch>(
    batch: &mut B,
    settings: &mut Arc<ClusterSettings>,
    members: &BTreeSet<u64>,
    (node_id, locality): (u64, &Locality),
) -> Result<Outcome, StoreError> {
    if !members.contains(&node_id) {
        return Ok(Outcome::Refused(Refusal::MembersChanged));
    }
    change(batch, settings, |settings| {
        if locality.is_empty() {
            settings.localities.remove(&node_id);
        } else {
            settings.localities.insert(node_id, locality.clone());
        }
    })
}

/// Says where the leader is to be.
pub(super) fn set_home<B: StateBatch>(
    batch: &mut B,
    settings: &mut Arc<ClusterSettings>,
    region: Option<&PlaceName>,
) -> Result<Outcome, StoreError> {
    change(batch, settings, |settings| settings.home_region = region.cloned())
}

/// Forgets where those were that are members no more.
pub(super) fn retain<B: StateBatch>(
    batch: &mut B,
    settings: &mut Arc<ClusterSettings>,
    members: &BTreeSet<u64>,
) -> Result<(), StoreError> {
    change(batch, settings, |settings| settings.localities.retain(|id, _| members.contains(id))).map(drop)
}

fn change<B: StateBatch>(
    batch: &mut B,
    settings: &mut Arc<ClusterSettings>,
    change: impl FnOnce(&mut ClusterSettings),
) -> Result<Outcome, StoreError> {
    let mut next = ClusterSettings::clone(settings);
    change(&mut next);
    if next != **settings {
        batch.put_meta(MetaKey::Settings, &codec::encode_at(next.level, &next))?;
        *settings = Arc::new(next);
    }
    Ok(Outcome::Done)
}
