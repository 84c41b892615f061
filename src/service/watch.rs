//! Watch: what changes, transaction by transaction, in the order of the log, on any node.
//!
//! Invariants: a transaction is told whole or not at all; none is told twice and none is left out between the start and the
//! last token; the token of a message says that everything up to it was told. A watcher that waits costs a task and nothing
//! else; one that takes nothing holds on to its place and to no data, and is told so after a while.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::consistency_request::lost;
use super::evaluate::EvaluationPool;
use super::outlet::{Ended, Outlet};
use super::tuples::guard;
use super::{Call, Services};
use crate::consistency::{ChangeSource, Changes, Kinship, Requirement, Zookie};
use crate::engine::Waiter;
use crate::model::{
    Error, ErrorCode, Revision, StoreId, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName, UpdateKind, limits,
};
use crate::mutants::Mutant;
use crate::store::{ChangeRecord, ReadView};

/// Messages that wait for the reader.
const MESSAGES_AHEAD: usize = 16;
/// Transactions read from the changelog at a time.
const TRANSACTIONS_AT_ONCE: usize = 128;
/// Tuples in one message of a snapshot.
const TUPLES_AT_ONCE: usize = 500;
/// Rows that are passed in one go for it, whether they match or not.
const ROWS_AT_ONCE: usize = if cfg!(test) { 700 } else { 50_000 };
/// At most so many checkpoints a second.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Where to begin.
    pub start: WatchStart,
    /// Only tuples of these resource types; empty for all.
    pub object_types: Vec<TypeName>,
    /// Only tuples that match one of these; empty for all.
    pub filters: Vec<TupleFilter>,
    /// Which kinds of event.
    pub kinds: WatchKinds,
}

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchStart {
    /// With what is written from now on.
    Now,
    /// After the state that the token names.
    After(String),
    /// With all tuples of the latest state, as touches, then what is written after it.
    Snapshot,
}

/// Which kinds of event are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchKinds {
    /// Changes of tuples.
    pub tuples: bool,
    /// Changes of the schema.
    pub schema: bool,
    /// Checkpoints.
    pub checkpoints: bool,
}

/// One message of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A part of the snapshot. No token: a snapshot that broke off begins anew.
    Snapshot {
        /// Tuples that are there, each as a touch.
        updates: Vec<TupleUpdate>,
    },
    /// What one transaction changed, as far as it was asked for.
    Tuples {
        /// In the order of the request that wrote them.
        updates: Vec<TupleUpdate>,
        /// The caller's metadata as JSON text; empty for none.
        metadata_json: String,
        /// The state that it made.
        zookie: Zookie,
    },
    /// The schema was replaced.
    Schema {
        /// The state that has it.
        zookie: Zookie,
    },
    /// Everything up to this state was told.
    Checkpoint {
        /// The state.
        zookie: Zookie,
    },
}

/// The messages of a watch. It ends only with an error, or when it is dropped.
pub type WatchStream = mpsc::Receiver<Result<WatchEvent, Error>>;

