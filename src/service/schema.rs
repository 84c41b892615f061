//! The schema: written whole, judged against the one that it replaces and against the data.

use std::sync::Arc;

use super::{Call, Services};
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, limits};
use crate::raft::{CommandBody, Outcome, Refusal, WriteSchema};
use crate::schema::{guards, spicedb};

/// How often a change is judged anew because another one came first.
const ATTEMPTS: usize = 5;

/// The schema in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaAnswer {
    /// As it was written.
    pub text: Arc<str>,
    /// The state that it was read from.
    pub zookie: Zookie,
}

impl Services {
    /// Replaces the schema. The zookie names the first state under the new one.
    pub async fn write_schema(&self, call: Call, text: String) -> Result<Zookie, Error> {
        if text.len() > limits::SCHEMA_BYTES {
            let message = format!("the schema takes {} bytes; the limit is {}", text.len(), limits::SCHEMA_BYTES);
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        let parse = {
            let text = text.clone();
            move || Ok(spicedb::parse(&text)?)
        };
        let new = Arc::new(self.pool.run(call.deadline, parse).await?);
        for _ in 0..ATTEMPTS {
            // Only the latest schema says which tuples there can be; an older one would miss some guards.
            let view = self.view(call, Requirement::FullyConsistent).await?;
            let (schemas, new) = (Arc::clone(&self.schemas), Arc::clone(&new));
            let judge = move || {
                let current = schemas.of(call.store, view.as_ref())?;
                Ok((current.revision, guards::orphaning(current.schema(), &new)))
            };
            let (replaces, guards) = self.pool.run(call.deadline, judge).await?;
            let orphan_guards = guards.iter().map(|guard| guard.filter.clone()).collect();
            let change = WriteSchema { store: call.store, replaces, orphan_guards, text: text.clone() };
            let applied = self.propose(call, CommandBody::WriteSchema(change)).await?;
            match applied.outcome {
                Outcome::Done => return self.zookie(applied.revision),
                Outcome::Refused(Refusal::SchemaChanged { .. }) => {}
                Outcome::Refused(Refusal::WouldOrphan { position, example }) => {
                    let guard = usize::try_from(position).ok().and_then(|position| guards.get(position));
                    let what = guard.map_or("a removed name is in use", |guard| guard.what.as_str());
                    let message = format!(
                        "the schema was not changed: {what}; delete such relationships first, \
                                           for example `{example}`"
                    );
                    return Err(Error::new(ErrorCode::SchemaInUse, message).with("relationship", example));
                }
                outcome @ (Outcome::Refused(_) | Outcome::Deleted { .. } | Outcome::Admitted { .. }) => {
                    let message = format!("a schema change came to an outcome that is not one of it: {outcome:?}");
                    return Err(Error::new(ErrorCode::Internal, message));
                }
            }
        }
        const MESSAGE: &str = "the schema was not changed: others kept changing it; read it, and try again";
        Err(Error::new(ErrorCode::Conflict, MESSAGE))
    }

    /// Reads the schema. Always the latest one: an older text is of no use to whoever wants to change it.
    pub async fn read_schema(&self, call: Call) -> Result<SchemaAnswer, Error> {
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let zookie = self.zookie(view.revision())?;
        let stored = self.pool.run(call.deadline, move || Ok(view.schema()?)).await?;
        match stored {
            // Writing an empty text is how a schema is removed.
            Some(stored) if !stored.text.trim().is_empty() => Ok(SchemaAnswer { text: stored.text, zookie }),
            Some(_) | None => {
                const MESSAGE: &str = "no schema has been defined; write one first";
                Err(Error::new(ErrorCode::SchemaNotFound, MESSAGE))
            }
        }
    }
}
