//! The schema: written whole, judged against the one that it replaces and against the data.

use std::sync::Arc;

use super::keyed::{key_reused, keyed};
use super::orphans::{SearchBounds, search};
use super::{Call, Services, Written};
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, IdempotencyKey, Revision, TimestampMs, TupleKey, limits};
use crate::raft::{self, CommandBody, Outcome, Refusal};
use crate::schema::guards::{Guard, never_allowed, orphaning};
use crate::schema::{Schema, spicedb};

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

/// A new schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteSchema {
    /// All of it.
    pub text: String,
    /// What the client calls the change, if it may be sent again.
    pub key: Option<IdempotencyKey>,
}

impl From<String> for WriteSchema {
    fn from(text: String) -> Self {
        Self { text, key: None }
    }
}

impl Services {
    /// Replaces the schema. The zookie names the first state under the new one.
    pub async fn write_schema(&self, call: Call, new: impl Into<WriteSchema>) -> Result<Written, Error> {
        let WriteSchema { text, key } = new.into();
        if text.len() > limits::SCHEMA_BYTES {
            let message = format!("the schema takes {} bytes; the limit is {}", text.len(), limits::SCHEMA_BYTES);
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        let parse = {
            let text = text.clone();
            move || Ok(spicedb::parse(&text)?)
        };
        let new = Arc::new(self.pool.run(call.deadline, parse).await?);
        let keyed = keyed(key, "schema", &text);
        for _ in 0..ATTEMPTS {
            let (applied, guards) = match self.judge_schema(call, &new).await? {
                Ok(judged) => {
                    let change = raft::WriteSchema {
                        store: call.store,
                        replaces: judged.replaces,
                        orphan_guards: judged.guards.iter().map(|guard| guard.filter.clone()).collect(),
                        judged_at: judged.at,
                        expired_by: judged.expired_by,
                        text: text.clone(),
                        request: keyed.clone(),
                    };
                    (self.propose(call, CommandBody::WriteSchema(change)).await?, judged.guards)
                }
                Err(refused) => (self.first_try(call, keyed.as_ref(), refused).await?, Vec::new()),
            };
            match applied.outcome {
                Outcome::Done => return self.written(&applied),
                Outcome::Refused(Refusal::KeyReused) => return Err(key_reused()),
                Outcome::Refused(Refusal::SchemaChanged { .. } | Refusal::JudgementOutdated) => {}
                Outcome::Refused(Refusal::WouldOrphan { position, example }) => {
                    let guard = usize::try_from(position).ok().and_then(|position| guards.get(position));
                    return Err(guard.map_or_else(
                        || Error::new(ErrorCode::Internal, format!("there is no guard at position {position}")),
                        |guard| would_orphan(guard, &example),
                    ));
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

    /// Judges a change against the latest schema and all data of one state. What is written after that is for apply to see.
    /// The inner error: refused.
    async fn judge_schema(&self, call: Call, new: &Arc<Schema>) -> Result<Result<Judged, Error>, Error> {
        // Only the latest schema says which tuples there can be; an older one would miss some guards.
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let (schemas, new, now) = (Arc::clone(&self.schemas), Arc::clone(new), self.now()?);
        let judge = move || {
            let current = schemas.of(call.store, view.as_ref())?;
            if let Some(refused) = never_allowed(current.schema(), &new).into_iter().next() {
                let message = format!("the schema was not changed: {}", refused.what);
                return Ok(Err(in_use(message, refused.details)));
            }
            let guards = orphaning(current.schema(), &new);
            let bounds = SearchBounds { rows: usize::MAX, until: call.deadline };
            let orphans = search(view.as_ref(), &guards, now, bounds)?;
            if let Some((position, example)) = orphans.first() {
                return Ok(Err(would_orphan(&guards[position], example)));
            }
            if orphans.incomplete {
                const MESSAGE: &str = "the schema was not changed: the deadline passed while relationships that it would \
                                       orphan were looked for; try again with more time";
                return Err(Error::new(ErrorCode::DeadlineExceeded, MESSAGE));
            }
            let (replaces, at, expired_by) = (current.revision, view.revision(), orphans.expired_by);
            Ok(Ok(Judged { replaces, guards, at, expired_by }))
        };
        self.pool.run(call.deadline, judge).await
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

/// A change that nothing stands in the way of, as far as could be seen.
struct Judged {
    /// The schema that it was judged against.
    replaces: Option<Revision>,
    /// What nothing may match.
    guards: Vec<Guard>,
    /// The state that was looked at.
    at: Revision,
    /// By when the tuples that match have expired.
    expired_by: TimestampMs,
}

fn would_orphan(guard: &Guard, example: &TupleKey) -> Error {
    let what = &guard.what;
    let message =
        format!("the schema was not changed: {what}; delete such relationships first, for example `{example}`");
    in_use(message, guard.details.clone()).with("relationship", example)
}

/// Data, or what may be data, is in the way.
fn in_use(message: String, details: Vec<(&'static str, String)>) -> Error {
    let mut error = Error::new(ErrorCode::SchemaInUse, message);
    error.details = details;
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpdateKind;
    use crate::service::WriteTuples;
    use crate::service::testing::{SCHEMA, TestNode, call, schema_change, update};

    #[tokio::test]
    async fn a_schema_is_read_as_it_was_written() {
        let (node, services) = TestNode::start();
        *node.lags_at.lock() = Some(Revision::ZERO); // Without effect: nothing here may be read from behind.
        assert_eq!(services.read_schema(call()).await.expect_err("none").code, ErrorCode::SchemaNotFound);
        let written = services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let read = services.read_schema(call()).await.expect("written");
        assert_eq!((read.text.as_ref(), read.zookie), (SCHEMA, written.zookie));
        services.write_schema(call(), String::new()).await.expect("no tuple is in the way");
        assert_eq!(services.read_schema(call()).await.expect_err("removed").code, ErrorCode::SchemaNotFound);
    }

    #[tokio::test]
    async fn a_schema_that_is_not_valid_is_refused() {
        let (node, services) = TestNode::start();
        let cases = [
            ("definition user {", ErrorCode::SchemaParse),
            ("definition user { permission view = absent }", ErrorCode::SchemaType),
        ];
        for (text, code) in cases {
            assert_eq!(services.write_schema(call(), text.to_owned()).await.expect_err(text).code, code, "{text}");
        }
        let long = " ".repeat(limits::SCHEMA_BYTES + 1);
        assert_eq!(services.write_schema(call(), long).await.expect_err("long").code, ErrorCode::InvalidArgument);
        assert_eq!(node.applied().index(), 0, "nothing was proposed");
    }

    #[tokio::test]
    async fn a_change_that_would_orphan_tuples_names_one_of_them() {
        let (_, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let updates = vec![update(UpdateKind::Touch, "document:a#viewer@user:b")];
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let smaller = SCHEMA.replace("viewer: user | user:* |", "viewer: user:* |");
        let error = services.write_schema(call(), smaller.clone()).await.expect_err("in use");
        assert_eq!(error.code, ErrorCode::SchemaInUse);
        assert!(error.message.contains("document:a#viewer@user:b"), "{error}");
        let updates = vec![update(UpdateKind::Delete, "document:a#viewer@user:b")];
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        services.write_schema(call(), smaller).await.expect("not in use any more");
    }

    #[tokio::test]
    async fn a_change_that_comes_second_is_judged_against_the_first() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let first = format!("{SCHEMA} definition folder {{ relation parent: user }}");
        node.others.lock().push_back(schema_change(&node, &first));
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("judged anew");
        assert_eq!(services.read_schema(call()).await.expect("written").text.as_ref(), SCHEMA);
    }
}