impl Services {
    /// Begins to watch. `RevisionExpired` says that the start is older than what is kept.
    pub async fn watch(&self, call: Call, watch: Watch) -> Result<WatchStream, Error> {
        check_shape(&watch)?;
        let lineage = self.lineage()?;
        let requirement = match &watch.start {
            WatchStart::Now | WatchStart::Snapshot => Requirement::FullyConsistent,
            WatchStart::After(token) => {
                let zookie = Zookie::decode(token)?;
                Requirement::AtLeastAsFresh(start_revision(zookie, self.views()?.kinship(zookie)?)?)
            }
        };
        let view = self.view(call, requirement).await?;
        let (schemas, named, filters) = (Arc::clone(&self.schemas), Arc::clone(&view), watch.filters.clone());
        let check_names = move || {
            let ready = schemas.of(call.store, named.as_ref())?;
            filters.iter().try_for_each(|filter| ready.schema().check_filter(filter))
        };
        self.pool.run(call.deadline, check_names).await?;
        let changes = self.changes()?;
        let (from, snapshot) = match (&watch.start, requirement) {
            (WatchStart::After(_), Requirement::AtLeastAsFresh(start)) if Mutant::WatchOffByOne.is_on() => {
                (Revision::new(start.index() + 1), None)
            }
            (WatchStart::After(_), Requirement::AtLeastAsFresh(start)) => (start, None),
            (WatchStart::Snapshot, _) => (view.revision(), Some(view)),
            (WatchStart::Now | WatchStart::After(_), _) => (view.revision(), None),
        };
        // Whoever asks for too old a start hears it at once, and not on the stream.
        let (source, store) = (Arc::clone(&changes), call.store);
        let first = self.pool.run(call.deadline, move || source.changes(store, from, TRANSACTIONS_AT_ONCE)).await?;
        let terms = self.stream_terms(call, "go on after the last token");
        let (outlet, events) = Outlet::new(MESSAGES_AHEAD, terms);
        let watcher = Watcher {
            pool: self.pool.clone(),
            read_timeout: self.limits.request_timeout,
            stopping: self.stopping.clone(),
            changes,
            store,
            lineage,
            wanted: watch,
            clock: self.clock()?,
        };
        tokio::spawn(async move {
            let ended = watcher.run(&outlet, from, snapshot, first).await;
            outlet.end(ended);
        });
        Ok(events)
    }
}

fn check_shape(watch: &Watch) -> Result<(), Error> {
    if !watch.object_types.is_empty() && !watch.filters.is_empty() {
        const MESSAGE: &str = "object types and relationship filters exclude each other; give one of them";
        return Err(Error::new(ErrorCode::InvalidArgument, MESSAGE));
    }
    let (given, most) = (watch.object_types.len().max(watch.filters.len()), limits::WATCH_FILTERS);
    if given > most {
        let message = format!("{given} filters are more than the {most} that one watch may have");
        return Err(Error::new(ErrorCode::InvalidFilter, message));
    }
    watch.filters.iter().try_for_each(guard::check_filter_shape)
}

/// Going on after a token of another cluster would leave changes out or tell wrong ones.
fn start_revision(zookie: Zookie, kinship: Kinship) -> Result<Revision, Error> {
    const MESSAGE: &str = "this token was made by another cluster; begin anew, with a snapshot";
    match kinship {
        Kinship::Shared => Ok(zookie.revision),
        Kinship::Lost { through } => Err(lost(zookie, through)),
        Kinship::Foreign => Err(Error::new(ErrorCode::ForeignZookie, MESSAGE)),
    }
}

type Events = Outlet<WatchEvent>;

struct Watcher {
    pool: EvaluationPool,
    read_timeout: Duration,
    stopping: CancellationToken,
    changes: Arc<dyn ChangeSource>,
    store: StoreId,
    lineage: u64,
    wanted: Watch,
    /// By which the relationships of a snapshot are expired or not when they are told.
    clock: Clock,
}

