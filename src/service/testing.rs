//! A node for tests: a log of one, applied in memory. It can lag, refuse, and let another client's command in first.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Call, ServiceLimits, Services, StalenessBound};
use crate::consistency::{ChangeSource, Changes, Requirement, ViewSource};
use crate::model::{
    Error, ErrorCode, Floors, ObjectRef, RelationName, Revision, StoreId, SubjectRef, TimestampMs, Tuple, TupleKey,
    TupleUpdate, UpdateKind,
};
use crate::raft::{Applied, CommandBody, Propose, ProposeError, WriteSchema, apply_alone, floors_of, wall_clock};
use crate::store::{MemoryStore, ReadView, StateBatch, StateStore};

pub(crate) const LINEAGE: u64 = 0x51;
/// The age up to which the node answers without asking.
pub(crate) const CEILING: Duration = Duration::from_secs(10);
const STORE: StoreId = StoreId::DEFAULT;

/// The schema that most tests use.
pub(crate) const SCHEMA: &str = "
    definition user {}
    definition group { relation member: user }
    definition document {
        relation owner: user
        relation viewer: user | user:* | group#member
        permission view = viewer + owner
    }";

#[derive(Default)]
pub(crate) struct TestNode {
    store: Arc<MemoryStore>,
    /// Follows what is applied.
    mark: watch::Sender<Revision>,
    /// Every view that was asked for, in order.
    pub(crate) asked: Mutex<Vec<Requirement>>,
    /// Commands of others: each view lets one of them in first.
    pub(crate) meanwhile: Mutex<VecDeque<CommandBody>>,
    /// One proposal at a time.
    log: Mutex<()>,
    /// Where minimal latency reads, if not at the end.
    pub(crate) lags_at: Mutex<Option<Revision>>,
    /// The largest leader time, as if it had come with the log.
    pub(crate) cluster_time: Mutex<TimestampMs>,
    /// What becomes of the next proposal instead.
    pub(crate) fails_with: Mutex<Option<ProposeError>>,
    /// Commands of others: each proposal lets one of them in first.
    pub(crate) others: Mutex<VecDeque<CommandBody>>,
}

impl TestNode {
    /// A member with use cases attached.
    pub(crate) fn start() -> (Arc<Self>, Arc<Services>) {
        Self::start_with(Services::new(limits()))
    }

    /// The same, and readers that take nothing are given up soon.
    pub(crate) fn start_impatient() -> (Arc<Self>, Arc<Services>) {
        let mut services = Services::new(limits());
        services.reader_patience = Duration::from_millis(200);
        Self::start_with(services)
    }

    fn start_with(services: Services) -> (Arc<Self>, Arc<Services>) {
        let node = Arc::new(Self::default());
        let services = Arc::new(services);
        services.attach(node.clone(), node.clone(), node.clone());
        services.set_ready(true);
        (node, services)
    }

    pub(crate) fn applied(&self) -> Revision {
        self.store.applied()
    }

    /// Writes a tuple past all rules.
    pub(crate) fn put(&self, tuple: Tuple) {
        let revision = Revision::new(self.store.applied().index() + 1);
        let mut batch = self.store.batch();
        batch.put(STORE, revision, &tuple).expect("writes");
        batch.commit(revision).expect("commits");
    }

    pub(crate) fn apply(&self, body: CommandBody) -> Applied {
        let proposed_at = wall_clock().max(*self.cluster_time.lock());
        let applied = apply_alone(&self.store, proposed_at, body);
        self.mark.send_replace(applied.revision);
        applied
    }
}

impl Propose for TestNode {
    fn propose(&self, body: CommandBody, _: Instant) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        async move {
            let _turn = self.log.lock();
            if let Some(error) = self.fails_with.lock().take() {
                return Err(error);
            }
            if let Some(other) = self.others.lock().pop_front() {
                self.apply(other);
            }
            Ok(self.apply(body))
        }
        .boxed()
    }
}

