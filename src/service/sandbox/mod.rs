//! A schema and relationships in memory, to be asked without a cluster: the same language, the same evaluation, no log and no
//! disk.

mod membership;
mod tracing;
mod walk;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::evaluate::EvaluationPool;
use crate::caveat::{Caveat, Context, ParameterType};
use crate::engine::{self, Budget, CheckItem, Circumstances, Plan};
use crate::model::{CaveatName, Decision, Error, ErrorCode, Revision, StoreId, SubjectRef, TimestampMs, Tuple};
use crate::schema::{Member, Schema, SchemaError, spicedb};
use crate::store::{MemoryStore, ReadView, StateBatch, StateStore};

pub use membership::{Membership, Place, WithoutSubject};

/// The longest that one question may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be asked.
#[derive(Clone)]
pub struct Sandbox {
    facts: Arc<Facts>,
    /// The same with every caveat left open: whatever was stored with it, it neither holds nor fails.
    open: Arc<Facts>,
    pool: EvaluationPool,
}

/// A schema and relationships, at one time.
struct Facts {
    plan: Plan,
    view: Arc<dyn ReadView>,
    now: TimestampMs,
}

/// Why there is nothing to be asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The schema.
    #[error(transparent)]
    Schema(SchemaError),
    /// One of the relationships.
    #[error("{error}")]
    Tuple {
        /// Its position in the list.
        position: usize,
        /// What is wrong with it.
        error: Error,
    },
    /// The store in memory.
    #[error(transparent)]
    Store(Error),
}

impl Sandbox {
    /// The schema of `schema` with `tuples`, which it must allow; relationships that expire are judged at `now`.
    pub fn new(schema: &str, tuples: &[Tuple], now: TimestampMs) -> Result<Self, SandboxError> {
        let schema = spicedb::parse(schema).map_err(SandboxError::Schema)?;
        let mut seen = HashSet::with_capacity(tuples.len());
        for (position, tuple) in tuples.iter().enumerate() {
            let wrong = |error| SandboxError::Tuple { position, error };
            schema.check_tuple(tuple).map_err(wrong)?;
            if !seen.insert(&tuple.key) {
                let message = format!("`{}` stands here for a second time", tuple.key);
                return Err(wrong(Error::new(ErrorCode::DuplicateUpdate, message)));
            }
        }
        let (open_schema, open_tuples) = (left_open(&schema), tuples.iter().map(without_context).collect::<Vec<_>>());
        let facts = Facts::new(schema, tuples, now).map_err(SandboxError::Store)?;
        let open = Facts::new(open_schema, &open_tuples, now).map_err(SandboxError::Store)?;
        Ok(Self { facts: Arc::new(facts), open: Arc::new(open), pool: EvaluationPool::new(1, PATIENCE) })
    }

    /// The answer to one check.
    pub async fn check(&self, item: CheckItem) -> Result<Decision, Error> {
        self.run(&self.facts, move |facts| facts.check(&item)).await
    }

    /// Everyone who has a relation or permission, with where each comes from. Caveats are left open, as in SpiceDB: who has
    /// it under one is a conditional member, whatever its context says.
    pub async fn members(&self, place: Place) -> Result<Vec<Membership>, Error> {
        self.run(&self.open, move |facts| membership::members(facts, &place)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        facts: &Arc<Facts>,
        ask: impl FnOnce(&Facts) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let facts = Arc::clone(facts);
        self.pool.run(Instant::now() + PATIENCE, move || ask(&facts)).await
    }
}

impl Facts {
    fn new(schema: Schema, tuples: &[Tuple], now: TimestampMs) -> Result<Self, Error> {
        Ok(Self { plan: Plan::new(Arc::new(schema)), view: stored(tuples)?, now })
    }

    fn check(&self, item: &CheckItem) -> Result<Decision, Error> {
        let circumstances = Circumstances { now: self.now, context: item.context.clone() };
        let CheckItem { resource, permission, subject, context: _ } = item;
        let (plan, view, budget) = (&self.plan, self.view.as_ref(), Budget::default());
        Ok(engine::check(plan, view, resource, permission, subject, &circumstances, &budget)?.decision)
    }

    /// A check without a context.
    fn decide(&self, place: &Place, subject: &SubjectRef) -> Result<Decision, Error> {
        let (resource, permission, subject) = (place.object.clone(), place.relation.clone(), subject.clone());
        self.check(&CheckItem { resource, permission, subject, context: Context::new() })
    }

    fn member(&self, place: &Place) -> Option<&Member> {
        self.plan.schema().definitions.get(&place.object.object_type)?.members.get(&place.relation)
    }

    /// The subjects of the relationships of `place` that have not expired.
    fn subjects(&self, place: &Place) -> Result<Vec<SubjectRef>, Error> {
        let mut found = Vec::new();
        self.view.subjects(&place.object, &place.relation, &mut |row| {
            if !row.qualifiers.expired(self.now) {
                found.push(SubjectRef::new(row.subject_type, row.subject_id, row.subject_relation.unwrap_or_default()));
            }
            ControlFlow::Continue(())
        })?;
        let broken = |error| Error::new(ErrorCode::Internal, format!("a stored name: {error}"));
        found.into_iter().collect::<Result<_, _>>().map_err(broken)
    }
}

/// The schema with caveats of which nothing is known.
fn left_open(schema: &Schema) -> Schema {
    const UNKNOWN: &str = "unknown";
    let parameters = BTreeMap::from([(UNKNOWN.to_owned(), ParameterType::Bool)]);
    let open = |name: &CaveatName| Caveat::compile(name, &parameters, UNKNOWN).expect("a parameter is an expression");
    let caveats = schema.caveats.keys().map(|name| (name.clone(), Arc::new(open(name)))).collect();
    Schema { caveats, ..schema.clone() }
}

fn without_context(tuple: &Tuple) -> Tuple {
    let mut tuple = tuple.clone();
    if let Some(caveat) = &mut tuple.qualifiers.caveat {
        caveat.context_json.clear();
    }
    tuple
}

fn stored(tuples: &[Tuple]) -> Result<Arc<dyn ReadView>, Error> {
    let (store, at) = (MemoryStore::new(), Revision::new(1));
    let mut batch = store.batch();
    for tuple in tuples {
        batch.put(StoreId::DEFAULT, at, tuple)?;
    }
    batch.commit(at)?;
    Ok(store.view(StoreId::DEFAULT, at)?)
}
