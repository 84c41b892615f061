//! Deletion by filter. What matches is decided where the log is applied, so that nothing slips between looking and deleting.

use std::sync::Arc;

use super::guard;
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, IdempotencyKey, Precondition, TupleFilter, limits};
use crate::raft::{self, CommandBody, Outcome, Refusal};
use crate::service::keyed::keyed;
use crate::service::{Call, Services, Written};

/// Removal of the tuples that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTuples {
    /// What to remove.
    pub filter: TupleFilter,
    /// What must hold before.
    pub preconditions: Vec<Precondition>,
    /// Remove at most so many; 0 for the most that one request may.
    pub limit: usize,
    /// With a limit: whether stopping there while more match is success. Else it is refused and nothing is removed.
    pub allow_partial: bool,
    /// For whoever watches: JSON text, or empty.
    pub metadata_json: String,
    /// What the client calls it, if it may be sent again.
    pub key: Option<IdempotencyKey>,
}

/// What a deletion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteAnswer {
    /// The state without the removed tuples.
    pub zookie: Zookie,
    /// How many were removed.
    pub count: u64,
    /// Whether its own limit ended it, so that more may match. As in SpiceDB, a deletion that found no more than its limit
    /// says so too.
    pub partial: bool,
    /// Whether all of this happened when it was sent before, and this answer is the one of then.
    pub replayed: bool,
}

impl Services {
    /// Removes tuples.
    pub async fn delete_tuples(&self, call: Call, request: DeleteTuples) -> Result<DeleteAnswer, Error> {
        check_shape(&request)?;
        let DeleteTuples { filter, preconditions, limit, allow_partial, metadata_json, key: _ } = &request;
        let asked = (filter, preconditions, limit, allow_partial, metadata_json);
        let keyed = keyed(request.key.clone(), "delete", &asked);
        let limit = if request.limit == 0 { limits::DELETES_PER_ENTRY } else { request.limit };
        let applied = match self.judge_delete(call, &request).await? {
            Ok(()) => {
                let body = CommandBody::DeleteTuples(raft::DeleteTuples {
                    store: call.store,
                    preconditions: request.preconditions.clone(),
                    filter: request.filter.clone(),
                    limit: limit as u64,
                    allow_partial: request.limit > 0 && request.allow_partial,
                    metadata_json: request.metadata_json,
                    request: keyed,
                });
                self.propose(call, body).await?
            }
            Err(refused) => self.first_try(call, keyed.as_ref(), refused).await?,
        };
        match applied.outcome {
            Outcome::Deleted { count, partial } => {
                let partial = partial || (request.limit > 0 && count == limit as u64);
                let Written { zookie, replayed } = self.written(&applied)?;
                Ok(DeleteAnswer { zookie, count, partial, replayed })
            }
            Outcome::Refused(Refusal::TooManyDeletes { limit }) => Err(guard::too_many_deletes(limit, &request.filter)),
            Outcome::Refused(refusal) => Err(guard::refused(refusal, &request.preconditions)),
            Outcome::Done | Outcome::Admitted { .. } => {
                let message =
                    format!("a deletion came to an outcome that is not one of a deletion: {:?}", applied.outcome);
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    /// Names that no schema defines are most likely misspelt. A deletion can do no harm under any schema, so the command
    /// carries no schema revision. The outer error: no judgement. The inner one: refused.
    async fn judge_delete(&self, call: Call, request: &DeleteTuples) -> Result<Result<(), Error>, Error> {
        let shared = Arc::new((request.filter.clone(), request.preconditions.clone()));
        let mut refused = Ok(());
        // This node may lag: only the latest schema refuses for good.
        for requirement in [Requirement::MinimizeLatency, Requirement::FullyConsistent] {
            let view = self.view(call, requirement).await?;
            let (schemas, shared) = (Arc::clone(&self.schemas), Arc::clone(&shared));
            refused = self
                .pool
                .run(call.deadline, move || {
                    let ready = schemas.of(call.store, view.as_ref())?;
                    let (filter, preconditions) = shared.as_ref();
                    let names = ready.schema().check_filter(filter);
                    Ok(names.and_then(|()| guard::check_precondition_names(ready.schema(), preconditions)))
                })
                .await?;
            if refused.is_ok() {
                break;
            }
        }
        Ok(refused)
    }
}

/// Everything that needs no state, in SpiceDB's order.
fn check_shape(request: &DeleteTuples) -> Result<(), Error> {
    let conditions = request.preconditions.iter().map(|precondition| &precondition.filter);
    guard::check_subjects(conditions.chain([&request.filter]))?;
    guard::check_metadata(&request.metadata_json)?;
    guard::check_precondition_count(&request.preconditions)?;
    guard::check_limit(request.limit, limits::READ_LIMIT)?;
    guard::check_filter_shape(&request.filter)?;
    guard::check_precondition_filters(&request.preconditions)
}
