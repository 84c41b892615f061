//! Checks: one question, or many at once. All questions of a request are answered from one view.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::floors::Basis;
use super::schema_cache::{ReadySchema, SchemaCache};
use super::{Call, Consistency, Services};
use crate::consistency::{Raised, Scope, Zookie};
use crate::engine::{self, Budget, CheckItem, Circumstances, Explanation, ExplanationRoom, Waiter};
use crate::model::{Decision, Error, ErrorCode, SubjectRef, TimestampMs, limits};
use crate::mutants::Mutant;
use crate::raft::monotonic;
use crate::store::{Reach, ReadView};
use crate::telemetry::{METRICS, part_of_trace};

/// Items of a bulk check that are evaluated in one go, and can share what they find out.
const ITEMS_AT_ONCE: usize = 256;
/// Parts of one bulk check that are evaluated at the same time.
const PARTS_AT_ONCE: usize = 4;

/// What a check may take of a thread that serves the network: some hundred microseconds, and a small part of its stack.
const AT_ONCE_DEPTH: u32 = 64;
const AT_ONCE_STEPS: u64 = 128;
const AT_ONCE_CAVEAT_STEPS: u64 = 5_000;

/// For the explanation of one check. What is larger is cut, and says so: the answer must fit a message.
const ROOM: ExplanationRoom = ExplanationRoom { nodes: 1000, bytes: limits::EXPLAIN_BYTES };
/// Nodes of all explanations of a bulk check together.
const EXPLAINED_NODES_OF_BULK: usize = 20_000;

/// Whether an answer is to say how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Explain {
    /// Only the answer.
    #[default]
    No,
    /// The answer and how it came about. Costs more than the answer.
    Yes,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAnswer {
    /// What it is.
    pub answer: ItemAnswer,
    /// The state that it was made from.
    pub zookie: Zookie,
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
}

/// What a question came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemAnswer {
    /// The decision.
    pub decision: Decision,
    /// How it came about, where that was asked for.
    pub explained: Option<Explained>,
}

/// How a decision came about, and by which schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The subject that was asked for.
    pub subject: SubjectRef,
    /// Why.
    pub explanation: Explanation,
    /// How long decision and explanation took.
    pub took: Duration,
    /// The text of the schema.
    pub schema: Arc<str>,
}

/// The answers to many questions, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCheckAnswer {
    /// A question that cannot be answered does not spoil the others.
    pub answers: Vec<Result<ItemAnswer, Error>>,
    /// The state that all of them were made from.
    pub zookie: Zookie,
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
}

impl Services {
    /// Answers one question.
    pub async fn check(
        &self,
        call: Call,
        consistency: &Consistency,
        item: CheckItem,
        explain: Explain,
    ) -> Result<CheckAnswer, Error> {
        let Basis { view, zookie, raised } =
            self.basis(call, consistency, Scope::Type(&item.resource.object_type)).await?;
        let part = Part { schemas: Arc::clone(&self.schemas), call, view, now: self.now()? };
        // Most checks take less time than it takes to hand them to another thread.
        if explain == Explain::No
            && self.pool.has_time()
            && monotonic() < call.deadline
            && let Some(decision) = part.at_once(&item)
        {
            METRICS.checks.inc();
            return Ok(CheckAnswer { answer: ItemAnswer { decision, explained: None }, zookie, raised });
        }
        let evaluate = move |waiter: &Waiter| {
            let budget = Budget::on_behalf_of(waiter.clone());
            let ready = part.ready()?;
            match explain {
                Explain::Yes => part.explained(&ready, &item, ROOM, &budget),
                Explain::No => {
                    let decision = part.decided(&ready, &item, Reach::Disk, &budget)?;
                    Ok(ItemAnswer { decision, explained: None })
                }
            }
        };
        let answer = self.pool.evaluate(call.deadline, evaluate).await?;
        METRICS.checks.inc();
        Ok(CheckAnswer { answer, zookie, raised })
    }

    /// Answers one question about the latest state, whatever bound the request brings. To be asked before content is changed;
    /// the zookie is to be kept with the content, and given to the checks of whoever reads it (Zanzibar, section 2.4.4).
    pub async fn check_content_change(&self, call: Call, item: CheckItem) -> Result<CheckAnswer, Error> {
        self.check(call, &Consistency::FullyConsistent, item, Explain::No).await
    }

