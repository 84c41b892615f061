//! Lookups and expansion. A lookup streams its results as they are found, all from one view, in batches: each runs on the
//! pool, and the next begins when the reader has room. So a slow reader holds no thread, one that has gone ends the lookup
//! after the batch at hand, and never more than a few batches are in memory.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::cursor::{Cursor, Digest, Place};
use super::evaluate::EvaluationPool;
use super::floors::Basis;
use super::outlet::{Ended, Outlet};
use super::schema_cache::ReadySchema;
use super::tuples::guard;
use super::{Call, Consistency, Services};
use crate::caveat::Context;
use crate::consistency::{Raised, Scope, Zookie};
use crate::engine::{
    self, Circumstances, ExpandedTree, FoundSubject, LookupBounds, LookupError, ResourceLookup, ResourceQuestion,
    SubjectLookup, SubjectQuestion, Turn, Waiter,
};
use crate::model::{Decision, Error, ObjectId, ObjectRef, RelationName, limits};
use crate::store::{Reach, ReadView};

/// Batches that wait for the reader.
const BATCHES_AHEAD: usize = 2;

/// On which objects of a type does a subject have a permission?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupResources {
    /// How fresh. Without effect where there is a cursor.
    pub consistency: Consistency,
    /// What is asked.
    pub question: ResourceQuestion,
    /// Parameters of caveats.
    pub context: Context,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// Go on behind the result that this came with, at the same state. All else must be as it was.
    pub cursor: Option<String>,
}

/// A resource, and the cursor for what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceWithCursor {
    /// Its id.
    pub id: ObjectId,
    /// Never a denial.
    pub decision: Decision,
    /// Opaque.
    pub cursor: String,
}

/// The answer to a lookup of resources.
#[derive(Debug)]
pub struct ResourceStream {
    /// The state that all results are about.
    pub zookie: Zookie,
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
    /// Each resource once. It ends after the last batch, or after an error. Dropping it ends the lookup.
    pub batches: mpsc::Receiver<Result<Vec<ResourceWithCursor>, Error>>,
}

/// Which subjects of a kind have a permission on an object?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupSubjects {
    /// How fresh.
    pub consistency: Consistency,
    /// What is asked.
    pub question: SubjectQuestion,
    /// Parameters of caveats.
    pub context: Context,
}

/// The answer to a lookup of subjects.
#[derive(Debug)]
pub struct SubjectStream {
    /// The state that all results are about.
    pub zookie: Zookie,
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
    /// Each subject once. It ends after the last batch, or after an error. Dropping it ends the lookup.
    pub batches: mpsc::Receiver<Result<Vec<FoundSubject>, Error>>,
}

/// The answer to an expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandAnswer {
    /// What it is.
    pub tree: ExpandedTree,
    /// The state that it was made from.
    pub zookie: Zookie,
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
}

/// What a cursor of a lookup holds for. Its own type, so that no other cursor passes for one of a lookup.
#[derive(Serialize)]
struct LookupFingerprint<'a> {
    lookup_resources: [&'a str; 5],
    consistency: &'a Consistency,
    context: String,
    limit: usize,
}

impl LookupResources {
    fn digest(&self, call: Call) -> Digest {
        let ResourceQuestion { resource_type, permission, subject } = &self.question;
        let lookup_resources = [
            resource_type.as_str(),
            permission.as_str(),
            subject.object.object_type.as_str(),
            subject.object.object_id.as_str(),
            subject.relation.as_ref().map_or("", RelationName::as_str),
        ];
        let context = self.context.to_string();
        Digest::of(
            call.store,
            &LookupFingerprint { lookup_resources, consistency: &self.consistency, context, limit: self.limit },
        )
    }
}

