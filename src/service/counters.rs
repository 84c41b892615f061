//! Relationship counters: a filter under a name that is registered once, and counted as often as somebody asks.
//!
//! The count is made by reading what matches, at one state, a piece at a time: it holds up nobody else for long, and it ends
//! when the caller has gone. What is not counted when the time is over is said to be still under way.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keyed::{key_reused, keyed};
use super::tuples::guard;
use super::{Call, Services, Written};
use crate::consistency::{Requirement, Zookie};
use crate::model::{
    Counter, CounterName, Error, ErrorCode, IdempotencyKey, SubjectRelationFilter, TimestampMs, TupleFilter, TupleKey,
};
use crate::raft::{ChangeCounter, CommandBody, Outcome, Refusal, monotonic};
use crate::store::ReadView;

/// Rows that are passed in one go, whether they match or not.
const PIECE_ROWS: usize = 50_000;

/// What a counter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// It did not come to its end within the time of the request.
    StillCounting,
    /// So many tuples match.
    Counted {
        /// How many.
        tuples: u64,
        /// The state that was counted.
        zookie: Zookie,
    },
}

impl Services {
    /// Registers a counter of what matches `filter`.
    pub async fn register_counter(
        &self,
        call: Call,
        name: CounterName,
        filter: TupleFilter,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Error> {
        guard::check_filter_shape(&filter)?;
        self.change_counter(call, name, Some(filter), key).await
    }

    /// Forgets a counter.
    pub async fn unregister_counter(
        &self,
        call: Call,
        name: CounterName,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Error> {
        self.change_counter(call, name, None, key).await
    }

    async fn change_counter(
        &self,
        call: Call,
        name: CounterName,
        filter: Option<TupleFilter>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Error> {
        let request = keyed(key, "counter", &(&name, &filter));
        let judged = match &filter {
            Some(filter) => self.judge_filter(call, filter).await?,
            None => Ok(()),
        };
        let applied = match judged {
            Ok(()) => {
                let (name, filter) = (name.clone(), filter.clone());
                let change = ChangeCounter { store: call.store, name, filter, request };
                self.propose(call, CommandBody::ChangeCounter(change)).await?
            }
            Err(refused) => self.first_try(call, request.as_ref(), refused).await?,
        };
        match applied.outcome {
            Outcome::Done => self.written(&applied),
            Outcome::Refused(Refusal::KeyReused) => Err(key_reused()),
            Outcome::Refused(Refusal::CounterExists) => Err(counter_exists(&name, &filter.unwrap_or_default())),
            Outcome::Refused(Refusal::UnknownCounter) => Err(unknown_counter(&name)),
            Outcome::Refused(Refusal::TooManyCounters { limit }) => {
                let message = format!("there are {limit} counters already; unregister one that is not needed");
                Err(Error::new(ErrorCode::ResourceExhausted, message))
            }
            outcome @ (Outcome::Refused(_) | Outcome::Deleted { .. } | Outcome::Admitted { .. }) => {
                let message = format!("a change of a counter came to an outcome that is not one of it: {outcome:?}");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    /// Names that the latest schema does not define are most likely misspelt. The outer error: no judgement. The inner one:
    /// refused.
    async fn judge_filter(&self, call: Call, filter: &TupleFilter) -> Result<Result<(), Error>, Error> {
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let (schemas, filter) = (Arc::clone(&self.schemas), filter.clone());
        self.pool
            .run(call.deadline, move || Ok(schemas.of(call.store, view.as_ref())?.schema().check_filter(&filter)))
            .await
    }

    /// Counts what the counter is registered for, in the latest state.
    pub async fn count_tuples(&self, call: Call, name: CounterName) -> Result<Count, Error> {
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let zookie = self.zookie(view.revision())?;
        let counters = {
            let view = Arc::clone(&view);
            self.pool.run(call.deadline, move || Ok(view.counters()?)).await?
        };
        let filter = filter_of(counters, &name)?;
        // The answer that it is still counting must itself be in time.
        let until = call.deadline - reserve(call.deadline);
        let now = self.now()?;
        let (mut tuples, mut after) = (0, None);
        loop {
            if monotonic() >= until {
                return Ok(Count::StillCounting);
            }
            let (view, filter) = (Arc::clone(&view), filter.clone());
            let piece = self
                .pool
                .run(call.deadline, move || piece(view.as_ref(), &filter, after.as_ref(), now, PIECE_ROWS))
                .await?;
            tuples += piece.live;
            after = piece.last;
            if after.is_none() {
                return Ok(Count::Counted { tuples, zookie });
            }
        }
    }
}

fn reserve(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(monotonic()) / 5
}

/// Some of the tuples that match.
struct Piece {
    live: u64,
    /// Where to go on; `None` at the end.
    last: Option<TupleKey>,
}

fn piece(
    view: &dyn ReadView,
    filter: &TupleFilter,
    after: Option<&TupleKey>,
    now: TimestampMs,
    most: usize,
) -> Result<Piece, Error> {
    let mut live = 0;
    let last = view.scan_some(filter, after, most, &mut |row| {
        live += u64::from(!row.tuple.qualifiers.expired(now));
        ControlFlow::Continue(())
    })?;
    Ok(Piece { live, last })
}

fn filter_of(counters: Vec<Counter>, name: &CounterName) -> Result<TupleFilter, Error> {
    let found = counters.into_iter().find(|counter| counter.name == *name);
    found.map(|counter| counter.filter).ok_or_else(|| unknown_counter(name))
}

fn unknown_counter(name: &CounterName) -> Error {
    let message = format!("no counter `{name}` is registered; register it first");
    Error::new(ErrorCode::UnknownCounter, message).with("counter_name", name)
}

fn counter_exists(name: &CounterName, filter: &TupleFilter) -> Error {
    let text = |part: Option<&dyn std::fmt::Display>| part.map(ToString::to_string).unwrap_or_default();
    let TupleFilter { resource_type, resource_id, resource_id_prefix, relation, subject, traits: _ } = filter;
    let subject = subject.as_ref();
    let subject_relation = subject.map(|subject| &subject.relation);
    let subject_relation = match subject_relation {
        Some(SubjectRelationFilter::Relation(name)) => Some(name as &dyn std::fmt::Display),
        Some(SubjectRelationFilter::Any | SubjectRelationFilter::Direct | SubjectRelationFilter::Concrete) | None => {
            None
        }
    };
    let message = format!("counter `{name}` is registered already; unregister it first, or take another name");
    Error::new(ErrorCode::CounterExists, message)
        .with("counter_name", name)
        .with("new_filter_resource_type", text(resource_type.as_ref().map(|it| it as _)))
        .with("new_filter_resource_id", text(resource_id.as_ref().map(|it| it as _)))
        .with("new_filter_resource_id_prefix", text(resource_id_prefix.as_ref().map(|it| it as _)))
        .with("new_filter_relation", text(relation.as_ref().map(|it| it as _)))
        .with("new_filter_subject_type", text(subject.map(|it| &it.subject_type as _)))
        .with("new_filter_subject_id", text(subject.and_then(|it| it.subject_id.as_ref()).map(|it| it as _)))
        .with("new_filter_subject_relation", text(subject_relation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TypeName, UpdateKind};
    use crate::service::WriteTuples;
    use crate::service::testing::{SCHEMA, TestNode, call, update};

    fn name(text: &str) -> CounterName {
        CounterName::new(text).expect("valid")
    }

    fn of_type(text: &str) -> TupleFilter {
        TupleFilter { resource_type: TypeName::new(text).ok(), ..TupleFilter::default() }
    }

    #[tokio::test]
    async fn a_counter_counts_what_matches_until_it_is_unregistered() {
        let (_, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let updates = ["document:a#viewer@user:a", "document:b#viewer@user:a", "group:g#member@user:a"];
        let updates = updates.map(|text| update(UpdateKind::Touch, text)).to_vec();
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");

        let code = |result: Result<Written, Error>| result.expect_err("refused").code;
        let register = |counter: &str, filter| services.register_counter(call(), name(counter), filter, None);
        register("documents", of_type("document")).await.expect("new");
        assert_eq!(code(register("documents", of_type("group")).await), ErrorCode::CounterExists);
        assert_eq!(code(register("others", of_type("folder")).await), ErrorCode::UnknownDefinition);
        assert_eq!(code(register("others", TupleFilter::default()).await), ErrorCode::InvalidFilter);

        let Ok(Count::Counted { tuples, zookie }) = services.count_tuples(call(), name("documents")).await else {
            panic!("there is all the time in the world");
        };
        assert_eq!(tuples, 2);
        assert_eq!(zookie, services.read_schema(call()).await.expect("written").zookie, "the latest state");

        let gone = Call { deadline: Instant::now(), ..call() };
        let late = services.count_tuples(gone, name("documents")).await;
        assert!(!matches!(late, Ok(Count::Counted { .. })), "{late:?}");

        services.unregister_counter(call(), name("documents"), None).await.expect("registered");
        assert_eq!(code(services.unregister_counter(call(), name("documents"), None).await), ErrorCode::UnknownCounter);
        let count = services.count_tuples(call(), name("documents")).await;
        assert_eq!(count.expect_err("forgotten").code, ErrorCode::UnknownCounter);
    }

    #[tokio::test]
    async fn a_count_in_pieces_misses_nothing() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let texts: Vec<_> = (0..5).map(|n| format!("document:d{n}#viewer@user:a")).collect();
        let updates = texts.iter().map(|text| update(UpdateKind::Touch, text)).collect();
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let view = services.view(call(), Requirement::AtExactSnapshot(node.applied())).await.expect("there");
        let mut after = None;
        let mut found = 0;
        for _ in 0..10 {
            let piece =
                piece(view.as_ref(), &of_type("document"), after.as_ref(), TimestampMs(0), 2).expect("readable");
            found += piece.live;
            after = piece.last;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found, after), (5, None));
    }
}
