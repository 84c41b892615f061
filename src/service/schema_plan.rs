//! What a change of schema would do, beforehand: the same judgement that a write is under, on a view, without writing.

use std::sync::Arc;

use super::orphans::{SearchBounds, search};
use super::{Call, Services};
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, TupleKey, limits};
use crate::schema::guards::{never_allowed, orphaning};
use crate::schema::{SchemaChange, diff, spicedb};

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
            let guards = orphaning(old, &new);
            let bounds = SearchBounds { rows: limits::PLAN_ROWS, until: call.deadline };
            let orphans = search(view.as_ref(), &guards, now, bounds)?;
            let in_the_way = guards.into_iter().zip(orphans.by_guard).filter(|(_, found)| found.count > 0);
            obstacles.extend(in_the_way.map(|(guard, found)| Obstacle {
                reason: guard.what,
                relationships: found.count,
                examples: found.examples,
            }));
            Ok(SchemaPlan { changes, obstacles, incomplete: orphans.incomplete, zookie })
        };
        self.pool.run(call.deadline, plan).await
    }
}

#[cfg(test)]
mod tests {

    use crate::model::{ErrorCode, TimestampMs, UpdateKind};
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
}
