//! What all use cases share: the seams that they work through, the compiled schemas and the evaluation pool.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Consistency;
use super::clock::Clock;
use super::cursor::{Cursor, Digest, Place};
use super::evaluate::EvaluationPool;
use super::floors::Basis;
use super::outlet::Terms;
use super::queue_wait::Door;
use super::schema_cache::SchemaCache;
use super::staleness::StalenessBound;
use crate::audit::note_view;
use crate::consistency::{ChangeSource, Demand, Requirement, Scope, ViewSource, Zookie};
use crate::model::{Error, ErrorCode, Revision, StoreId, TimestampMs, limits};
use crate::raft::{Applied, CommandBody, Propose};
use crate::store::ReadView;
use crate::telemetry::{METRICS, note_consistency, note_index};

/// A reader of a stream that takes nothing for so long is given up.
const READER_PATIENCE: Duration = Duration::from_secs(60);

/// Bounds of a node that an operator can set.
#[derive(Debug, Clone, Copy)]
pub struct ServiceLimits {
    /// Evaluations that run at the same time. For 0, each runs on the thread that asks for it: where one thread decides the
    /// order of everything, as in a simulation.
    pub concurrent_evaluations: usize,
    /// How long an evaluation may wait for its turn when many come at once; a tenth of it while they do not stop coming.
    pub evaluation_wait: Duration,
    /// How long one request may take where the client sets no deadline, and one page of a long read always.
    pub request_timeout: Duration,
}

/// What a request brings besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The store that it speaks of.
    pub store: StoreId,
    /// When its answer is no longer of use.
    pub deadline: Instant,
    /// When a stream that answers it must have ended; `None` where it may go on for as long as it is read.
    pub stream_deadline: Option<Instant>,
    /// How old it may be, whatever else it asks for.
    pub staleness: StalenessBound,
}

/// The use cases. Made when the node starts, so that the public API can listen; a node that is not a member of a cluster yet
/// answers everything with `Unavailable` until [`Services::attach`].
pub struct Services {
    member: OnceLock<Member>,
    ready: watch::Sender<bool>,
    pub(super) stopping: CancellationToken,
    pub(super) schemas: Arc<SchemaCache>,
    pub(super) pool: EvaluationPool,
    pub(super) limits: ServiceLimits,
    pub(super) reader_patience: Duration,
    /// A permit for each import under way.
    pub(super) imports: Semaphore,
}

/// What a node has once it is a member.
struct Member {
    views: Arc<dyn ViewSource>,
    log: Arc<dyn Propose>,
    changes: Arc<dyn ChangeSource>,
}

/// The name of what a request demands: where there are several steps, of the one that costs most.
fn strictest(steps: &[Requirement]) -> &'static str {
    let name = |step: &Requirement| match step {
        Requirement::FullyConsistent => (5, "full"),
        Requirement::MaxLag(_) => (4, "max_lag"),
        Requirement::AtExactSnapshot(_) => (3, "exact"),
        Requirement::AtLeastAsFresh(_) => (2, "fresh"),
        Requirement::MaxStaleness { .. } => (1, "max_staleness"),
        Requirement::MinimizeLatency => (0, "minimize"),
    };
    steps.iter().map(name).max().map_or("none", |(_, name)| name)
}

impl Services {
    /// The use cases of a node that is not a member yet.
    #[must_use]
    pub fn new(limits: ServiceLimits) -> Self {
        Self {
            member: OnceLock::new(),
            ready: watch::Sender::new(false),
            stopping: CancellationToken::new(),
            schemas: Arc::new(SchemaCache::default()),
            pool: EvaluationPool::new(limits.concurrent_evaluations, limits.evaluation_wait),
            limits,
            reader_patience: READER_PATIENCE,
            imports: Semaphore::new(limits::CONCURRENT_IMPORTS),
        }
    }

    /// Connects the node's own parts, once it is a member of a cluster. Only the first call has an effect: a node never
    /// changes its cluster.
    pub fn attach(&self, views: Arc<dyn ViewSource>, log: Arc<dyn Propose>, changes: Arc<dyn ChangeSource>) {
        // A second call would come from the same node; the first parts stay in place.
        let _ = self.member.set(Member { views, log, changes });
    }

