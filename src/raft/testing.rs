//! Commands applied without a log, for the tests of those that propose them; replicas that elect quickly; and a network that
//! says what a test wants.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::EntryPayload;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;
use tokio_stream::wrappers::ReceiverStream;

use super::apply::{Applier, Apply, FloorTable};
use super::types::{Entry, LogId};
use super::{
    Announcement, Applied, CallError, Command, CommandBody, HistoryOptions, Membership, ReplicaOptions, Rpc, Transport,
};
use crate::model::{Floors, StoreId, TimestampMs};
use crate::store::{StateStore, StoreOptions};
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};

/// Applies `body` to `store` as the next entry of a log, as every node would.
pub(crate) fn apply_alone<S: StateStore>(store: &Arc<S>, proposed_at: TimestampMs, body: CommandBody) -> Applied {
    let index = store.applied().index() + 1;
    let command = Command { op_id: u128::from(index), proposed_at, body: Arc::new(body) };
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

/// Answers every message as a function says.
pub(super) struct Answers<F>(pub(super) F);

impl<F> Transport for Answers<F>
where
    F: Fn(Rpc, String, Envelope) -> BoxFuture<'static, Result<Reply, CallError>> + Send + Sync + 'static,
{
    fn call(&self, rpc: Rpc, address: &str, envelope: Envelope) -> BoxFuture<'_, Result<Reply, CallError>> {
        (self.0)(rpc, address.to_owned(), envelope)
    }

    fn send_snapshot(&self, address: &str, _: ReceiverStream<SnapshotPart>) -> BoxFuture<'_, Result<Reply, CallError>> {
        self.call(Rpc::Snapshot, address, Envelope::default())
    }

    fn reconnect(&self, _: Rpc, _: &str) {}
}
