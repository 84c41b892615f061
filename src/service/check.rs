//! Checks: one question, or many at once. All questions of a request are answered from one view.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Call, Consistency, Services};
use crate::consistency::Zookie;
use crate::engine::{self, Budget, CheckItem, Circumstances};
use crate::model::{Decision, Error, ErrorCode, TimestampMs, limits};
use crate::store::ReadView;

/// Items of a bulk check that are evaluated in one go, and can share what they find out. A request that is past its deadline
/// stops between two of these.
const ITEMS_AT_ONCE: usize = 256;
/// Parts of one bulk check that are evaluated at the same time.
const PARTS_AT_ONCE: usize = 4;

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAnswer {
    /// What it is.
    pub decision: Decision,
    /// The state that it was made from.
    pub zookie: Zookie,
}

/// The answers to many questions, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCheckAnswer {
    /// A question that cannot be answered does not spoil the others.
    pub decisions: Vec<Result<Decision, Error>>,
    /// The state that all of them were made from.
    pub zookie: Zookie,
}

impl Services {
    /// Answers one question.
    pub async fn check(&self, call: Call, consistency: &Consistency, item: CheckItem) -> Result<CheckAnswer, Error> {
        let view = self.view(call, consistency.requirement(self.lineage()?)?).await?;
        let zookie = self.zookie(view.revision())?;
        let schemas = Arc::clone(&self.schemas);
        let now = self.now()?;
        let evaluate = move || {
            let ready = schemas.of(call.store, view.as_ref())?;
            let CheckItem { resource, permission, subject, context } = item;
            let circumstances = Circumstances { now, context };
            let budget = Budget::default();
            let view = view.as_ref();
            Ok(engine::check(&ready.plan, view, &resource, &permission, &subject, &circumstances, &budget)?.decision)
        };
        Ok(CheckAnswer { decision: self.pool.run(call.deadline, evaluate).await?, zookie })
    }

    /// Answers many questions.
    pub async fn check_bulk(
        &self,
        call: Call,
        consistency: &Consistency,
        items: Vec<CheckItem>,
    ) -> Result<BulkCheckAnswer, Error> {
        let (count, most) = (items.len(), limits::CHECKS_PER_BULK);
        if count > most {
            let message = format!("{count} checks are more than the {most} that one request may have; split it");
            return Err(Error::new(ErrorCode::TooManyChecks, message)
                .with("check_count", count)
                .with("maximum_checks_allowed", most));
        }
        let view = self.view(call, consistency.requirement(self.lineage()?)?).await?;
        let zookie = self.zookie(view.revision())?;
        let now = self.now()?;
        let parts: Vec<Vec<CheckItem>> = items.chunks(ITEMS_AT_ONCE).map(<[_]>::to_vec).collect();
        let decisions: Vec<Vec<Result<Decision, Error>>> = stream::iter(parts)
            .map(|part| self.check_part(call, Arc::clone(&view), now, part))
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(BulkCheckAnswer { decisions: decisions.into_iter().flatten().collect(), zookie })
    }

    async fn check_part(
        &self,
        call: Call,
        view: Arc<dyn ReadView>,
        now: TimestampMs,
        items: Vec<CheckItem>,
    ) -> Result<Vec<Result<Decision, Error>>, Error> {
        let schemas = Arc::clone(&self.schemas);
        let evaluate = move || {
            let ready = schemas.of(call.store, view.as_ref())?;
            let outcomes = engine::check_bulk(&ready.plan, view.as_ref(), &items, now, &Budget::default());
            Ok(outcomes.into_iter().map(|outcome| Ok(outcome?.decision)).collect())
        };
        self.pool.run(call.deadline, evaluate).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caveat::Context;
    use crate::model::UpdateKind;
    use crate::service::testing::{LINEAGE, SCHEMA, TestNode, call, key, update};
    use crate::service::{Services, WriteTuples, testing};

    fn item(text: &str) -> CheckItem {
        let key = key(text);
        CheckItem {
            resource: key.resource,
            permission: key.relation,
            subject: key.subject,
            context: Context::default(),
        }
    }

    async fn with_tuples(texts: &[&str]) -> (Arc<TestNode>, Arc<Services>) {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        for text in texts {
            let updates = vec![update(UpdateKind::Touch, text)];
            services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        }
        (node, services)
    }

    #[tokio::test]
    async fn an_answer_is_about_the_state_that_it_names() {
        let (node, services) = with_tuples(&["document:a#viewer@user:b"]).await;
        let at = |index| {
            let revision = crate::model::Revision::new(index);
            Consistency::AtExactSnapshot(Zookie { lineage: LINEAGE, shard: 0, revision }.encode())
        };
        let granted = node.applied().index();
        for (index, expected) in [(granted, Decision::Allowed), (granted - 1, Decision::Denied)] {
            let answer = services.check(call(), &at(index), item("document:a#view@user:b")).await.expect("answers");
            assert_eq!((answer.decision, answer.zookie.revision.index()), (expected, index));
        }
        let future = services.check(call(), &at(granted + 1), item("document:a#view@user:b")).await;
        assert_eq!(future.expect_err("not there yet").code, ErrorCode::ZookieFromFuture);
    }

    #[tokio::test]
    async fn a_bulk_check_keeps_order_and_errors_apart() {
        let (_, services) = with_tuples(&["document:a#viewer@user:b", "document:a#owner@user:c"]).await;
        let mut items = vec![
            item("document:a#view@user:b"),
            item("document:a#absent@user:b"),
            item("document:a#owner@user:b"),
            item("folder:a#view@user:b"),
            item("document:a#view@user:c"),
            item("document:a#view@user:*"),
        ];
        let expected = [
            Ok(Decision::Allowed),
            Err(ErrorCode::UnknownRelation),
            Ok(Decision::Denied),
            Err(ErrorCode::UnknownDefinition),
            Ok(Decision::Allowed),
            Err(ErrorCode::WildcardNotAllowed),
        ];
        // More than one part.
        let rounds = ITEMS_AT_ONCE / items.len() + 2;
        items = items.iter().cycle().take(rounds * expected.len()).cloned().collect();
        let answer = services.check_bulk(call(), &Consistency::FullyConsistent, items).await.expect("answers");
        let found: Vec<_> = answer.decisions.into_iter().map(|decision| decision.map_err(|error| error.code)).collect();
        assert_eq!(found, expected.iter().cycle().take(rounds * expected.len()).cloned().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_bulk_check_is_bounded() {
        let (_, services) = with_tuples(&[]).await;
        let items = vec![item("document:a#view@user:b"); limits::CHECKS_PER_BULK + 1];
        let error = services.check_bulk(call(), &Consistency::default(), items).await.expect_err("too many");
        assert_eq!(error.code, ErrorCode::TooManyChecks);
        let none = services.check_bulk(call(), &Consistency::default(), Vec::new()).await.expect("nothing to answer");
        assert!(none.decisions.is_empty());
    }

    #[tokio::test]
    async fn a_node_that_is_no_member_answers_nothing() {
        let services = Services::new(testing::limits());
        let error = services.check(call(), &Consistency::default(), item("document:a#view@user:b")).await;
        assert_eq!(error.expect_err("no member").code, ErrorCode::Unavailable);
        assert!(!*services.readiness().borrow());
    }

    #[tokio::test]
    async fn a_check_needs_a_name_that_the_schema_has() {
        let (_, services) = TestNode::start();
        let error = services.check(call(), &Consistency::default(), item("document:a#view@user:b")).await;
        assert_eq!(error.expect_err("no schema").code, ErrorCode::UnknownDefinition);
    }
}
