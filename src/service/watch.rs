//! Watch: what changes, transaction by transaction, in the order of the log, on any node.
//!
//! Invariants: a transaction is told whole or not at all; none is told twice and none is left out between the start and the
//! last token; the token of a message says that everything up to it was told. A watcher that waits costs a task and nothing
//! else; one that takes nothing holds on to its place and to no data, and is told so after a while.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::evaluate::EvaluationPool;
use super::tuples::guard;
use super::{Call, Services};
use crate::consistency::{ChangeSource, Changes, Requirement, Zookie};
use crate::model::{
    Error, ErrorCode, Revision, StoreId, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName, UpdateKind,
    limits,
};
use crate::mutants::Mutant;
use crate::store::{ChangeRecord, ReadView};

/// Messages that wait for the reader.
const MESSAGES_AHEAD: usize = 16;
/// Transactions read from the changelog at a time.
const TRANSACTIONS_AT_ONCE: usize = 128;
/// Tuples in one message of a snapshot.
const TUPLES_AT_ONCE: usize = 500;
/// At most so many checkpoints a second.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// A reader that takes nothing for so long is given up.
const STALLED_READER: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(60) };

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
            WatchStart::After(token) => Requirement::AtLeastAsFresh(start_revision(token, lineage)?),
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
        let (sender, events) = mpsc::channel(MESSAGES_AHEAD + 1);
        let last_word = sender.clone().try_reserve_owned().expect("a new channel has room");
        let watcher = Watcher {
            pool: self.pool.clone(),
            read_timeout: self.limits.request_timeout,
            stopping: self.stopping.clone(),
            changes,
            store,
            lineage,
            wanted: watch,
            now: self.now()?,
            events: sender,
        };
        tokio::spawn(async move {
            // No error: the reader has gone.
            if let Err(Some(error)) = watcher.run(from, snapshot, first).await {
                last_word.send(Err(error));
            }
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
fn start_revision(token: &str, lineage: u64) -> Result<Revision, Error> {
    let zookie = Zookie::decode(token)?;
    if zookie.lineage == lineage {
        return Ok(zookie.revision);
    }
    const MESSAGE: &str = "this token was made by another cluster; begin anew, with a snapshot";
    Err(Error::new(ErrorCode::ForeignZookie, MESSAGE))
}

/// Why a watch ends; `None` when the reader has gone.
type Ended = Option<Error>;

struct Watcher {
    pool: EvaluationPool,
    read_timeout: Duration,
    stopping: CancellationToken,
    changes: Arc<dyn ChangeSource>,
    store: StoreId,
    lineage: u64,
    wanted: Watch,
    /// By which the relationships of a snapshot are expired or not.
    now: TimestampMs,
    events: mpsc::Sender<Result<WatchEvent, Error>>,
}

impl Watcher {
    async fn run(self, from: Revision, snapshot: Option<Arc<dyn ReadView>>, first: Changes) -> Result<(), Ended> {
        if let Some(view) = snapshot {
            self.tell_snapshot(view).await?;
            // The one token of a snapshot; whoever sees it has all of it.
            self.send(WatchEvent::Checkpoint { zookie: self.zookie(from) }).await?;
        }
        let mut told = self.tell(first).await?;
        let mut announced = from;
        let mut ticks = tokio::time::interval(CHECKPOINT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.wanted.kinds.checkpoints && told > announced;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => {
                    const MESSAGE: &str = "this node is stopping; go on at another one, after the last token";
                    return Err(Some(Error::new(ErrorCode::Unavailable, MESSAGE)));
                }
                () = self.events.closed() => return Err(None),
                _ = ticks.tick(), if due => {
                    announced = told;
                    self.send(WatchEvent::Checkpoint { zookie: self.zookie(told) }).await?;
                }
                waited = self.changes.applied_after(told) => {
                    waited.map_err(Some)?;
                    let next = self.read(told).await?;
                    told = self.tell(next).await?;
                }
            }
        }
    }

    /// Every node that is at the end asks at the same time, so a full queue of evaluations is no reason to give up.
    async fn read(&self, after: Revision) -> Result<Changes, Ended> {
        loop {
            let (source, store) = (Arc::clone(&self.changes), self.store);
            let read = move || source.changes(store, after, TRANSACTIONS_AT_ONCE);
            match self.pool.run(Instant::now() + self.read_timeout, read).await {
                Err(error) if error.code == ErrorCode::ResourceExhausted => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                result => return result.map_err(Some),
            }
        }
    }

    /// Tells of `changes` and returns up to where that goes.
    async fn tell(&self, changes: Changes) -> Result<Revision, Ended> {
        for (at, record) in &changes.records {
            let updates = self.wanted_updates(record);
            if !updates.is_empty() {
                let metadata_json = record.metadata_json.clone();
                self.send(WatchEvent::Tuples { updates, metadata_json, zookie: self.zookie(*at) }).await?;
            }
            if record.schema_changed && self.wanted.kinds.schema {
                self.send(WatchEvent::Schema { zookie: self.zookie(*at) }).await?;
            }
        }
        Ok(changes.through)
    }

    async fn tell_snapshot(&self, view: Arc<dyn ReadView>) -> Result<(), Ended> {
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
                let page = move || page_of(view.as_ref(), &filter, after.as_ref());
                let tuples = self.pool.run(Instant::now() + self.read_timeout, page).await.map_err(Some)?;
                let Some(last) = tuples.last() else { break };
                after = Some(last.key.clone());
                let complete = tuples.len() < TUPLES_AT_ONCE;
                // What an earlier filter matches was told with it.
                let is_new = |Tuple { key, qualifiers }: &Tuple| {
                    !qualifiers.expired(self.now)
                        && !filters[..position].iter().any(|earlier| earlier.matches_qualified(key, qualifiers))
                };
                let touch = |tuple| TupleUpdate { kind: UpdateKind::Touch, tuple };
                let updates: Vec<TupleUpdate> = tuples.into_iter().filter(is_new).map(touch).collect();
                if !updates.is_empty() {
                    self.send(WatchEvent::Snapshot { updates }).await?;
                }
                if complete {
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

    async fn send(&self, event: WatchEvent) -> Result<(), Ended> {
        match self.events.send_timeout(Ok(event), STALLED_READER).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(None),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                const MESSAGE: &str = "the watch ends, because nothing was read from it for a minute; go on after the last token, \
                                       and read faster";
                Err(Some(Error::new(ErrorCode::ResourceExhausted, MESSAGE)))
            }
        }
    }
}

fn page_of(view: &dyn ReadView, filter: &TupleFilter, after: Option<&TupleKey>) -> Result<Vec<Tuple>, Error> {
    let mut page = Vec::new();
    view.scan(filter, after, &mut |row| {
        page.push(row.tuple);
        if page.len() < TUPLES_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(page)
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
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid")
    }

    #[tokio::test]
    async fn more_transactions_than_are_read_at_once_are_all_told_in_order() {
        let (_, services) = TestNode::start();
        let start = services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
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
        let (_, services) = TestNode::start();
        let start = services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let count = 2 * MESSAGES_AHEAD;
        for n in 0..count {
            write(&services, &format!("document:d{n}#viewer@user:b")).await;
        }
        let mut events = services.watch(call(), from(WatchStart::After(start.encode()))).await.expect("begins");
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
