//! A schema and relationships in memory, to be asked without a cluster: the same language, the same evaluation, no log and no
//! disk.

mod membership;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::evaluate::EvaluationPool;
use crate::engine::{self, Budget, CheckItem, Circumstances, Plan};
use crate::model::{Decision, Error, ErrorCode, Revision, StoreId, TimestampMs, Tuple};
use crate::schema::{SchemaError, spicedb};
use crate::store::{MemoryStore, ReadView, StateBatch, StateStore};

pub use membership::{Membership, Place, WithoutSubject};

/// The longest that one question may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be asked.
#[derive(Clone)]
pub struct Sandbox {
    facts: Arc<Facts>,
    pool: EvaluationPool,
}

/// The schema and the relationships, at one time.
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
        let view = stored(tuples).map_err(SandboxError::Store)?;
        let facts = Facts { plan: Plan::new(Arc::new(schema)), view, now };
        Ok(Self { facts: Arc::new(facts), pool: EvaluationPool::new(1) })
    }

    /// The answer to one check.
    pub async fn check(&self, item: CheckItem) -> Result<Decision, Error> {
        self.run(move |facts| facts.check(&item)).await
    }

    /// Everyone who has a relation or permission, with where each comes from.
    pub async fn members(&self, place: Place) -> Result<Vec<Membership>, Error> {
        self.run(move |facts| membership::members(facts, &place)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Facts) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let facts = Arc::clone(&self.facts);
        self.pool.run(Instant::now() + PATIENCE, move || ask(&facts)).await
    }
}

impl Facts {
    fn check(&self, item: &CheckItem) -> Result<Decision, Error> {
        let circumstances = Circumstances { now: self.now, context: item.context.clone() };
        let CheckItem { resource, permission, subject, context: _ } = item;
        let (plan, view, budget) = (&self.plan, self.view.as_ref(), Budget::default());
        Ok(engine::check(plan, view, resource, permission, subject, &circumstances, &budget)?.decision)
    }
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