    /// Answers many questions.
    pub async fn check_bulk(
        &self,
        call: Call,
        consistency: &Consistency,
        items: Vec<CheckItem>,
        explain: Explain,
    ) -> Result<BulkCheckAnswer, Error> {
        let (count, most) = (items.len(), limits::CHECKS_PER_BULK);
        if count > most {
            let message = format!("{count} checks are more than the {most} that one request may have; split it");
            return Err(Error::new(ErrorCode::TooManyChecks, message)
                .with("check_count", count)
                .with("maximum_checks_allowed", most));
        }
        let types: BTreeSet<_> = items.iter().map(|item| &item.resource.object_type).collect();
        let scope = Scope::Types(types.into_iter().collect());
        let Basis { view, zookie, raised } = self.basis(call, consistency, scope).await?;
        let now = self.now()?;
        let room = match explain {
            Explain::No => None,
            Explain::Yes => {
                self.check_explained_schema(call, &view, count).await?;
                Some(ExplanationRoom {
                    nodes: (EXPLAINED_NODES_OF_BULK / count.max(1)).clamp(1, ROOM.nodes),
                    bytes: (limits::EXPLAIN_BULK_BYTES / count.max(1)).min(ROOM.bytes),
                })
            }
        };
        let at_once = if Mutant::MixedSnapshots.is_on() { 1 } else { ITEMS_AT_ONCE };
        let parts: Vec<Vec<CheckItem>> = items.chunks(at_once).map(<[_]>::to_vec).collect();
        let view = &view;
        let answers: Vec<Vec<Result<ItemAnswer, Error>>> = stream::iter(parts)
            .map(|items| async move {
                let view = if Mutant::MixedSnapshots.is_on() {
                    self.view(call, self.requirement(consistency)?).await?
                } else {
                    Arc::clone(view)
                };
                let part = Part { schemas: Arc::clone(&self.schemas), call, view, now };
                self.pool.evaluate(call.deadline, move |waiter: &Waiter| part.answers(&items, room, waiter)).await
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        let answers: Vec<Result<ItemAnswer, Error>> = answers.into_iter().flatten().collect();
        METRICS.checks.inc_by(answers.iter().filter(|answer| answer.is_ok()).count() as u64);
        Ok(BulkCheckAnswer { answers, zookie, raised })
    }
}

impl Services {
    /// As in SpiceDB, each explanation shows the whole schema.
    async fn check_explained_schema(&self, call: Call, view: &Arc<dyn ReadView>, count: usize) -> Result<(), Error> {
        let (schemas, view) = (Arc::clone(&self.schemas), Arc::clone(view));
        let ready = self.pool.run(call.deadline, move || schemas.of(call.store, view.as_ref())).await?;
        let (bytes, most) = (ready.text.len(), limits::EXPLAIN_SCHEMA_BYTES);
        if bytes.saturating_mul(count) <= most {
            return Ok(());
        }
        let message = format!(
            "the answer would show the schema of {bytes} bytes {count} times, which is more than the {most} bytes that it may \
             take; ask for traces of fewer checks at once"
        );
        Err(Error::new(ErrorCode::ResourceExhausted, message))
    }
}

/// What one thread of evaluation needs.
struct Part {
    schemas: Arc<SchemaCache>,
    call: Call,
    view: Arc<dyn ReadView>,
    now: TimestampMs,
}

impl Part {
    fn ready(&self) -> Result<Arc<ReadySchema>, Error> {
        #[cfg(feature = "mutants")]
        if Mutant::StaleSchema.is_on()
            && let Some(last) = self.schemas.last_used()
        {
            return Ok(last);
        }
        self.schemas.of(self.call.store, self.view.as_ref())
    }

    /// The decision, if it needs next to no time, no disk, and little stack. Whatever else there is to say about the question,
    /// an error included, the pool finds out.
    fn at_once(&self, item: &CheckItem) -> Option<Decision> {
        let ready = if Mutant::StaleSchema.is_on() {
            self.ready().ok()?
        } else {
            self.schemas.known(self.call.store, self.view.as_ref())?
        };
        let budget = Budget {
            max_depth: AT_ONCE_DEPTH,
            max_steps: AT_ONCE_STEPS,
            max_caveat_steps: AT_ONCE_CAVEAT_STEPS,
            waiter: Waiter::default(),
        };
        let decide = || part_of_trace!("evaluate").in_scope(|| self.decided(&ready, item, Reach::Memory, &budget));
        catch_unwind(AssertUnwindSafe(decide)).ok()?.ok()
    }

    fn decided(&self, ready: &ReadySchema, item: &CheckItem, reach: Reach, budget: &Budget) -> Result<Decision, Error> {
        #[cfg(feature = "mutants")]
        let question = item.clone();
        #[cfg(feature = "mutants")]
        if Mutant::CacheWithoutIndex.is_on()
            && let Some(known) = ready.decisions.lock().get(&question)
        {
            return Ok(known.clone());
        }
        let CheckItem { resource, permission, subject, context } = item;
        let circumstances = Circumstances { now: self.now, context: context.clone() };
        let reader = self.view.reader(reach);
        let view = reader.as_deref().unwrap_or(self.view.as_ref());
        let outcome = engine::check(&ready.plan, view, resource, permission, subject, &circumstances, budget)?;
        #[cfg(feature = "mutants")]
        ready.decisions.lock().insert(question, outcome.decision.clone());
        Ok(outcome.decision)
    }

    /// Answers, with explanations where there is room for them.
    fn answers(
        &self,
        items: &[CheckItem],
        room: Option<ExplanationRoom>,
        waiter: &Waiter,
    ) -> Result<Vec<Result<ItemAnswer, Error>>, Error> {
        let ready = self.ready()?;
        let budget = Budget::on_behalf_of(waiter.clone());
        if let Some(room) = room {
            return Ok(items.iter().map(|item| self.explained(&ready, item, room, &budget)).collect());
        }
        let reader = self.view.reader(Reach::Disk);
        let view = reader.as_deref().unwrap_or(self.view.as_ref());
        let outcomes = engine::check_bulk(&ready.plan, view, items, self.now, &budget);
        Ok(outcomes
            .into_iter()
            .map(|outcome| Ok(ItemAnswer { decision: outcome?.decision, explained: None }))
            .collect())
    }

    fn explained(
        &self,
        ready: &ReadySchema,
        item: &CheckItem,
        room: ExplanationRoom,
        budget: &Budget,
    ) -> Result<ItemAnswer, Error> {
        let begin = Instant::now();
        let (outcome, explanation) = engine::explain(&ready.plan, self.view.as_ref(), item, self.now, budget, room)?;
        let (subject, schema) = (item.subject.clone(), Arc::clone(&ready.text));
        let explained = Explained { subject, explanation, took: begin.elapsed(), schema };
        Ok(ItemAnswer { decision: outcome.decision, explained: Some(explained) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caveat::Context;
    use crate::model::{CaveatUse, UpdateKind};
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
            let answer =
                services.check(call(), &at(index), item("document:a#view@user:b"), Explain::No).await.expect("answers");
            assert_eq!((answer.answer.decision, answer.zookie.revision.index()), (expected, index));
        }
        let future = services.check(call(), &at(granted + 1), item("document:a#view@user:b"), Explain::No).await;
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
        let answer =
            services.check_bulk(call(), &Consistency::FullyConsistent, items, Explain::No).await.expect("answers");
        let found: Vec<_> =
            answer.answers.into_iter().map(|it| it.map(|it| it.decision).map_err(|error| error.code)).collect();
        assert_eq!(found, expected.iter().cycle().take(rounds * expected.len()).cloned().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_bulk_check_is_bounded() {
        let (_, services) = with_tuples(&[]).await;
        let items = vec![item("document:a#view@user:b"); limits::CHECKS_PER_BULK + 1];
        let error =
            services.check_bulk(call(), &Consistency::default(), items, Explain::No).await.expect_err("too many");
        assert_eq!(error.code, ErrorCode::TooManyChecks);
        let none = services
            .check_bulk(call(), &Consistency::default(), Vec::new(), Explain::No)
            .await
            .expect("nothing to answer");
        assert!(none.answers.is_empty());
    }

    #[tokio::test]
    async fn a_node_that_is_no_member_answers_nothing() {
        let services = Services::new(testing::limits());
        let error = services.check(call(), &Consistency::default(), item("document:a#view@user:b"), Explain::No).await;
        assert_eq!(error.expect_err("no member").code, ErrorCode::Unavailable);
        assert!(!*services.readiness().borrow());
    }

    #[tokio::test]
    async fn a_check_needs_a_name_that_the_schema_has() {
        let (_, services) = TestNode::start();
        let error = services.check(call(), &Consistency::default(), item("document:a#view@user:b"), Explain::No).await;
        assert_eq!(error.expect_err("no schema").code, ErrorCode::UnknownDefinition);
    }

    #[tokio::test]
    async fn a_relationship_ends_when_either_clock_says_so() {
        let (node, services) = with_tuples(&[]).await;
        let ages = TimestampMs(32_503_680_000_000); // The year 3000.
        for (text, expires_at) in [("document:a#viewer@user:b", ages), ("document:a#viewer@user:c", TimestampMs(1))] {
            let mut update = update(UpdateKind::Touch, text);
            update.tuple.qualifiers.expires_at = Some(expires_at);
            node.put(update.tuple);
        }
        let mut decisions = Vec::new();
        for (cluster_time, subject) in [(0, "b"), (ages.0 - 1, "b"), (ages.0, "b"), (0, "c")] {
            *node.cluster_time.lock() = TimestampMs(cluster_time);
            let item = item(&format!("document:a#view@user:{subject}"));
            let one =
                services.check(call(), &Consistency::default(), item.clone(), Explain::No).await.expect("answers");
            let many = services.check_bulk(call(), &Consistency::default(), vec![item], Explain::No).await;
            let many = many.expect("answers").answers.remove(0).expect("answers");
            assert_eq!(one.answer.decision, many.decision);
            decisions.push(one.answer.decision);
        }
        // The local clock stands between 1970 and 3000.
        assert_eq!(decisions, [Decision::Allowed, Decision::Allowed, Decision::Denied, Decision::Denied]);
    }

    #[tokio::test]
    async fn an_explanation_names_the_relationships_and_the_schema() {
        let (node, services) = with_tuples(&["document:a#viewer@user:b"]).await;
        let written_at = node.applied();
        let consistency = Consistency::FullyConsistent;
        let one = services.check(call(), &consistency, item("document:a#view@user:b"), Explain::Yes).await;
        let one = one.expect("answers").answer;
        assert_eq!(one.decision, Decision::Allowed);
        let explained = one.explained.expect("asked for");
        assert_eq!(&*explained.schema, SCHEMA);
        let viewer = explained.explanation.root.steps[0].proof.as_ref().expect("the relation");
        assert_eq!(viewer.steps[0].tuple.as_ref().expect("the tuple").written_at, written_at);
        let items = vec![item("document:a#view@user:b"), item("document:a#gone@user:b")];
        let many = services.check_bulk(call(), &consistency, items, Explain::Yes).await.expect("answers").answers;
        assert!(many[0].as_ref().expect("answered").explained.is_some());
        assert_eq!(many[1].as_ref().expect_err("no such").code, ErrorCode::UnknownRelation);
    }

    #[tokio::test]
    async fn explanations_share_the_schema_and_are_bounded_by_it() {
        let (node, services) = TestNode::start();
        let schema = format!("{SCHEMA}\n// {}", "x".repeat(1 << 20));
        services.write_schema(call(), schema.clone()).await.expect("valid");
        let consistency = Consistency::FullyConsistent;
        let ask = |count| {
            let items = vec![item("document:a#view@user:b"); count];
            services.check_bulk(call(), &consistency, items, Explain::Yes)
        };
        let answers = ask(7).await.expect("answers").answers;
        let texts: Vec<_> =
            answers.into_iter().map(|it| it.expect("answered").explained.expect("asked").schema).collect();
        assert!(texts.iter().all(|text| **text == schema && Arc::ptr_eq(text, &texts[0])));
        assert_eq!(ask(8).await.expect_err("too large").code, ErrorCode::ResourceExhausted);
        drop(node);
    }

    #[tokio::test]
    async fn a_caveat_is_judged_in_the_context_of_its_item() {
        const CAVEATED: &str = "
            caveat inside(ip ipaddress) { ip.in_cidr('10.0.0.0/8') }
            definition user {}
            definition document {
                relation viewer: user with inside
                permission view = viewer
            }";
        let (node, services) = TestNode::start();
        services.write_schema(call(), CAVEATED.to_owned()).await.expect("valid");
        let mut update = update(UpdateKind::Touch, "document:a#viewer@user:b");
        update.tuple.qualifiers.caveat = Some(CaveatUse { name: "inside".to_owned(), context_json: String::new() });
        node.put(update.tuple);
        let in_context = |json: &str| CheckItem {
            context: Context::from_json_text(json).expect("valid"),
            ..item("document:a#view@user:b")
        };
        let contexts = ["{}", r#"{"ip":"10.1.2.3"}"#, r#"{"ip":"11.1.2.3"}"#, r#"{"ip":"here"}"#];
        let items: Vec<CheckItem> = contexts.iter().map(|json| in_context(json)).collect();
        let expected = [
            Ok(Decision::Conditional { missing: vec!["ip".to_owned()] }),
            Ok(Decision::Allowed),
            Ok(Decision::Denied),
            Err(ErrorCode::CaveatParameterType),
        ];
        let many = services.check_bulk(call(), &Consistency::FullyConsistent, items.clone(), Explain::No).await;
        for ((item, expected), many) in items.into_iter().zip(expected).zip(many.expect("answers").answers) {
            assert_eq!(many.map(|it| it.decision).map_err(|error| error.code), expected);
            for explain in [Explain::No, Explain::Yes] {
                let one = services.check(call(), &Consistency::FullyConsistent, item.clone(), explain).await;
                assert_eq!(one.map(|it| it.answer.decision).map_err(|error| error.code), expected);
            }
        }
    }
}
