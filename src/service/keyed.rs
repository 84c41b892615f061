//! Writes that their clients named, so that they can be sent again and take effect once.
//!
//! That a write is a repetition is found out where the log is applied. Here is what surrounds it: the digest of what was
//! asked, and the one case that the log does not see: a repetition that this node would refuse by today's schema, although
//! the first one took effect under yesterday's.

use serde::Serialize;

use super::{Call, Services};
use crate::audit::note_effect;
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, IdempotencyKey};
use crate::raft::{self, Applied, KeyedRequest};
use crate::telemetry::note_index;

/// A write that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The first state that has it.
    pub zookie: Zookie,
    /// Whether it took effect when it was sent before, and this answer is the one of then.
    pub replayed: bool,
}

/// `asked` under its client's key. It must be all that the client asked for and nothing else; `kind` tells apart what is
/// written alike.
pub(super) fn keyed(key: Option<IdempotencyKey>, kind: &str, asked: &impl Serialize) -> Option<KeyedRequest> {
    let key = key?;
    // Text with the names of its fields: nodes of different versions agree on it for as long as these stay.
    let json = serde_json::to_vec(&(kind, asked)).expect("a request is plain data with string keys");
    Some(KeyedRequest { key, digest: *blake3::hash(&json).as_bytes() })
}

/// The key was used for another request.
pub(super) fn key_reused() -> Error {
    const MESSAGE: &str = "nothing was written: this idempotency key was used for another request before; take a new key for \
                           each write, and repeat a write unchanged";
    Error::new(ErrorCode::IdempotencyKeyReused, MESSAGE)
}

impl Services {
    /// What `request` came to when it was sent before; `refused` where it has no key, or had no effect until now.
    pub(super) async fn first_try(
        &self,
        call: Call,
        request: Option<&KeyedRequest>,
        refused: Error,
    ) -> Result<Applied, Error> {
        let Some(request) = request.cloned() else { return Err(refused) };
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let recalled = self
            .pool
            .run(call.deadline, move || match view.request(&request.key)? {
                Some(record) => Ok(Some(raft::recall(&record, &request, view.revision())?)),
                None => Ok(None),
            })
            .await?;
        recalled.ok_or(refused)
    }

