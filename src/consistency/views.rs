//! Views of a replica: one arm a requirement. This match is the whole consistency contract of reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::Instrument as _;

use super::contract::{Kinship, ViewSource};
use super::freshness::Freshness;
use super::requirement::Requirement;
use super::zookie::Zookie;
use crate::model::{Error, ErrorCode, Floors, Revision, StoreId, TimestampMs};
use crate::mutants::Mutant;
use crate::raft::{AppliedMark, FloorTable, Forebear, Moment, ReadIndex, Replica, WallClock, forebears, monotonic};
use crate::store::{ReadView, StateStore};
use crate::telemetry::{METRICS, part_of_trace, seconds};

/// How long a read waits for a revision before it asks the leader whether that revision exists at all.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long one try to catch up may take before it is logged and made anew.
const CATCH_UP_TRY: Duration = Duration::from_secs(10);

/// Gives the views of one node's replica.
pub struct ReplicaViews {
    store: Arc<dyn StateStore>,
    applied: watch::Receiver<AppliedMark>,
    floors: watch::Receiver<Arc<FloorTable>>,
    read_index: ReadIndex,
    clock: Arc<dyn WallClock>,
    removed: watch::Receiver<bool>,
    lineage: u64,
    freshness: Freshness,
    ceiling: Duration,
    freshness_poll: Duration,
}

/// How a node keeps its own state fresh.
#[derive(Debug, Clone, Copy)]
pub struct FreshnessOptions {
    /// The oldest state that a read without any demand is answered from.
    pub ceiling: Duration,
    /// How often the age of the state is made certain, if no read does it before.
    pub poll: Duration,
}

impl ReplicaViews {
    /// Views of `replica`.
    #[must_use]
    pub fn new(replica: &Replica, options: FreshnessOptions) -> Self {
        Self {
            store: Arc::clone(replica.store()),
            applied: replica.applied(),
            floors: replica.floors(),
            read_index: replica.read_index().clone(),
            clock: Arc::clone(replica.clock()),
            removed: replica.removed(),
            lineage: replica.lineage(),
            freshness: Freshness::default(),
            ceiling: options.ceiling,
            freshness_poll: options.poll,
        }
    }

    /// Waits until this node has applied everything that was committed when it started, as a quorum confirms. A node that
    /// was away knows nothing of what it missed, and its latest state may be days old: until then it gives no view whose
    /// freshness is its own to judge.
    pub async fn catch_up(&self) {
        loop {
            match self.confirm(monotonic() + CATCH_UP_TRY).await {
                Ok(revision) => {
                    tracing::info!(%revision, "caught up with the cluster");
                    return;
                }
                Err(error) => tracing::info!(%error, "not caught up with the cluster yet"),
            }
        }
    }

