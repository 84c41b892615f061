//! Commands applied without a log, for the tests of those that propose them; and replicas that elect quickly.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::EntryPayload;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;

use super::apply::{Applier, Apply, FloorTable};
use super::types::{Entry, LogId};
use super::{Announcement, Applied, Command, CommandBody, HistoryOptions, Membership, ReplicaOptions};
use crate::model::{Floors, StoreId, TimestampMs};
use crate::store::{StateStore, StoreOptions};

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

/// A replica in `dir` that announces nothing, and keeps nothing of its log behind a snapshot.
pub(super) fn quick_replica(dir: &Path, membership: Membership) -> ReplicaOptions {
    ReplicaOptions {
        dir: dir.to_owned(),
        membership,
        heartbeat: Duration::from_millis(50),
        election_timeout: (Duration::from_millis(400), Duration::from_millis(800)),
        snapshot_after_entries: 1000,
        keep_entries: 0,
        waiting_writes: 16,
        history: HistoryOptions { retain: Duration::from_secs(60), retain_entries: 1000 },
        store: StoreOptions::default(),
        announcement: Announcement::none(),
    }
}
