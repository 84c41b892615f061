//! What a change of schema would do, beforehand: the same judgement that a write is under, on a view, without writing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::{Call, Services};
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, SubjectFilter, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, limits};
use crate::schema::guards::{Guard, never_allowed, orphaning};
use crate::schema::{SchemaChange, diff, spicedb};
use crate::store::ReadView;

/// Relationships that one obstacle names.
const EXAMPLES: usize = 3;

/// What a change of schema would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaPlan {
    /// What changes.
    pub changes: Vec<SchemaChange>,
    /// What keeps it from being written.
    pub obstacles: Vec<Obstacle>,
    /// There is more data than was looked at.
    pub incomplete: bool,
    /// The state that was looked at.
    pub zookie: Zookie,
}

/// Something that keeps a schema from being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// For a person.
    pub reason: String,
    /// How many relationships are in the way; none where the change is refused whatever is stored.
    pub relationships: u64,
    /// Some of them.
    pub examples: Vec<TupleKey>,
}

impl Services {
    /// What would change if `text` became the schema, and what stands in the way. Looks at no more than
    /// [`limits::PLAN_ROWS`] tuples.
    pub async fn plan_schema(&self, call: Call, text: String) -> Result<SchemaPlan, Error> {
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let zookie = self.zookie(view.revision())?;
        let (schemas, now) = (Arc::clone(&self.schemas), self.now()?);
        let plan = move || {
            let new = spicedb::parse(&text)?;
            let current = schemas.of(call.store, view.as_ref())?;
            let old = current.schema();
            let changes = diff(old, &new)?;
            let refused = never_allowed(old, &new).into_iter();
            let refused = refused.map(|it| Obstacle { reason: it.what, relationships: 0, examples: Vec::new() });
            let mut obstacles: Vec<Obstacle> = refused.collect();
            let mut search = Search { view: view.as_ref(), now, rows: limits::PLAN_ROWS, until: call.deadline };
            for guard in orphaning(old, &new) {
                obstacles.extend(search.in_the_way(guard)?);
            }
            Ok(SchemaPlan { changes, obstacles, incomplete: search.rows == 0, zookie })
        };
        self.pool.run(call.deadline, plan).await
    }
}

/// Looks for tuples in the way, within bounds that hold for all guards together.
struct Search<'a> {
    view: &'a dyn ReadView,
    /// What has expired by then is in nobody's way.
    now: TimestampMs,
    /// How many more may be looked at; 0 once there was no end of them.
    rows: usize,
    until: Instant,
}