impl Services {
    /// Looks up resources.
    pub async fn lookup_resources(&self, call: Call, request: LookupResources) -> Result<ResourceStream, Error> {
        guard::check_limit(request.limit, limits::LOOKUP_LIMIT)?;
        let digest = request.digest(call);
        let scope = Scope::Type(&request.question.resource_type);
        let (basis, place) =
            self.resume_stream(call, &request.consistency, request.cursor.as_deref(), digest, scope).await?;
        let Basis { view, zookie, raised } = basis;
        let now = self.now()?;
        let (walked_at, count) = place.map(Place::candidates).transpose()?.unwrap_or((now, 0));
        let LookupResources { question, context, limit, .. } = request;
        let begin = move |ready: &ReadySchema| {
            let circumstances = Circumstances { now, context };
            let bounds = LookupBounds::default();
            // What is beyond the limit is not to be judged.
            let batch_results = if limit == 0 { bounds.batch_results } else { bounds.batch_results.min(limit) };
            let bounds = LookupBounds { batch_results, ..bounds };
            ResourceLookup::new(&ready.plan, question, circumstances, walked_at, count, bounds)
        };
        let (progress, lookup) = self.begin_lookup(call, view, begin).await?;
        let terms = self.stream_terms(call, "go on after the last cursor");
        let (outlet, batches) = Outlet::new(BATCHES_AHEAD, terms);
        let mut left = if limit == 0 { usize::MAX } else { limit };
        let next = move |mut lookup: ResourceLookup, ready: &ReadySchema, view: &dyn ReadView, turn: &Turn| {
            let Some(found) = lookup.next_batch(&ready.plan, view, turn, left)? else { return Ok(None) };
            left -= found.len();
            let with_cursor = |found: engine::FoundResource| {
                let after = Place::Candidates { walked_at, count: found.position };
                let cursor = Cursor::after(zookie, digest, after).encode();
                ResourceWithCursor { id: found.id, decision: found.decision, cursor }
            };
            let batch = found.into_iter().map(with_cursor).collect();
            Ok(Some((batch, (left > 0).then_some(lookup))))
        };
        tokio::spawn(progress.run(outlet, lookup, next));
        Ok(ResourceStream { zookie, raised, batches })
    }

    /// Looks up subjects.
    pub async fn lookup_subjects(&self, call: Call, request: LookupSubjects) -> Result<SubjectStream, Error> {
        let scope = Scope::Type(&request.question.resource.object_type);
        let Basis { view, zookie, raised } = self.basis(call, &request.consistency, scope).await?;
        let now = self.now()?;
        let LookupSubjects { question, context, .. } = request;
        let begin = move |ready: &ReadySchema| {
            SubjectLookup::new(&ready.plan, question, Circumstances { now, context }, LookupBounds::default())
        };
        let (progress, lookup) = self.begin_lookup(call, view, begin).await?;
        let (outlet, batches) = Outlet::new(BATCHES_AHEAD, self.stream_terms(call, "ask again"));
        let next = |mut lookup: SubjectLookup, ready: &ReadySchema, view: &dyn ReadView, turn: &Turn| {
            Ok(lookup.next_batch(&ready.plan, view, turn)?.map(|batch| (batch, Some(lookup))))
        };
        tokio::spawn(progress.run(outlet, lookup, next));
        Ok(SubjectStream { zookie, raised, batches })
    }

    /// Expands a permission on an object.
    pub async fn expand(
        &self,
        call: Call,
        consistency: &Consistency,
        resource: ObjectRef,
        permission: RelationName,
    ) -> Result<ExpandAnswer, Error> {
        let Basis { view, zookie, raised } = self.basis(call, consistency, Scope::Type(&resource.object_type)).await?;
        let now = self.now()?;
        let schemas = Arc::clone(&self.schemas);
        let expand = move |waiter: &Waiter| {
            let ready = schemas.of(call.store, view.as_ref())?;
            Ok(engine::expand(&ready.plan, view.as_ref(), &resource, &permission, now, waiter)?)
        };
        Ok(ExpandAnswer { tree: self.pool.evaluate(call.deadline, expand).await?, zookie, raised })
    }

    /// What a lookup goes on with, once its question was found to be valid.
    async fn begin_lookup<L: Send + 'static>(
        &self,
        call: Call,
        view: Arc<dyn ReadView>,
        begin: impl FnOnce(&ReadySchema) -> Result<L, LookupError> + Send + 'static,
    ) -> Result<(Progress, L), Error> {
        let (schemas, of_view) = (Arc::clone(&self.schemas), Arc::clone(&view));
        let begin = move || {
            let ready = schemas.of(call.store, of_view.as_ref())?;
            let lookup = begin(&ready)?;
            Ok((ready, lookup))
        };
        let (ready, lookup) = self.pool.run(call.deadline, begin).await?;
        let progress = Progress {
            pool: self.pool.clone(),
            batch_timeout: self.limits.request_timeout,
            clock: self.clock()?,
            view,
            ready,
        };
        Ok((progress, lookup))
    }
}

/// What the batches of a lookup share.
struct Progress {
    pool: EvaluationPool,
    batch_timeout: Duration,
    /// What has expired when a batch is made counts for nothing in it.
    clock: Clock,
    view: Arc<dyn ReadView>,
    ready: Arc<ReadySchema>,
}