impl Watcher {
    /// Goes on until there is a reason to end.
    async fn run(
        &self,
        events: &Events,
        from: Revision,
        snapshot: Option<Arc<dyn ReadView>>,
        first: Changes,
    ) -> Result<(), Ended> {
        if let Some(view) = snapshot {
            self.tell_snapshot(events, view).await?;
            // The one token of a snapshot; whoever sees it has all of it.
            self.send(events, WatchEvent::Checkpoint { zookie: self.zookie(from) }).await?;
        }
        let mut told = self.tell(events, first).await?;
        let mut announced = from;
        let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.wanted.kinds.checkpoints && told > announced;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(Some(stopping())),
                ended = events.over() => return Err(ended),
                _ = ticks.tick(), if due => {
                    announced = told;
                    self.send(events, WatchEvent::Checkpoint { zookie: self.zookie(told) }).await?;
                }
                waited = self.changes.applied_after(told) => {
                    waited.map_err(Some)?;
                    let next = self.read(events, told).await?;
                    told = self.tell(events, next).await?;
                }
            }
        }
    }

    async fn read(&self, events: &Events, after: Revision) -> Result<Changes, Ended> {
        if let Some(known) = self.changes.remembered(self.store, after, TRANSACTIONS_AT_ONCE).map_err(Some)? {
            return Ok(known);
        }
        let (source, store) = (Arc::clone(&self.changes), self.store);
        let read = move |_: &Waiter| source.changes(store, after, TRANSACTIONS_AT_ONCE);
        self.step(events, read).await
    }

    /// Does a step of the work, for as long as it is of use. Every watch that is at the end takes one at the same time, so a
    /// full queue of evaluations is no reason to give up.
    async fn step<T, W>(&self, events: &Events, work: W) -> Result<T, Ended>
    where
        T: Send + 'static,
        W: FnOnce(&Waiter) -> Result<T, Error> + Send + 'static,
    {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Some(stopping())),
            done = events.while_read(self.pool.go_on(events.step(self.read_timeout), work)) => done,
        }
    }

    /// Tells of `changes` and returns up to where that goes.
    async fn tell(&self, events: &Events, changes: Changes) -> Result<Revision, Ended> {
        for (at, record) in &changes.records {
            let updates = self.wanted_updates(record);
            if !updates.is_empty() {
                let metadata_json = record.metadata_json.clone();
                self.send(events, WatchEvent::Tuples { updates, metadata_json, zookie: self.zookie(*at) }).await?;
            }
            if record.schema_changed && self.wanted.kinds.schema {
                self.send(events, WatchEvent::Schema { zookie: self.zookie(*at) }).await?;
            }
        }
        Ok(changes.through)
    }

    async fn tell_snapshot(&self, events: &Events, view: Arc<dyn ReadView>) -> Result<(), Ended> {
        let filters = match self.wanted.filters.as_slice() {
            [] if self.wanted.object_types.is_empty() => vec![TupleFilter::default()],
            [] => {
                let of_type = |name: &TypeName| TupleFilter { resource_type: Some(name.clone()), ..Default::default() };
                self.wanted.object_types.iter().map(of_type).collect()
            }
            given => given.to_vec(),
        };
        if !self.wanted.kinds.tuples {
            return Ok(());
        }
        for (position, filter) in filters.iter().enumerate() {
            let mut after = None;
            loop {
                let (view, filter) = (Arc::clone(&view), filter.clone());
                let page = move |_: &Waiter| page_of(view.as_ref(), &filter, after.as_ref());
                let (tuples, next) = self.step(events, page).await?;
                let now = self.clock.now();
                // What an earlier filter matches was told with it.
                let is_new = |Tuple { key, qualifiers }: &Tuple| {
                    !qualifiers.expired(now)
                        && !filters[..position].iter().any(|earlier| earlier.matches_qualified(key, qualifiers))
                };
                let touch = |tuple| TupleUpdate { kind: UpdateKind::Touch, tuple };
                let updates: Vec<TupleUpdate> = tuples.into_iter().filter(is_new).map(touch).collect();
                if !updates.is_empty() {
                    self.send(events, WatchEvent::Snapshot { updates }).await?;
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn wanted_updates(&self, record: &ChangeRecord) -> Vec<TupleUpdate> {
        let Watch { object_types, filters, kinds, start: _ } = &self.wanted;
        let wanted = |update: &&TupleUpdate| {
            let Tuple { key, qualifiers } = &update.tuple;
            (object_types.is_empty() || object_types.contains(&key.resource.object_type))
                && (filters.is_empty() || filters.iter().any(|filter| filter.matches_qualified(key, qualifiers)))
        };
        if kinds.tuples { record.updates.iter().filter(wanted).cloned().collect() } else { Vec::new() }
    }

    fn zookie(&self, revision: Revision) -> Zookie {
        Zookie { lineage: self.lineage, shard: 0, revision }
    }

    async fn send(&self, events: &Events, event: WatchEvent) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Some(stopping())),
            room = events.room() => {
                room?.send(event);
                Ok(())
            }
        }
    }
}