impl Search<'_> {
    fn in_the_way(&mut self, guard: Guard) -> Result<Option<Obstacle>, Error> {
        const BETWEEN_GLANCES_AT_THE_CLOCK: usize = 1024;
        let mut found = Obstacle { reason: guard.what, relationships: 0, examples: Vec::new() };
        if self.rows == 0 {
            return Ok(None);
        }
        self.view.scan(&surroundings(&guard.filter), None, &mut |row| {
            self.rows -= 1;
            let Tuple { key, qualifiers } = row.tuple;
            if !qualifiers.expired(self.now) && guard.filter.matches_qualified(&key, &qualifiers) {
                found.relationships += 1;
                if found.examples.len() < EXAMPLES {
                    found.examples.push(key);
                }
            }
            let late = self.rows.is_multiple_of(BETWEEN_GLANCES_AT_THE_CLOCK) && Instant::now() >= self.until;
            if late {
                self.rows = 0;
            }
            if self.rows == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok((found.relationships > 0).then_some(found))
    }
}

/// A filter for all tuples that have to be read to find those that `filter` means, so that each one read is also counted.
fn surroundings(filter: &TupleFilter) -> TupleFilter {
    match &filter.subject {
        Some(subject) if filter.resource_type.is_none() || subject.subject_id.is_some() => TupleFilter {
            subject: Some(SubjectFilter { relation: SubjectRelationFilter::Any, ..subject.clone() }),
            ..TupleFilter::default()
        },
        Some(_) | None => TupleFilter { resource_type: filter.resource_type.clone(), ..TupleFilter::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, UpdateKind};
    use crate::service::WriteTuples;
    use crate::service::testing::{SCHEMA, TestNode, call, update};

    #[tokio::test]
    async fn a_plan_finds_what_a_write_would_and_writes_nothing() {
        let (node, services) = TestNode::start();
        let with_caveat = format!("caveat odd(num int) {{ num % 2 == 1 }} {SCHEMA}");
        services.write_schema(call(), with_caveat.clone()).await.expect("valid");
        let tuples = ["document:a#viewer@user:b", "document:b#viewer@user:b", "document:a#viewer@user:*"];
        let updates = tuples.map(|text| update(UpdateKind::Touch, text)).to_vec();
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let before = node.applied();

        /// A text, how many changes it makes, and what is in its way with how many relationships.
        type Case<'a> = (String, usize, &'a [(&'a str, u64)]);
        let cases: [Case<'_>; 5] = [
            (with_caveat.clone(), 0, &[]),
            (with_caveat.replace("user | user:* |", "user:* |"), 1, &[("subject type `user` cannot be removed", 2)]),
            (with_caveat.replace("| user:* |", "|"), 1, &[("subject type `user:*` cannot be removed", 1)]),
            (with_caveat.replace("| group#member", ""), 1, &[]),
            (with_caveat.replace("(num int)", "(num uint)"), 2, &[("cannot change its type", 0)]),
        ];
        for (text, changes, expected) in cases {
            let plan = services.plan_schema(call(), text.clone()).await.expect("valid");
            assert_eq!(plan.changes.len(), changes, "{text}: {:?}", plan.changes);
            assert_eq!(plan.obstacles.len(), expected.len(), "{text}: {:?}", plan.obstacles);
            for (obstacle, (reason, count)) in plan.obstacles.iter().zip(expected) {
                assert!(obstacle.reason.contains(reason), "{obstacle:?}");
                assert_eq!(obstacle.relationships, *count, "{obstacle:?}");
            }
            assert!(!plan.incomplete);
            let written = services.write_schema(call(), text.clone()).await;
            assert_eq!(written.is_ok(), expected.is_empty(), "{text}: {written:?}");
            services.write_schema(call(), with_caveat.clone()).await.expect("back again");
        }
        let plan = services.plan_schema(call(), "definition user {}".to_owned()).await.expect("valid");
        assert_eq!(plan.obstacles.len(), 1, "{:?}", plan.obstacles);
        assert_eq!(
            services.plan_schema(call(), "definition".to_owned()).await.expect_err("bad").code,
            ErrorCode::SchemaParse
        );
        assert!(node.applied() > before, "the writes between");
        let last = node.applied();
        services.plan_schema(call(), String::new()).await.expect("valid");
        assert_eq!(node.applied(), last);
    }

    #[tokio::test]
    async fn what_has_expired_is_in_nobodys_way() {
        let (_, services) = TestNode::start();
        let text = "use expiration definition user {} definition doc { relation own: user | user with expiration }";
        services.write_schema(call(), text.to_owned()).await.expect("valid");
        let expiring = |subject, at| {
            let mut expiring = update(UpdateKind::Touch, &format!("doc:a#own@user:{subject}"));
            expiring.tuple.qualifiers.expires_at = Some(TimestampMs(at));
            expiring
        };
        let updates = vec![expiring("gone", 1), expiring("there", u64::MAX)];
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let new = text.replace(" | user with expiration", "");
        let plan = services.plan_schema(call(), new).await.expect("valid");
        let found: Vec<_> = plan.obstacles.iter().map(|it| (it.relationships, it.examples.clone())).collect();
        assert_eq!(found, [(1, vec![update(UpdateKind::Touch, "doc:a#own@user:there").tuple.key])]);
    }

    #[tokio::test]
    async fn a_search_ends_within_its_bounds_and_says_so() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let updates = (0..10).map(|n| update(UpdateKind::Touch, &format!("document:d{n}#viewer@user:b"))).collect();
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let view = services.view(call(), Requirement::FullyConsistent).await.expect("there");
        let old = spicedb::parse(SCHEMA).expect("valid");
        let guards = orphaning(&old, &crate::schema::Schema::default());
        for (rows, until, counted) in [(100, call().deadline, 10), (4, call().deadline, 4)] {
            let mut search = Search { view: view.as_ref(), now: TimestampMs(0), rows, until };
            let guard = guards.iter().find(|guard| guard.what.contains("`document`")).expect("one of them").clone();
            let found = search.in_the_way(guard).expect("readable").expect("in the way");
            assert_eq!((found.relationships, found.examples.len()), (counted, EXAMPLES));
            assert_eq!(search.rows, rows - usize::try_from(counted).expect("small"));
        }
        drop(node);
    }
}