impl ViewSource for TestNode {
    fn view(
        &self,
        store: StoreId,
        requirement: Requirement,
        _: Instant,
    ) -> BoxFuture<'_, Result<Arc<dyn ReadView>, Error>> {
        self.asked.lock().push(requirement);
        if let Some(other) = self.meanwhile.lock().pop_front() {
            self.apply(other);
        }
        let applied = self.applied();
        let revision = match requirement {
            Requirement::FullyConsistent | Requirement::MaxStaleness { .. } | Requirement::MaxLag(_) => Ok(applied),
            Requirement::MinimizeLatency => Ok(self.lags_at.lock().unwrap_or(applied)),
            Requirement::AtLeastAsFresh(asked) if asked <= applied => {
                Ok(asked.max(self.lags_at.lock().unwrap_or(applied)))
            }
            Requirement::AtExactSnapshot(asked) if asked <= applied => Ok(asked),
            Requirement::AtLeastAsFresh(_) | Requirement::AtExactSnapshot(_) => {
                Err(Error::new(ErrorCode::ZookieFromFuture, "from the future"))
            }
        };
        async move { Ok(self.store.view(store, revision?)?) }.boxed()
    }

    fn floors(&self, store: StoreId) -> Arc<Floors> {
        floors_of(&self.store, store)
    }

    fn ceiling(&self) -> Duration {
        CEILING
    }

    fn lineage(&self) -> u64 {
        LINEAGE
    }

    fn now(&self) -> TimestampMs {
        wall_clock().max(*self.cluster_time.lock())
    }
}

impl ChangeSource for TestNode {
    fn applied_after(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        let mut mark = self.mark.subscribe();
        async move {
            mark.wait_for(|applied| *applied > revision).await.expect("the node outlives what waits for it");
            Ok(())
        }
        .boxed()
    }

    fn remembered(&self, _: StoreId, _: Revision, _: usize) -> Result<Option<Changes>, Error> {
        Ok(None)
    }

    fn changes(&self, store: StoreId, after: Revision, most: usize) -> Result<Changes, Error> {
        let mut told = Changes { records: Vec::new(), through: self.applied() };
        self.store.changes(store, after, told.through, &mut |at, record| {
            if told.records.len() == most {
                told.through = told.records.last().map_or(after, |(last, _)| *last);
                return ControlFlow::Break(());
            }
            told.records.push((at, Arc::new(record)));
            ControlFlow::Continue(())
        })?;
        Ok(told)
    }
}

pub(crate) fn limits() -> ServiceLimits {
    let wait = Duration::from_secs(20);
    ServiceLimits { concurrent_evaluations: 2, evaluation_wait: wait, request_timeout: wait }
}

pub(crate) fn call() -> Call {
    let deadline = Instant::now() + Duration::from_secs(20);
    Call { store: STORE, deadline, stream_deadline: None, staleness: StalenessBound::None }
}

/// `document:a#viewer@user:b`, `…@group:g#member`.
pub(crate) fn key(text: &str) -> TupleKey {
    let (resource, rest) = text.split_once('#').expect("has a relation");
    let (relation, subject) = rest.split_once('@').expect("has a subject");
    let (subject, subject_relation) = subject.split_once('#').unwrap_or((subject, ""));
    let object = |text: &str| text.split_once(':').map(|(kind, id)| (kind.to_owned(), id.to_owned())).expect("type:id");
    let ((resource_type, resource_id), (subject_type, subject_id)) = (object(resource), object(subject));
    TupleKey {
        resource: ObjectRef::new(&resource_type, &resource_id).expect("valid"),
        relation: RelationName::new(relation).expect("valid"),
        subject: SubjectRef::new(&subject_type, &subject_id, subject_relation).expect("valid"),
    }
}

pub(crate) fn update(kind: UpdateKind, text: &str) -> TupleUpdate {
    TupleUpdate { kind, tuple: Tuple::unqualified(key(text)) }
}

/// A write of others that has no condition.
pub(crate) fn schema_change(node: &TestNode, text: &str) -> CommandBody {
    let current = node.store.view(STORE, node.applied()).expect("readable");
    CommandBody::WriteSchema(WriteSchema {
        store: STORE,
        replaces: current.schema().expect("readable").map(|schema| schema.revision),
        orphan_guards: Vec::new(),
        judged_at: current.revision(),
        expired_by: TimestampMs(0),
        text: text.to_owned(),
        request: None,
    })
}
