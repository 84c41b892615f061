//! The task that lets history go: every node notes how far it is, the one that leads proposes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::retention::{HistoryOptions, Retention};
use crate::model::Revision;
use crate::raft::clock::monotonic;
use crate::raft::leader::LeaderWatch;
use crate::raft::propose::Proposer;
use crate::raft::{AppliedMark, CommandBody};
use crate::store::{StateStore, StoreError};

/// How long one proposal is waited for before the next: a leader without a majority must not pile them up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the task works with.
pub(in crate::raft) struct Advance {
    pub(in crate::raft) options: HistoryOptions,
    pub(in crate::raft) node_id: u64,
    pub(in crate::raft) store: Arc<dyn StateStore>,
    pub(in crate::raft) applied: watch::Receiver<AppliedMark>,
    pub(in crate::raft) leader: LeaderWatch,
    pub(in crate::raft) proposer: Arc<Proposer>,
}

impl Advance {
    /// Goes on for as long as it is polled.
    pub(in crate::raft) async fn run(self) {
        let mut retention = Retention::new(self.options);
        let mut ticks = tokio::time::interval(self.options.note_every());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let applied = self.applied.borrow().revision;
            let oldest = retention.note(monotonic(), applied);
            let leads = self.leader.current().is_some_and(|(leader, _)| leader == self.node_id);
            if !leads {
                continue;
            }
            match self.worthwhile(oldest) {
                Ok(true) => self.propose(oldest).await,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "cannot tell whether there is history to let go of"),
            }
        }
    }

    /// Whether there is enough to let go of: an idle cluster must not fill its log with watermarks.
    fn worthwhile(&self, oldest: Revision) -> Result<bool, StoreError> {
        let current = self.store.oldest();
        let enough = oldest.index().saturating_sub(current.index()) >= self.options.at_a_time();
        Ok(enough && self.store.changed_within(current, oldest)?)
    }

    async fn propose(&self, oldest: Revision) {
        let body = CommandBody::AdvanceWatermark { oldest };
        // Not proposed, or proposed and of unknown outcome: the next time does as well.
        match tokio::time::timeout(PATIENCE, self.proposer.propose_here(rand::random(), body)).await {
            Ok(Ok(Ok(_))) => tracing::info!(%oldest, "history below this revision is no longer readable"),
            Ok(Ok(Err(error))) => tracing::info!(%error, %oldest, "history was not let go of"),
            Ok(Err(_)) => tracing::debug!(%oldest, "history was not let go of: the leader changed"),
            Err(_) => tracing::info!(%oldest, "history was not let go of: no majority confirmed it in time"),
        }
    }
}
