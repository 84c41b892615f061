//! Checks: one question, or many at once. All questions of a request are answered from one view.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Call, Consistency, Services};
use crate::consistency::Zookie;
use crate::engine::{self, Budget, CheckItem};
use crate::model::{Decision, Error, ErrorCode, limits};
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
        let evaluate = move || {
            let ready = schemas.of(call.store, view.as_ref())?;
            let CheckItem { resource, permission, subject } = &item;
            Ok(engine::check(&ready.plan, view.as_ref(), resource, permission, subject, &Budget::default())?.decision)
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
        let parts: Vec<Vec<CheckItem>> = items.chunks(ITEMS_AT_ONCE).map(<[_]>::to_vec).collect();
        let decisions: Vec<Vec<Result<Decision, Error>>> = stream::iter(parts)
            .map(|part| self.check_part(call, Arc::clone(&view), part))
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(BulkCheckAnswer { decisions: decisions.into_iter().flatten().collect(), zookie })
    }

    async fn check_part(
        &self,
        call: Call,
        view: Arc<dyn ReadView>,
        items: Vec<CheckItem>,
    ) -> Result<Vec<Result<Decision, Error>>, Error> {
        let schemas = Arc::clone(&self.schemas);
        let evaluate = move || {
            let ready = schemas.of(call.store, view.as_ref())?;
            let outcomes = engine::check_bulk(&ready.plan, view.as_ref(), &items, &Budget::default());
            Ok(outcomes.into_iter().map(|outcome| Ok(outcome?.decision)).collect())
        };
        self.pool.run(call.deadline, evaluate).await
    }
}