/// The results of a batch, and the lookup where it may have more.
type Batch<T, L> = Option<(Vec<T>, Option<L>)>;

impl Progress {
    /// Works batch by batch and sends what is found.
    async fn run<T, L, N>(self, batches: Outlet<Vec<T>>, lookup: L, next: N)
    where
        T: Send + 'static,
        L: Send + 'static,
        N: FnMut(L, &ReadySchema, &dyn ReadView, &Turn) -> Result<Batch<T, L>, LookupError> + Send + 'static,
    {
        let ended = self.look_up(&batches, lookup, next).await;
        batches.end(ended);
    }

    async fn look_up<T, L, N>(&self, batches: &Outlet<Vec<T>>, lookup: L, next: N) -> Result<(), Ended>
    where
        T: Send + 'static,
        L: Send + 'static,
        N: FnMut(L, &ReadySchema, &dyn ReadView, &Turn) -> Result<Batch<T, L>, LookupError> + Send + 'static,
    {
        let mut under_way = Some((lookup, next));
        while let Some((lookup, mut next)) = under_way.take() {
            let room = batches.room().await?;
            let (view, ready) = (Arc::clone(&self.view), Arc::clone(&self.ready));
            let clock = self.clock.clone();
            let work = move |waiter: &Waiter| {
                let turn = Turn { now: clock.now(), waiter: waiter.clone() };
                let reader = view.reader(Reach::Disk);
                let batch = next(lookup, &ready, reader.as_deref().unwrap_or(view.as_ref()), &turn)?;
                Ok(batch.map(|(found, lookup)| (found, lookup.map(|lookup| (lookup, next)))))
            };
            let batch = batches.while_read(self.pool.go_on(batches.step(self.batch_timeout), work)).await?;
            let Some((found, left)) = batch else { return Ok(()) };
            if !found.is_empty() {
                room.send(found);
            }
            under_way = left;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CheckItem;
    use crate::model::{ErrorCode, Revision, SubjectRef, TypeName, UpdateKind};
    use crate::service::testing::{SCHEMA, TestNode, call, key, update};
    use crate::service::{Explain, ReadTuples, WriteTuples};

    async fn with_tuples(texts: impl IntoIterator<Item = String>) -> (Arc<TestNode>, Arc<Services>) {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let updates: Vec<_> = texts.into_iter().map(|text| update(UpdateKind::Touch, &text)).collect();
        for updates in updates.chunks(limits::UPDATES_PER_WRITE) {
            let write = WriteTuples { updates: updates.to_vec(), ..WriteTuples::default() };
            services.write_tuples(call(), write).await.expect("valid");
        }
        (node, services)
    }

    fn documents_of(user: &str, limit: usize, cursor: Option<String>) -> LookupResources {
        LookupResources {
            consistency: Consistency::FullyConsistent,
            question: ResourceQuestion {
                resource_type: TypeName::new("document").expect("valid"),
                permission: RelationName::new("view").expect("valid"),
                subject: SubjectRef::new("user", user, "").expect("valid"),
            },
            context: Context::new(),
            limit,
            cursor,
        }
    }

    async fn collect(mut stream: ResourceStream) -> Vec<ResourceWithCursor> {
        let mut all = Vec::new();
        while let Some(batch) = stream.batches.recv().await {
            all.extend(batch.expect("answers"));
        }
        all
    }

    fn ids(found: &[ResourceWithCursor]) -> Vec<&str> {
        found.iter().map(|found| found.id.as_str()).collect()
    }

    #[tokio::test]
    async fn pages_are_about_the_state_of_the_first_and_repeat_nothing() {
        let texts =
            (0..5).flat_map(|n| [format!("document:v{n}#viewer@user:b"), format!("document:v{n}#owner@user:b")]);
        let (_, services) = with_tuples(texts).await;
        let whole = services.lookup_resources(call(), documents_of("b", 0, None)).await.expect("valid");
        let whole = collect(whole).await;
        let mut paged: Vec<ResourceWithCursor> = Vec::new();
        let mut zookies = Vec::new();
        loop {
            let cursor = paged.last().map(|found| found.cursor.clone());
            let page = services.lookup_resources(call(), documents_of("b", 2, cursor)).await.expect("valid");
            zookies.push(page.zookie);
            let page = collect(page).await;
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            // What is written between two pages is in neither.
            let late = update(UpdateKind::Touch, &format!("document:a{}#viewer@user:b", paged.len()));
            let write = WriteTuples { updates: vec![late], ..WriteTuples::default() };
            services.write_tuples(call(), write).await.expect("valid");
        }
        assert_eq!(ids(&paged), ids(&whole));
        assert_eq!(whole.len(), 5);
        assert!(zookies.iter().all(|zookie| zookie.revision == zookies[0].revision));
    }

    #[tokio::test]
    async fn a_cursor_holds_for_the_very_same_request_only() {
        let (_, services) = with_tuples((0..3).map(|n| format!("document:v{n}#viewer@user:b"))).await;
        let page = services.lookup_resources(call(), documents_of("b", 2, None)).await.expect("valid");
        let cursor = Some(collect(page).await.remove(0).cursor);
        let read = ReadTuples {
            consistency: Consistency::FullyConsistent,
            filter: crate::model::TupleFilter { resource_type: TypeName::new("document").ok(), ..Default::default() },
            limit: 2,
            cursor: None,
        };
        let mut pages = services.read_tuples(call(), read.clone()).await.expect("valid").pages;
        let of_a_read = pages.recv().await.expect("a page").expect("answers").remove(0).cursor;
        for refused in [
            documents_of("c", 2, cursor.clone()),
            documents_of("b", 1, cursor.clone()),
            documents_of("b", 2, Some(of_a_read)),
            documents_of("b", 2, Some("?".to_owned())),
        ] {
            let error = services.lookup_resources(call(), refused).await.expect_err("another request");
            assert_eq!(error.code, ErrorCode::InvalidCursor);
        }
        let error = services.read_tuples(call(), ReadTuples { cursor, ..read }).await.expect_err("another request");
        assert_eq!(error.code, ErrorCode::InvalidCursor);
        let too_many = documents_of("b", limits::LOOKUP_LIMIT + 1, None);
        let error = services.lookup_resources(call(), too_many).await.expect_err("too many");
        assert_eq!(error.code, ErrorCode::LimitTooLarge);
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_holds_no_thread() {
        let (_, services) = with_tuples((0..4000).map(|n| format!("document:v{n}#viewer@user:b"))).await;
        let mut slow = Vec::new();
        for _ in 0..4 {
            slow.push(services.lookup_resources(call(), documents_of("b", 0, None)).await.expect("valid"));
        }
        let key = key("document:v1#view@user:b");
        let item = CheckItem {
            resource: key.resource,
            permission: key.relation,
            subject: key.subject,
            context: Context::new(),
        };
        services.check(call(), &Consistency::FullyConsistent, item, Explain::No).await.expect("a thread is free");
        for stream in slow {
            assert_eq!(collect(stream).await.len(), 4000);
        }
    }

    #[tokio::test]
    async fn subjects_and_trees_say_which_state_they_are_about() {
        let (node, services) = with_tuples(
            ["document:a#viewer@user:*", "document:a#viewer@user:b", "document:a#owner@user:c"].map(str::to_owned),
        )
        .await;
        let question = |permission: &str| SubjectQuestion {
            resource: key("document:a#view@user:x").resource,
            permission: RelationName::new(permission).expect("valid"),
            subject_type: TypeName::new("user").expect("valid"),
            subject_relation: None,
        };
        let lookup = |permission| LookupSubjects {
            consistency: Consistency::FullyConsistent,
            question: question(permission),
            context: Context::new(),
        };
        let mut answer = services.lookup_subjects(call(), lookup("view")).await.expect("valid");
        let mut found = Vec::new();
        while let Some(batch) = answer.batches.recv().await {
            found.extend(batch.expect("answers").into_iter().map(|found| found.id.to_string()));
        }
        found.sort();
        assert_eq!(found, ["*", "b", "c"]);
        assert_eq!(answer.zookie.revision, node.applied());
        let error = services.lookup_subjects(call(), lookup("absent")).await.expect_err("no such permission");
        assert_eq!(error.code, ErrorCode::UnknownRelation);

        let before = Zookie { revision: Revision::new(node.applied().index() - 1), ..answer.zookie };
        let resource = || question("view").resource;
        let exactly = Consistency::AtExactSnapshot(before.encode());
        for (consistency, subjects) in [(exactly, 0), (Consistency::FullyConsistent, 2)] {
            let viewer = RelationName::new("viewer").expect("valid");
            let answer = services.expand(call(), &consistency, resource(), viewer).await.expect("valid");
            let crate::engine::ExpandedBody::Subjects(found) = answer.tree.body else { panic!("a leaf") };
            assert_eq!(found.len(), subjects);
        }
    }
}