    pub(super) fn written(&self, applied: &Applied) -> Result<Written, Error> {
        note_effect(applied.revision.index(), applied.repeated);
        note_index(applied.revision.index());
        Ok(Written { zookie: self.zookie(applied.revision)?, replayed: applied.repeated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CounterName, Precondition, PreconditionKind, TupleFilter, TypeName, UpdateKind};
    use crate::service::testing::{SCHEMA, TestNode, call, schema_change, update};
    use crate::service::{DeleteTuples, WriteSchema, WriteTuples};

    const TUPLE: &str = "document:a#viewer@user:b";

    fn key(text: &str) -> Option<IdempotencyKey> {
        Some(IdempotencyKey::new(text).expect("valid"))
    }

    fn write(kind: UpdateKind, text: &str, name: &str) -> WriteTuples {
        WriteTuples { updates: vec![update(kind, text)], key: key(name), ..WriteTuples::default() }
    }

    fn delete(name: &str, limit: usize) -> DeleteTuples {
        let filter = TupleFilter { resource_type: TypeName::new("document").ok(), ..TupleFilter::default() };
        let (preconditions, metadata_json) = (Vec::new(), String::new());
        DeleteTuples { filter, preconditions, limit, allow_partial: true, metadata_json, key: key(name) }
    }

    fn schema(text: &str, name: &str) -> WriteSchema {
        WriteSchema { text: text.to_owned(), key: key(name) }
    }

    /// The schema without what [`TUPLE`] needs.
    fn smaller() -> String {
        SCHEMA.replace("viewer: user | user:* |", "viewer: user:* |")
    }

    #[tokio::test]
    async fn a_repetition_is_answered_as_the_first_and_says_so() {
        let (_, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let create = write(UpdateKind::Create, TUPLE, "k");
        let first = services.write_tuples(call(), create.clone()).await.expect("new");
        assert!(!first.replayed);
        let again = services.write_tuples(call(), create.clone()).await.expect("the same");
        assert_eq!(again, Written { replayed: true, ..first });
        for other in [
            WriteTuples { metadata_json: "{}".into(), ..create.clone() },
            WriteTuples { updates: vec![update(UpdateKind::Touch, TUPLE)], ..create.clone() },
        ] {
            let error = services.write_tuples(call(), other).await.expect_err("another request");
            assert_eq!(error.code, ErrorCode::IdempotencyKeyReused);
        }
        let error = services.delete_tuples(call(), delete("k", 1)).await.expect_err("another request");
        assert_eq!(error.code, ErrorCode::IdempotencyKeyReused);
        let error = services.write_schema(call(), schema(SCHEMA, "k")).await.expect_err("another request");
        assert_eq!(error.code, ErrorCode::IdempotencyKeyReused);

        let deleted = services.delete_tuples(call(), delete("d", 1)).await.expect("one");
        assert!(!deleted.replayed && deleted.count == 1);
        services.write_tuples(call(), write(UpdateKind::Create, TUPLE, "k2")).await.expect("it is gone");
        let again = services.delete_tuples(call(), delete("d", 1)).await.expect("the same");
        assert_eq!(
            (again.zookie, again.count, again.partial, again.replayed),
            (deleted.zookie, 1, deleted.partial, true)
        );
        let error = services.delete_tuples(call(), delete("d", 2)).await.expect_err("another request");
        assert_eq!(error.code, ErrorCode::IdempotencyKeyReused);
    }

    #[tokio::test]
    async fn a_write_without_content_is_remembered_like_any_other() {
        let (_, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let empty = || WriteTuples { key: key("k"), ..WriteTuples::default() };
        let first = services.write_tuples(call(), empty()).await.expect("nothing is against it");
        services.write_tuples(call(), write(UpdateKind::Touch, TUPLE, "other")).await.expect("valid");
        assert_eq!(services.write_tuples(call(), empty()).await.expect("the same").zookie, first.zookie);
    }

    /// The schema that allowed the first one is not in force any more.
    #[tokio::test]
    async fn a_repetition_that_would_be_refused_today_gets_the_answer_of_then() {
        let (node, services) = TestNode::start();
        let begin = services.write_schema(call(), schema(SCHEMA, "schema")).await.expect("valid");
        let create = write(UpdateKind::Create, TUPLE, "write");
        let written = services.write_tuples(call(), create.clone()).await.expect("new");
        let name = CounterName::new("documents").expect("valid");
        let filter = delete("any", 1).filter;
        let register = || services.register_counter(call(), name.clone(), filter.clone(), key("count"));
        let counted = register().await.expect("new");
        let deleted = services.delete_tuples(call(), delete("delete", 1)).await.expect("one");
        services.write_schema(call(), smaller()).await.expect("nothing is in the way");

        let again = services.write_tuples(call(), create.clone()).await.expect("it took effect");
        assert_eq!(again, Written { replayed: true, ..written });
        let error = services.write_tuples(call(), write(UpdateKind::Touch, TUPLE, "write")).await.expect_err("another");
        assert_eq!(error.code, ErrorCode::IdempotencyKeyReused, "and not what the schema says of it");
        let error = services.write_tuples(call(), write(UpdateKind::Create, TUPLE, "new")).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::InvalidSubjectType);
        let again = services.write_schema(call(), schema(SCHEMA, "schema")).await.expect("it took effect");
        assert_eq!(again, Written { replayed: true, ..begin });
        assert_ne!(services.read_schema(call()).await.expect("there").text.as_ref(), SCHEMA, "it was not brought back");

        services.write_schema(call(), "definition user {}".to_owned()).await.expect("nothing is in the way");
        let again = services.delete_tuples(call(), delete("delete", 1)).await.expect("it took effect");
        assert_eq!((again.zookie, again.replayed), (deleted.zookie, true));
        assert_eq!(register().await.expect("it took effect"), Written { replayed: true, ..counted });
        let before = node.applied();
        services.delete_tuples(call(), delete("other", 1)).await.expect_err("no such type");
        assert_eq!(node.applied(), before, "nothing was proposed");
    }

    #[tokio::test]
    async fn a_write_that_is_judged_anew_keeps_its_key() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let larger = format!("{SCHEMA} definition folder {{ relation parent: user }}");
        node.others.lock().push_back(schema_change(&node, &larger));
        let create = write(UpdateKind::Create, TUPLE, "k");
        let first = services.write_tuples(call(), create.clone()).await.expect("judged anew");
        assert!(!first.replayed);
        assert_eq!(services.write_tuples(call(), create).await.expect("the same").zookie, first.zookie);
    }

    #[tokio::test]
    async fn what_was_refused_may_be_tried_again_under_its_key() {
        let (node, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let filter = TupleFilter { resource_type: TypeName::new("group").ok(), ..TupleFilter::default() };
        let preconditions = vec![Precondition { kind: PreconditionKind::MustMatch, filter }];
        let guarded = WriteTuples { preconditions, ..write(UpdateKind::Create, TUPLE, "k") };
        let error = services.write_tuples(call(), guarded.clone()).await.expect_err("no group");
        assert_eq!(error.code, ErrorCode::PreconditionFailed);
        services.write_tuples(call(), write(UpdateKind::Touch, "group:g#member@user:b", "g")).await.expect("valid");
        let written = services.write_tuples(call(), guarded).await.expect("now it holds");
        assert!(!written.replayed && written.zookie.revision == node.applied());
    }

    /// What a key stands for does not change between versions: a request may be repeated at a node of another one.
    #[test]
    fn the_digest_stays_what_it_is() {
        let request = write(UpdateKind::Create, TUPLE, "k");
        let asked = (&request.updates, &request.preconditions, &request.metadata_json);
        let found = keyed(request.key.clone(), "write", &asked).expect("it has a key");
        let hex: String = found.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "624a8254ab39415098e287d5cb6c38d8ddf536a97723323fb350e5e919c7e1de");
        assert_ne!(keyed(request.key.clone(), "delete", &asked).expect("it has a key").digest, found.digest);
        assert_eq!(keyed(None, "write", &asked), None);
    }
}
