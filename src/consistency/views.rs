//! Views of a replica: one arm a requirement. This match is the whole consistency contract of reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::contract::ViewSource;
use super::requirement::Requirement;
use crate::model::{Error, ErrorCode, Revision, StoreId, TimestampMs};
use crate::raft::{AppliedMark, ReadIndex, Replica};
use crate::store::{ReadView, RocksStore, StateStore};

/// How long a read waits for a revision before it asks the leader whether that revision exists at all.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long one try to catch up may take before it is logged and made anew.
const CATCH_UP_TRY: Duration = Duration::from_secs(10);

/// Gives the views of one node's replica.
pub struct ReplicaViews {
    store: Arc<RocksStore>,
    applied: watch::Receiver<AppliedMark>,
    read_index: ReadIndex,
    lineage: u64,
    caught_up: watch::Sender<bool>,
}

impl ReplicaViews {
    /// Views of `replica`.
    #[must_use]
    pub fn new(replica: &Replica) -> Self {
        Self {
            store: Arc::clone(replica.store()),
            applied: replica.applied(),
            read_index: replica.read_index().clone(),
            lineage: replica.lineage(),
            caught_up: watch::Sender::new(false),
        }
    }

    /// Waits until this node has applied everything that was committed when it started, as a quorum confirms. A node that
    /// was away knows nothing of what it missed, and its latest state may be days old: until then it gives no view whose
    /// freshness is its own to judge.
    pub async fn catch_up(&self) {
        loop {
            let deadline = Instant::now() + CATCH_UP_TRY;
            let caught_up = match self.read_index.get(deadline).await {
                Ok(confirmed) => self.applied_at_least(confirmed, deadline).await,
                Err(error) => Err(error),
            };
            match caught_up {
                Ok(revision) => {
                    tracing::info!(%revision, "caught up with the cluster");
                    self.caught_up.send_replace(true);
                    return;
                }
                Err(error) => tracing::info!(%error, "not caught up with the cluster yet"),
            }
        }
    }

    async fn wait_until_caught_up(&self, deadline: Instant) -> Result<(), Error> {
        let mut caught_up = self.caught_up.subscribe();
        let waited = tokio::time::timeout_at(deadline.into(), caught_up.wait_for(|done| *done)).await;
        if matches!(waited, Ok(Ok(_))) {
            return Ok(());
        }
        let message =
            "this node has just started and has not caught up with its cluster yet; try another node, or later";
        Err(Error::new(ErrorCode::Unavailable, message))
    }

    /// The revision to read at: never below what the requirement demands.
    async fn revision(&self, requirement: Requirement, deadline: Instant) -> Result<Revision, Error> {
        match requirement {
            Requirement::FullyConsistent => {
                let confirmed = self.read_index.get(deadline).await?;
                self.applied_at_least(confirmed, deadline).await
            }
            Requirement::AtLeastAsFresh(revision) => self.reached(revision, deadline).await,
            Requirement::AtExactSnapshot(revision) => {
                self.reached(revision, deadline).await?;
                Ok(revision)
            }
            Requirement::MinimizeLatency => {
                self.wait_until_caught_up(deadline).await?;
                Ok(self.applied.borrow().revision)
            }
        }
    }

    /// Waits for a revision that a client claims to have seen. One that the cluster never made is told apart from one that
    /// this node has yet to apply.
    async fn reached(&self, revision: Revision, deadline: Instant) -> Result<Revision, Error> {
        let patience = deadline.min(Instant::now() + PATIENCE);
        if let Ok(applied) = self.applied_at_least(revision, patience).await {
            return Ok(applied);
        }
        let confirmed = self.read_index.get(deadline).await?;
        if revision > confirmed {
            let message = format!(
                "the zookie names revision {revision} and the cluster has only reached {confirmed}: it was not made by this \
                 cluster, or the cluster lost data"
            );
            return Err(Error::new(ErrorCode::ZookieFromFuture, message));
        }
        self.applied_at_least(revision, deadline).await
    }

    async fn applied_at_least(&self, revision: Revision, deadline: Instant) -> Result<Revision, Error> {
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|mark| mark.revision >= revision);
        match tokio::time::timeout_at(deadline.into(), reached).await {
            Ok(Ok(mark)) => Ok(mark.revision),
            Ok(Err(_)) => Err(Error::new(ErrorCode::Unavailable, "this node is stopping")),
            Err(_) => {
                let at = self.applied.borrow().revision;
                let message =
                    format!("this node has applied revision {at} and did not reach {revision} before the deadline");
                Err(Error::new(ErrorCode::Unavailable, message))
            }
        }
    }
}

impl ViewSource for ReplicaViews {
    fn view(
        &self,
        store: StoreId,
        requirement: Requirement,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Arc<dyn ReadView>, Error>> {
        async move {
            let revision = self.revision(requirement, deadline).await?;
            Ok(self.store.view(store, revision)?)
        }
        .boxed()
    }

    fn lineage(&self) -> u64 {
        self.lineage
    }

    fn cluster_time(&self) -> TimestampMs {
        self.applied.borrow().cluster_time
    }
}
