//! Writes: judged against a schema here, against the data where the log is applied.
//!
//! A write is proposed with the revision of the schema that it was judged against. When apply finds another one in force, the
//! write is judged and proposed again. Apply never compiles a schema, and no write slips in under a schema that forbids it.

use std::sync::Arc;

use foldhash::{HashSet, HashSetExt as _};

use super::guard;
use crate::consistency::Requirement;
use crate::model::{
    Error, ErrorCode, IdempotencyKey, Precondition, Revision, TupleKey, TupleUpdate, UpdateKind, limits,
};
use crate::mutants::Mutant;
use crate::raft::{self, CommandBody, Outcome, Refusal};
use crate::schema::Schema;
use crate::service::keyed::keyed;
use crate::service::{Call, Services, Written};

/// How often a write is judged anew because the schema changed under it.
const ATTEMPTS: usize = 5;
/// Updates and preconditions of a write that is judged where it arrived.
const AT_ONCE: usize = 16;

/// Changes to tuples, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteTuples {
    /// What to change.
    pub updates: Vec<TupleUpdate>,
    /// What must hold before.
    pub preconditions: Vec<Precondition>,
    /// For whoever watches: JSON text, or empty.
    pub metadata_json: String,
    /// What the client calls it, if it may be sent again.
    pub key: Option<IdempotencyKey>,
}

impl Services {
    /// Changes tuples. The zookie names the state that has all of the changes.
    pub async fn write_tuples(&self, call: Call, request: WriteTuples) -> Result<Written, Error> {
        check_shape(&request)?;
        if request.updates.is_empty() && request.preconditions.is_empty() && request.key.is_none() {
            // Nothing to write, to judge or to remember: the present state already has all of it.
            let view = self.view(call, Requirement::FullyConsistent).await?;
            return Ok(Written { zookie: self.zookie(view.revision())?, replayed: false });
        }
        self.propose_write(call, request).await
    }

    /// Judges and proposes a write whose shape is in order.
    pub(super) async fn propose_write(&self, call: Call, request: WriteTuples) -> Result<Written, Error> {
        let asked = (&request.updates, &request.preconditions, &request.metadata_json);
        let keyed = keyed(request.key.clone(), "write", &asked);
        let request = Arc::new(request);
        let mut requirement = Requirement::MinimizeLatency;
        for _ in 0..ATTEMPTS {
            let applied = match self.judge(call, requirement, &request).await? {
                Ok(schema_revision) => {
                    let was_judged = Mutant::JudgedAtPropose.is_on();
                    let body = CommandBody::WriteTuples(raft::WriteTuples {
                        store: call.store,
                        schema_revision,
                        preconditions: if was_judged { Vec::new() } else { request.preconditions.clone() },
                        updates: request.updates.clone(),
                        metadata_json: request.metadata_json.clone(),
                        request: keyed.clone(),
                    });
                    self.propose(call, body).await?
                }
                Err(refused) => self.first_try(call, keyed.as_ref(), refused).await?,
            };
            match applied.outcome {
                Outcome::Done => return self.written(&applied),
                Outcome::Refused(Refusal::SchemaChanged { current }) => {
                    requirement = current.map_or(Requirement::FullyConsistent, Requirement::AtLeastAsFresh);
                }
                Outcome::Refused(refusal) => return Err(guard::refused(refusal, &request.preconditions)),
                Outcome::Deleted { .. } | Outcome::Admitted { .. } => {
                    let message =
                        format!("a write came to an outcome that is not one of a write: {:?}", applied.outcome);
                    return Err(Error::new(ErrorCode::Internal, message));
                }
            }
        }
        const MESSAGE: &str = "nothing was written: the schema kept changing while the write was judged; try again";
        Err(Error::new(ErrorCode::Conflict, MESSAGE))
    }

    /// The revision of a schema under which `request` is in order. The outer error: no judgement. The inner one: refused.
    ///
    /// This node may lag, so that its schema refuses what the latest one allows: only the latest one refuses for good.
    async fn judge(
        &self,
        call: Call,
        first: Requirement,
        request: &Arc<WriteTuples>,
    ) -> Result<Result<Revision, Error>, Error> {
        match self.judge_under(call, first, request).await? {
            Ok(revision) => Ok(Ok(revision)),
            Err(_) => self.judge_under(call, Requirement::FullyConsistent, request).await,
        }
    }

    async fn judge_under(
        &self,
        call: Call,
        requirement: Requirement,
        request: &Arc<WriteTuples>,
    ) -> Result<Result<Revision, Error>, Error> {
        let view = self.view(call, requirement).await?;
        // Names of a few tuples are compared sooner than they are handed to another thread. A refusal is left to that.
        if request.updates.len() + request.preconditions.len() <= AT_ONCE
            && self.pool.has_time()
            && !Mutant::JudgedAtPropose.is_on()
            && let Some(ready) = self.schemas.known(call.store, view.as_ref())
            && let Some(revision) = ready.revision
            && check_names(ready.schema(), request).is_ok()
        {
            return Ok(Ok(revision));
        }
        let (schemas, request) = (Arc::clone(&self.schemas), Arc::clone(request));
        self.pool
            .run(call.deadline, move || {
                let ready = schemas.of(call.store, view.as_ref())?;
                let Some(revision) = ready.revision else {
                    const MESSAGE: &str = "no schema was written yet; write one first";
                    return Ok(Err(Error::new(ErrorCode::UnknownDefinition, MESSAGE)));
                };
                #[cfg(feature = "mutants")]
                if Mutant::JudgedAtPropose.is_on()
                    && let Err(refused) = guard::judge_preconditions(view.as_ref(), &request.preconditions)
                {
                    return Ok(Err(refused));
                }
                Ok(check_names(ready.schema(), &request).map(|()| revision))
            })
            .await
    }
}

fn check_names(schema: &Schema, request: &WriteTuples) -> Result<(), Error> {
    guard::check_precondition_names(schema, &request.preconditions)?;
    request.updates.iter().try_for_each(|TupleUpdate { kind, tuple }| match kind {
        UpdateKind::Create | UpdateKind::Touch => schema.check_tuple(tuple),
        UpdateKind::Delete => schema.check_deletion(tuple),
    })
}

/// Everything that needs no state, in SpiceDB's order, which decides what is said of a request that is wrong twice.
fn check_shape(request: &WriteTuples) -> Result<(), Error> {
    guard::check_subjects(request.preconditions.iter().map(|precondition| &precondition.filter))?;
    guard::check_metadata(&request.metadata_json)?;
    let (count, most) = (request.updates.len(), limits::UPDATES_PER_WRITE);
    if count > most {
        let message = format!("{count} updates are more than the {most} that one write may have; split it");
        return Err(Error::new(ErrorCode::TooManyUpdates, message)
            .with("update_count", count)
            .with("maximum_updates_allowed", most));
    }
    guard::check_precondition_count(&request.preconditions)?;
    let mut seen = HashSet::with_capacity(count);
    for TupleUpdate { kind: _, tuple } in &request.updates {
        if !seen.insert(&tuple.key) {
            return Err(twice(&tuple.key));
        }
    }
    guard::check_precondition_filters(&request.preconditions)
}

fn twice(key: &TupleKey) -> Error {
    let message = format!("`{key}` is updated twice; one write may update a relationship once");
    Error::new(ErrorCode::DuplicateUpdate, message)
        .with("definition_name", &key.resource.object_type)
        .with("relationship", key)
}
