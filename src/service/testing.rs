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
    Counter, Error, ErrorCode, ObjectRef, Precondition, PreconditionKind, RelationName, Revision, StoreId, SubjectRef,
    TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, UpdateKind,
};
use crate::raft::{
    Applied, ChangeCounter, CommandBody, DeleteTuples, Outcome, Propose, ProposeError, Refusal, WriteSchema,
    WriteTuples,
};
use crate::store::{ChangeRecord, MemoryStore, ReadView, StateBatch, StateStore};

pub(crate) const LINEAGE: u64 = 0x51;
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
    store: MemoryStore,
    /// Follows what is applied.
    mark: watch::Sender<Revision>,
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
        services.mark_ready();
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
        let before = self.store.view(STORE, self.store.applied()).expect("readable");
        let revision = Revision::new(self.store.applied().index() + 1);
        let mut batch = self.store.batch();
        let outcome = match body {
            CommandBody::WriteTuples(write) => write_tuples(before.as_ref(), &mut batch, revision, write),
            CommandBody::DeleteTuples(delete) => delete_tuples(before.as_ref(), &mut batch, revision, delete),
            CommandBody::WriteSchema(write) => write_schema(before.as_ref(), &mut batch, revision, write),
            CommandBody::ChangeCounter(change) => change_counter(&mut batch, revision, change),
            CommandBody::AdmitNode(_) => Outcome::Admitted { node_id: 1 },
        };
        batch.commit(revision).expect("commits");
        self.mark.send_replace(revision);
        Applied { revision, outcome }
    }
}

fn first_match(view: &dyn ReadView, filter: &TupleFilter) -> Option<TupleKey> {
    let mut found = None;
    view.scan(filter, None, &mut |row| {
        found = Some(row.tuple.key);
        ControlFlow::Break(())
    })
    .expect("scans");
    found
}

fn failed_precondition(view: &dyn ReadView, preconditions: &[Precondition]) -> Option<Outcome> {
    let position = preconditions.iter().position(|precondition| {
        let matched = first_match(view, &precondition.filter).is_some();
        matched != (precondition.kind == PreconditionKind::MustMatch)
    })?;
    Some(Outcome::Refused(Refusal::PreconditionFailed { position: u32::try_from(position).expect("few") }))
}

fn schema_revision(view: &dyn ReadView) -> Option<Revision> {
    view.schema().expect("readable").map(|schema| schema.revision)
}

fn write_tuples(view: &dyn ReadView, batch: &mut impl StateBatch, at: Revision, write: WriteTuples) -> Outcome {
    let current = schema_revision(view);
    if current != Some(write.schema_revision) {
        return Outcome::Refused(Refusal::SchemaChanged { current });
    }
    if let Some(failed) = failed_precondition(view, &write.preconditions) {
        return failed;
    }
    let exists = |update: &&TupleUpdate| view.lookup(&update.tuple.key).expect("readable").is_some();
    if let Some(update) = write.updates.iter().filter(|update| update.kind == UpdateKind::Create).find(exists) {
        return Outcome::Refused(Refusal::AlreadyExists { key: update.tuple.key.clone() });
    }
    for TupleUpdate { kind, tuple } in &write.updates {
        match kind {
            UpdateKind::Create | UpdateKind::Touch => batch.put(STORE, at, tuple).expect("writes"),
            UpdateKind::Delete => batch.delete(STORE, at, &tuple.key).expect("writes"),
        }
    }
    let (updates, metadata_json) = (write.updates, write.metadata_json);
    let change = ChangeRecord { op_id: 0, updates, schema_changed: false, metadata_json };
    batch.put_change(STORE, at, &change).expect("writes");
    Outcome::Done
}

fn delete_tuples(view: &dyn ReadView, batch: &mut impl StateBatch, at: Revision, delete: DeleteTuples) -> Outcome {
    if let Some(failed) = failed_precondition(view, &delete.preconditions) {
        return failed;
    }
    let mut keys = Vec::new();
    view.scan(&delete.filter, None, &mut |row| {
        keys.push(row.tuple.key);
        ControlFlow::Continue(())
    })
    .expect("scans");
    let limit = usize::try_from(delete.limit).expect("small");
    let partial = keys.len() > limit;
    if partial && !delete.allow_partial {
        return Outcome::Refused(Refusal::TooManyDeletes { limit: delete.limit });
    }
    keys.truncate(limit);
    for key in &keys {
        batch.delete(STORE, at, key).expect("writes");
    }
    Outcome::Deleted { count: keys.len() as u64, partial }
}

fn write_schema(view: &dyn ReadView, batch: &mut impl StateBatch, at: Revision, write: WriteSchema) -> Outcome {
    let current = schema_revision(view);
    if current != write.replaces {
        return Outcome::Refused(Refusal::SchemaChanged { current });
    }
    for (position, guard) in write.orphan_guards.iter().enumerate() {
        if let Some(example) = first_match(view, guard) {
            let position = u32::try_from(position).expect("few");
            return Outcome::Refused(Refusal::WouldOrphan { position, example });
        }
    }
    batch.put_schema(STORE, at, &write.text).expect("writes");
    Outcome::Done
}

fn change_counter(batch: &mut impl StateBatch, at: Revision, change: ChangeCounter) -> Outcome {
    let mut counters = batch.counters(STORE).expect("readable");
    let place = counters.iter().position(|counter| counter.name == change.name);
    match (place, change.filter) {
        (Some(_), Some(_)) => return Outcome::Refused(Refusal::CounterExists),
        (None, None) => return Outcome::Refused(Refusal::UnknownCounter),
        (None, Some(filter)) => counters.push(Counter { name: change.name, filter }),
        (Some(place), None) => drop(counters.remove(place)),
    }
    batch.put_counters(STORE, at, &counters).expect("writes");
    Outcome::Done
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

    fn lineage(&self) -> u64 {
        LINEAGE
    }

    fn cluster_time(&self) -> TimestampMs {
        *self.cluster_time.lock()
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
    ServiceLimits { concurrent_evaluations: 2, request_timeout: Duration::from_secs(20) }
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
        replaces: schema_revision(current.as_ref()),
        orphan_guards: Vec::new(),
        text: text.to_owned(),
    })
}