fn stopping() -> Error {
    const MESSAGE: &str = "this node is stopping; go on at another one, after the last token";
    Error::new(ErrorCode::Unavailable, MESSAGE)
}

/// Some tuples, and where to go on behind them; `None` at the end.
fn page_of(
    view: &dyn ReadView,
    filter: &TupleFilter,
    after: Option<&TupleKey>,
) -> Result<(Vec<Tuple>, Option<TupleKey>), Error> {
    let mut page: Vec<Tuple> = Vec::new();
    let passed = view.scan_some(filter, after, ROWS_AT_ONCE, &mut |row| {
        page.push(row.tuple);
        if page.len() < TUPLES_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let full = page.last().filter(|_| page.len() == TUPLES_AT_ONCE);
    let next = full.map(|last| last.key.clone()).or(passed);
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::{LINEAGE, SCHEMA, TestNode, call, update};
    use crate::service::{Services, WriteTuples};

    fn from(start: WatchStart) -> Watch {
        let kinds = WatchKinds { tuples: true, schema: false, checkpoints: false };
        Watch { start, object_types: Vec::new(), filters: Vec::new(), kinds }
    }

    async fn write(services: &Services, text: &str) -> Zookie {
        let updates = vec![update(UpdateKind::Touch, text)];
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid").zookie
    }

    #[tokio::test]
    async fn more_transactions_than_are_read_at_once_are_all_told_in_order() {
        let (_, services) = TestNode::start();
        let start = services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid").zookie;
        let count = 2 * TRANSACTIONS_AT_ONCE + 3;
        for n in 0..count {
            write(&services, &format!("document:d{n}#viewer@user:b")).await;
        }
        let mut events = services.watch(call(), from(WatchStart::After(start.encode()))).await.expect("begins");
        let mut last = start.revision;
        for n in 0..count {
            let event = events.recv().await.expect("goes on").expect("no error");
            let WatchEvent::Tuples { updates, zookie, .. } = event else { panic!("not a transaction: {event:?}") };
            assert_eq!(updates, [update(UpdateKind::Touch, &format!("document:d{n}#viewer@user:b"))]);
            assert!(zookie.revision > last && zookie.lineage == LINEAGE);
            last = zookie.revision;
        }
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_told_and_can_go_on() {
        let (_, services) = TestNode::start_impatient();
        let start = services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let count = 2 * MESSAGES_AHEAD;
        for n in 0..count {
            write(&services, &format!("document:d{n}#viewer@user:b")).await;
        }
        let mut events = services.watch(call(), from(WatchStart::After(start.zookie.encode()))).await.expect("begins");
        while !events.is_closed() {
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        let error = loop {
            match events.recv().await.expect("the last word comes before the end") {
                Ok(WatchEvent::Tuples { zookie, .. }) => told.push(zookie),
                Ok(event) => panic!("not a transaction: {event:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, ErrorCode::ResourceExhausted);
        assert_eq!(events.recv().await, None);
        let resumed = WatchStart::After(told.last().expect("some were told").encode());
        let mut events = services.watch(call(), from(resumed)).await.expect("goes on");
        for _ in told.len()..count {
            events.recv().await.expect("goes on").expect("no error");
        }
    }

    #[tokio::test]
    async fn a_watch_ends_when_its_reader_has_gone() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let before = Arc::strong_count(&node);
        let events = services.watch(call(), from(WatchStart::Now)).await.expect("begins");
        assert!(Arc::strong_count(&node) > before, "a watcher holds on to its node");
        drop(events);
        while Arc::strong_count(&node) > before {
            tokio::task::yield_now().await;
        }
    }
}
