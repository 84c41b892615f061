//! Responses: from what the services give to messages.

use prost_types::Timestamp;

use super::json::from_json_text;
use crate::consistency::Zookie;
use crate::model::{CaveatUse, ObjectRef, SubjectRef, TimestampMs, Tuple};
use crate::service::{DeleteAnswer, TupleWithCursor};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::delete_relationships_response::DeletionProgress;

/// The token that names a state.
pub(in crate::api) fn to_zed_token(zookie: Zookie) -> wire::ZedToken {
    wire::ZedToken { token: zookie.encode() }
}

pub(super) fn to_object(object: &ObjectRef) -> wire::ObjectReference {
    wire::ObjectReference { object_type: object.object_type.to_string(), object_id: object.object_id.to_string() }
}

pub(super) fn to_subject(subject: &SubjectRef) -> wire::SubjectReference {
    wire::SubjectReference {
        object: Some(to_object(&subject.object)),
        optional_relation: subject.relation.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn to_caveat(caveat: &CaveatUse) -> wire::ContextualizedCaveat {
    wire::ContextualizedCaveat { caveat_name: caveat.name.clone(), context: from_json_text(&caveat.context_json) }
}

pub(super) fn to_timestamp(TimestampMs(millis): TimestampMs) -> Timestamp {
    let nanos = (millis % 1000) * 1_000_000;
    Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos).expect("below a thousand million"),
    }
}

pub(super) fn to_relationship(tuple: &Tuple) -> wire::Relationship {
    wire::Relationship {
        resource: Some(to_object(&tuple.key.resource)),
        relation: tuple.key.relation.to_string(),
        subject: Some(to_subject(&tuple.key.subject)),
        optional_caveat: tuple.qualifiers.caveat.as_ref().map(to_caveat),
        optional_expires_at: tuple.qualifiers.expires_at.map(to_timestamp),
    }
}

/// The answer to a write.
pub(in crate::api::authzed) fn from_write(zookie: Zookie) -> wire::WriteRelationshipsResponse {
    wire::WriteRelationshipsResponse { written_at: Some(to_zed_token(zookie)) }
}

/// The answer to a deletion.
pub(in crate::api::authzed) fn from_delete(answer: DeleteAnswer) -> wire::DeleteRelationshipsResponse {
    let progress = if answer.partial { DeletionProgress::Partial } else { DeletionProgress::Complete };
    wire::DeleteRelationshipsResponse {
        deleted_at: Some(to_zed_token(answer.zookie)),
        deletion_progress: progress.into(),
        relationships_deleted_count: answer.count,
    }
}

/// One message of the answer to a read.
pub(in crate::api::authzed) fn from_read(zookie: Zookie, row: TupleWithCursor) -> wire::ReadRelationshipsResponse {
    wire::ReadRelationshipsResponse {
        read_at: Some(to_zed_token(zookie)),
        relationship: Some(to_relationship(&row.tuple)),
        after_result_cursor: Some(wire::Cursor { token: row.cursor }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Qualifiers, RelationName, Revision, TupleKey};

    const ZOOKIE: Zookie = Zookie { lineage: 3, shard: 0, revision: Revision::new(4) };

    #[test]
    fn a_tuple_keeps_all_of_its_parts() {
        let tuple = Tuple {
            key: TupleKey {
                resource: ObjectRef::new("document", "a").expect("valid"),
                relation: RelationName::new("viewer").expect("valid"),
                subject: SubjectRef::new("team", "b", "member").expect("valid"),
            },
            qualifiers: Qualifiers {
                caveat: Some(CaveatUse { name: "c".to_owned(), context_json: r#"{"k":1.0}"#.to_owned() }),
                expires_at: Some(TimestampMs(1500)),
            },
        };
        let response = from_read(ZOOKIE, TupleWithCursor { tuple, cursor: "next".to_owned() });
        let relationship = response.relationship.expect("given");
        let subject = relationship.subject.expect("given");
        assert_eq!(relationship.resource.expect("given").object_id, "a");
        assert_eq!((relationship.relation.as_str(), subject.optional_relation.as_str()), ("viewer", "member"));
        assert!(relationship.optional_caveat.expect("given").context.expect("given").fields.contains_key("k"));
        assert_eq!(relationship.optional_expires_at, Some(Timestamp { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(response.after_result_cursor.expect("given").token, "next");
        assert_eq!(response.read_at.expect("given").token, ZOOKIE.encode());
    }
}