    /// Says whether requests are welcome from now on.
    pub fn set_ready(&self, ready: bool) {
        self.ready.send_if_modified(|known| std::mem::replace(known, ready) != ready);
    }

    /// Whether requests are welcome, now and from now on.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Where requests that are evaluated can be refused before they are read.
    #[must_use]
    pub fn door(&self) -> Door {
        self.pool.door()
    }

    /// How long a request may take where the client does not say.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.limits.request_timeout
    }

    /// What holds for a stream that answers `call`; whoever is given up hears the advice.
    pub(super) fn stream_terms(&self, call: Call, advice: &'static str) -> Terms {
        Terms { deadline: call.stream_deadline, patience: self.reader_patience, advice }
    }

    fn member(&self) -> Result<&Member, Error> {
        const MESSAGE: &str = "this node is not a member of a cluster yet: run `quorate cluster init` or \
                               `quorate cluster join`";
        self.member.get().ok_or_else(|| Error::new(ErrorCode::Unavailable, MESSAGE))
    }

    pub(super) fn views(&self) -> Result<&Arc<dyn ViewSource>, Error> {
        Ok(&self.member()?.views)
    }

    pub(super) async fn view(&self, call: Call, requirement: Requirement) -> Result<Arc<dyn ReadView>, Error> {
        let ceiling = self.views()?.ceiling();
        let demand = Demand::unraised(requirement, call.staleness.requirement()?, ceiling);
        self.view_by_steps(call, &demand).await
    }

    /// A view that satisfies all of `demand`.
    pub(super) async fn view_by_steps(&self, call: Call, demand: &Demand) -> Result<Arc<dyn ReadView>, Error> {
        let views = self.views()?;
        note_consistency(strictest(&demand.steps));
        let mut view = None;
        for step in &demand.steps {
            view = Some(views.view(call.store, *step, call.deadline).await?);
        }
        let view = view.expect("a demand has a step");
        note_view(view.revision().index());
        note_index(view.revision().index());
        Ok(view)
    }

    pub(super) async fn propose(&self, call: Call, body: CommandBody) -> Result<Applied, Error> {
        let applied = self.member()?.log.propose(body, call.deadline).await?;
        METRICS.writes.inc();
        Ok(applied)
    }

    /// The view that a stream is about, and behind what it goes on: a cursor names an exact state, whatever consistency is
    /// asked for beside it. That of the first page met the floors of its moment, and the later pages stay with it.
    pub(super) async fn resume_stream(
        &self,
        call: Call,
        consistency: &Consistency,
        cursor: Option<&str>,
        digest: Digest,
        scope: Scope<'_>,
    ) -> Result<(Basis, Option<Place>), Error> {
        let Some(token) = cursor else {
            return Ok((self.basis(call, consistency, scope).await?, None));
        };
        let cursor = Cursor::decode(token)?;
        cursor.belongs(self.lineage()?, digest)?;
        let view = self.view(call, Requirement::AtExactSnapshot(cursor.revision)).await?;
        let zookie = self.zookie(view.revision())?;
        Ok((Basis { view, zookie, raised: None }, Some(cursor.after)))
    }

    pub(super) fn changes(&self) -> Result<Arc<dyn ChangeSource>, Error> {
        Ok(Arc::clone(&self.member()?.changes))
    }

    /// Says that this node stops: what would go on without an end is ended.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    pub(super) fn clock(&self) -> Result<Clock, Error> {
        Ok(Clock(Arc::clone(&self.member()?.views)))
    }

    /// The time by which expiration is judged.
    pub(super) fn now(&self) -> Result<TimestampMs, Error> {
        Ok(self.clock()?.now())
    }

    pub(super) fn lineage(&self) -> Result<u64, Error> {
        Ok(self.member()?.views.lineage())
    }

    /// What a client's consistency means in this cluster.
    pub(super) fn requirement(&self, consistency: &Consistency) -> Result<Requirement, Error> {
        let views = self.views()?;
        consistency.requirement(|zookie| views.kinship(zookie))
    }

    pub(super) fn zookie(&self, revision: Revision) -> Result<Zookie, Error> {
        Ok(Zookie { lineage: self.lineage()?, shard: 0, revision })
    }
}