    /// How old this node's state may be at most; `None` while that is not certain.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.freshness.age()
    }

    /// Whether a read without any demand is answered from this node's own state.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        !*self.removed.borrow() && self.freshness.is_within(self.ceiling)
    }

    /// Asks for confirmation again and again, so that reads within a bound find it already there. Ends with the replica.
    pub async fn keep_fresh(&self) {
        let mut ticks = tokio::time::interval(self.freshness_poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.applied.has_changed().is_ok() {
            ticks.tick().await;
            // A failure is heard by the reads that need it: they ask for themselves.
            let _ = self.confirm(monotonic() + CATCH_UP_TRY).await;
        }
    }

    /// A node that was removed learns of nothing any more: what it has is no answer, however it is asked.
    fn is_member(&self) -> Result<(), Error> {
        match *self.removed.borrow() {
            false => Ok(()),
            true => Err(Error::new(ErrorCode::Unavailable, "this node was removed from the cluster; ask another one")),
        }
    }

    /// Makes sure that this node has applied everything that was acknowledged before the call.
    async fn confirm(&self, deadline: Instant) -> Result<Revision, Error> {
        let asked = Moment::now();
        let confirmed = self.read_index.get(deadline).await?;
        let revision = self.applied_at_least(confirmed, deadline).await?;
        self.freshness.confirm(asked);
        Ok(revision)
    }

    /// The latest revision, no older than `bound`.
    async fn within(&self, bound: Duration, local_only: bool, deadline: Instant) -> Result<Revision, Error> {
        if self.freshness.is_within(bound) {
            return Ok(self.applied.borrow().revision);
        }
        if !local_only {
            return self.confirm(deadline).await;
        }
        let age = self.freshness.age().map_or("of unknown age".to_owned(), |age| format!("up to {age:?} old"));
        let message = format!("the state of this node is {age}, and the request allows {bound:?}; ask another node");
        Err(Error::new(ErrorCode::Unavailable, message))
    }

    /// The revision to read at: never below what the requirement demands.
    async fn revision(&self, requirement: Requirement, deadline: Instant) -> Result<Revision, Error> {
        match requirement {
            Requirement::FullyConsistent if Mutant::LocalToken.is_on() => Ok(self.applied.borrow().revision),
            Requirement::FullyConsistent => self.confirm(deadline).await,
            Requirement::AtLeastAsFresh(revision) => self.reached(revision, deadline).await,
            Requirement::AtExactSnapshot(revision) => {
                self.reached(revision, deadline).await?;
                Ok(revision)
            }
            Requirement::MaxStaleness { bound, local_only } => self.within(bound, local_only, deadline).await,
            Requirement::MaxLag(entries) => {
                let confirmed = self.read_index.get(deadline).await?;
                let oldest = Revision::new(confirmed.index().saturating_sub(entries));
                self.applied_at_least(oldest, deadline).await
            }
            Requirement::MinimizeLatency => self.within(self.ceiling, false, deadline).await,
        }
    }

    /// Waits for a revision that a client claims to have seen. One that the cluster never made is told apart from one that
    /// this node has yet to apply.
    async fn reached(&self, revision: Revision, deadline: Instant) -> Result<Revision, Error> {
        if Mutant::SkipWait.is_on() {
            return Ok(self.applied.borrow().revision);
        }
        let patience = deadline.min(monotonic() + PATIENCE);
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
        let span = part_of_trace!("wait until applied", quorate.index = revision.index());
        // Mostly it is there already, and no timer is needed.
        let here = span.in_scope(|| self.applied.borrow().revision);
        if here >= revision {
            return Ok(here);
        }
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|mark| mark.revision >= revision).instrument(span);
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
            self.is_member()?;
            let begin = Instant::now();
            let found = self.revision(requirement, deadline).await;
            METRICS.freshness_wait.observe(seconds(begin.elapsed()));
            let revision = match (requirement, found?) {
                (Requirement::AtExactSnapshot(_), revision) => revision,
                // Any later state will do, and a process that was paused just now may need one.
                (
                    Requirement::FullyConsistent
                    | Requirement::AtLeastAsFresh(_)
                    | Requirement::MaxStaleness { .. }
                    | Requirement::MaxLag(_)
                    | Requirement::MinimizeLatency,
                    revision,
                ) => revision.max(self.store.oldest()),
            };
            // Once more: it may have been removed while this read waited.
            self.is_member()?;
            Ok(self.store.view(store, revision)?)
        }
        .boxed()
    }

    fn floors(&self, store: StoreId) -> Arc<Floors> {
        Arc::clone(self.floors.borrow().of(store))
    }

    fn ceiling(&self) -> Duration {
        self.ceiling
    }

    fn lineage(&self) -> u64 {
        self.lineage
    }

    fn kinship(&self, zookie: Zookie) -> Result<Kinship, Error> {
        if zookie.lineage == self.lineage {
            return Ok(Kinship::Shared);
        }
        // What came before this cluster is part of its state: a node without any does not know it.
        if self.store.applied() == Revision::ZERO {
            const MESSAGE: &str = "this node has nothing of its cluster yet; ask another one";
            return Err(Error::new(ErrorCode::Unavailable, MESSAGE));
        }
        let kin = forebears(&*self.store)?.into_iter().rfind(|forebear| forebear.lineage == zookie.lineage);
        Ok(match kin {
            None => Kinship::Foreign,
            Some(Forebear { through, .. }) if zookie.revision <= through => Kinship::Shared,
            Some(Forebear { through, .. }) => Kinship::Lost { through },
        })
    }

    fn now(&self) -> TimestampMs {
        self.clock.now().max(self.applied.borrow().cluster_time)
    }
}
