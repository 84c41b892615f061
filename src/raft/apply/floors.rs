//! The floors of all stores: one record beside the tuples, replaced by compare-and-set. What they demand is none of the log's
//! business.
//!
//! Only those in force are kept, since a floor says what requests of today must meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Floors, Revision, StoreId};
use crate::raft::{Outcome, Refusal, SetFloors, codec};
use crate::store::{MetaKey, StateBatch, StateStore, StoreError};

/// The floors in force, by store. Cheap to copy and to ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FloorTable {
    by_store: BTreeMap<StoreId, Arc<Floors>>,
    none: Arc<Floors>,
}

impl FloorTable {
    /// The floors of `store`.
    #[must_use]
    pub fn of(&self, store: StoreId) -> &Arc<Floors> {
        self.by_store.get(&store).unwrap_or(&self.none)
    }

    /// The floors that `store` holds.
    pub(in crate::raft) fn read<S: StateStore>(store: &S) -> Result<Self, StoreError> {
        let Some(record) = store.meta(MetaKey::Floors)? else { return Ok(Self::default()) };
        let by_store =
            codec::decode(&record).map_err(|e| StoreError::Corrupt { place: "floors", what: e.to_string() })?;
        Ok(Self { by_store, none: Arc::default() })
    }
}

/// Replaces the floors of a store at `at`, if nobody has replaced them since they were looked at.
pub(super) fn set<B: StateBatch>(
    batch: &mut B,
    table: &mut Arc<FloorTable>,
    at: Revision,
    set: &SetFloors,
) -> Result<Outcome, StoreError> {
    let current = table.of(set.store).version;
    if current != set.replaces {
        return Ok(Outcome::Refused(Refusal::FloorsChanged { current }));
    }
    let floors = Floors { version: at, by_type: set.floors.clone() };
    let table = Arc::make_mut(table);
    table.by_store.insert(set.store, Arc::new(floors));
    batch.put_meta(MetaKey::Floors, &codec::encode(&table.by_store))?;
    Ok(Outcome::Done)
}
