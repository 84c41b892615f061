//! Commands applied without a log, for the tests of those that propose them.

use std::sync::Arc;

use openraft::EntryPayload;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;

use super::apply::{Applier, Apply, FloorTable};
use super::types::{Entry, LogId};
use super::{Applied, Command, CommandBody};
use crate::model::{Floors, StoreId, TimestampMs};
use crate::store::StateStore;

/// Applies `body` to `store` as the next entry of a log, as every node would.
pub(crate) fn apply_alone<S: StateStore>(store: &Arc<S>, proposed_at: TimestampMs, body: CommandBody) -> Applied {
    let index = store.applied().index() + 1;
    let command = Command { op_id: u128::from(index), proposed_at, body };
    let log_id = LogId { leader_id: LeaderId::new(1, 1).to_committed(), index };
    let mut applier = Applier::open(Arc::clone(store)).expect("readable");
    let mut applied = applier.apply(&[Entry { log_id, payload: EntryPayload::Normal(command) }]).expect("writable");
    applied.pop().expect("one for each entry")
}

/// The floors of `id` that are in force in `store`.
pub(crate) fn floors_of<S: StateStore>(store: &Arc<S>, id: StoreId) -> Arc<Floors> {
    let table = FloorTable::read(&**store).expect("readable");
    Arc::clone(table.of(id))
}
