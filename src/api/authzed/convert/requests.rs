//! Requests: from messages to what the services take.

use prost::Message as _;
use prost_types::Timestamp;

use super::filters::{to_filter, to_preconditions};
use super::json::to_json_text;
use crate::model::{
    CaveatUse, Error, ErrorCode, IdempotencyKey, ObjectRef, Qualifiers, RelationName, SubjectRef, TimestampMs, Tuple,
    TupleKey, TupleUpdate, UpdateKind, limits,
};
use crate::service::{Consistency, DeleteTuples, ReadTuples, WriteTuples};
use crate::wire::authzed::v1 as wire;

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// Absent means minimal latency. A requirement that is set to false means nothing and is refused, as in SpiceDB.
pub(in crate::api::authzed) fn to_consistency(consistency: Option<wire::Consistency>) -> Result<Consistency, Error> {
    use wire::consistency::Requirement;
    let Some(consistency) = consistency else {
        return Ok(Consistency::default());
    };
    match consistency.requirement {
        Some(Requirement::MinimizeLatency(true)) => Ok(Consistency::MinimizeLatency),
        Some(Requirement::FullyConsistent(true)) => Ok(Consistency::FullyConsistent),
        Some(Requirement::AtLeastAsFresh(token)) => Ok(Consistency::AtLeastAsFresh(token.token)),
        Some(Requirement::AtExactSnapshot(token)) => Ok(Consistency::AtExactSnapshot(token.token)),
        Some(Requirement::MinimizeLatency(false) | Requirement::FullyConsistent(false)) => {
            Err(invalid("a consistency requirement cannot be false; set the one that is wanted to true"))
        }
        None => Err(invalid("consistency has no requirement; set one, or leave consistency out")),
    }
}

pub(super) fn to_resource(resource: Option<wire::ObjectReference>) -> Result<ObjectRef, Error> {
    let resource = resource.ok_or_else(|| invalid("resource is required"))?;
    let resource = ObjectRef::new(&resource.object_type, &resource.object_id)?;
    if resource.object_id.is_wildcard() {
        return Err(invalid("the resource is a wildcard; name one object"));
    }
    Ok(resource)
}

pub(super) fn to_subject(subject: Option<wire::SubjectReference>) -> Result<SubjectRef, Error> {
    let subject = subject.ok_or_else(|| invalid("subject is required"))?;
    let object = subject.object.ok_or_else(|| invalid("subject.object is required"))?;
    let subject = SubjectRef::new(&object.object_type, &object.object_id, &subject.optional_relation)?;
    if subject.is_wildcard() && subject.relation.is_some() {
        return Err(invalid("the subject is a wildcard with a relation; leave one of them out"));
    }
    Ok(subject)
}

pub(super) fn to_tuple(relationship: Option<wire::Relationship>) -> Result<Tuple, Error> {
    let relationship = relationship.ok_or_else(|| invalid("relationship is required"))?;
    let key = TupleKey {
        resource: to_resource(relationship.resource)?,
        relation: RelationName::new(&relationship.relation)?,
        subject: to_subject(relationship.subject)?,
    };
    let qualifiers = Qualifiers {
        caveat: relationship.optional_caveat.map(|caveat| to_caveat(&key, caveat)).transpose()?,
        expires_at: relationship.optional_expires_at.map(to_timestamp).transpose()?,
    };
    Ok(Tuple { key, qualifiers })
}

fn to_caveat(key: &TupleKey, caveat: wire::ContextualizedCaveat) -> Result<CaveatUse, Error> {
    // Dropping it would turn a condition into an unconditional grant.
    if caveat.caveat_name.is_empty() {
        return Err(invalid("optional_caveat.caveat_name is empty; name the caveat, or leave optional_caveat out"));
    }
    let (bytes, most) = (caveat.encoded_len(), limits::RELATIONSHIP_CONTEXT_BYTES);
    if bytes > most {
        let message = format!("the caveat of `{key}` takes {bytes} bytes with its context; the limit is {most}");
        return Err(Error::new(ErrorCode::RelationshipContextTooLarge, message)
            .with("relationship", key)
            .with("max_allowed_size", most)
            .with("context_size", bytes));
    }
    // An object without fields says no more than none.
    let context = caveat.context.filter(|context| !context.fields.is_empty());
    Ok(CaveatUse { context_json: to_json_text(context.as_ref())?, name: caveat.caveat_name })
}

/// In whole milliseconds: a fraction of one is cut off, so that nothing lasts longer than it was given. A time in the past is
/// in order, as in SpiceDB; one before 1970 is as long past as any. One beyond the year 9999 is no timestamp of the protocol,
/// and has no JSON.
fn to_timestamp(timestamp: Timestamp) -> Result<TimestampMs, Error> {
    const END_MILLIS: i128 = 253_402_300_800_000;
    let millis = i128::from(timestamp.seconds) * 1000 + i128::from(timestamp.nanos.div_euclid(1_000_000));
    match u64::try_from(millis.max(0)) {
        Ok(stored) if millis < END_MILLIS => Ok(TimestampMs(stored)),
        Ok(_) | Err(_) => {
            Err(invalid("optional_expires_at lies beyond the year 9999; leave it out for what never expires"))
        }
    }
}

fn to_update(update: wire::RelationshipUpdate) -> Result<TupleUpdate, Error> {
    use wire::relationship_update::Operation;
    let kind = match Operation::try_from(update.operation) {
        Ok(Operation::Create) => UpdateKind::Create,
        Ok(Operation::Touch) => UpdateKind::Touch,
        Ok(Operation::Delete) => UpdateKind::Delete,
        Ok(Operation::Unspecified) | Err(_) => {
            return Err(invalid("an update has no operation; say CREATE, TOUCH or DELETE"));
        }
    };
    Ok(TupleUpdate { kind, tuple: to_tuple(update.relationship)? })
}

/// The protocol counts in 32 bits.
pub(super) fn to_limit(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A write.
pub(in crate::api::authzed) fn to_write(
    request: wire::WriteRelationshipsRequest,
    key: Option<IdempotencyKey>,
) -> Result<WriteTuples, Error> {
    Ok(WriteTuples {
        updates: request.updates.into_iter().map(to_update).collect::<Result<_, _>>()?,
        preconditions: to_preconditions(request.optional_preconditions)?,
        metadata_json: to_json_text(request.optional_transaction_metadata.as_ref())?,
        key,
    })
}

/// A deletion by filter.
pub(in crate::api::authzed) fn to_delete(
    request: wire::DeleteRelationshipsRequest,
    key: Option<IdempotencyKey>,
) -> Result<DeleteTuples, Error> {
    Ok(DeleteTuples {
        filter: to_filter(request.relationship_filter)?,
        preconditions: to_preconditions(request.optional_preconditions)?,
        limit: to_limit(request.optional_limit),
        allow_partial: request.optional_allow_partial_deletions,
        metadata_json: to_json_text(request.optional_transaction_metadata.as_ref())?,
        key,
    })
}

/// A read by filter.
pub(in crate::api::authzed) fn to_read(request: wire::ReadRelationshipsRequest) -> Result<ReadTuples, Error> {
    Ok(ReadTuples {
        consistency: to_consistency(request.consistency)?,
        filter: to_filter(request.relationship_filter)?,
        limit: to_limit(request.optional_limit),
        cursor: request.optional_cursor.map(|cursor| cursor.token),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(object_type: &str, object_id: &str) -> Option<wire::ObjectReference> {
        Some(wire::ObjectReference { object_type: object_type.to_owned(), object_id: object_id.to_owned() })
    }

    fn subject(id: &str, relation: &str) -> Option<wire::SubjectReference> {
        Some(wire::SubjectReference { object: object("user", id), optional_relation: relation.to_owned() })
    }

    fn relationship() -> wire::Relationship {
        wire::Relationship {
            resource: object("document", "a"),
            relation: "viewer".to_owned(),
            subject: subject("b", ""),
            optional_caveat: None,
            optional_expires_at: None,
        }
    }

    #[test]
    fn consistency_has_one_requirement_that_is_true() {
        use wire::consistency::Requirement;
        let token = || wire::ZedToken { token: "t".to_owned() };
        let cases = [
            (Some(Requirement::MinimizeLatency(true)), Ok(Consistency::MinimizeLatency)),
            (Some(Requirement::FullyConsistent(true)), Ok(Consistency::FullyConsistent)),
            (Some(Requirement::AtLeastAsFresh(token())), Ok(Consistency::AtLeastAsFresh("t".to_owned()))),
            (Some(Requirement::AtExactSnapshot(token())), Ok(Consistency::AtExactSnapshot("t".to_owned()))),
            (Some(Requirement::MinimizeLatency(false)), Err(ErrorCode::InvalidArgument)),
            (Some(Requirement::FullyConsistent(false)), Err(ErrorCode::InvalidArgument)),
            (None, Err(ErrorCode::InvalidArgument)),
        ];
        for (requirement, expected) in cases {
            let found = to_consistency(Some(wire::Consistency { requirement })).map_err(|error| error.code);
            assert_eq!(found, expected);
        }
        assert_eq!(to_consistency(None), Ok(Consistency::MinimizeLatency));
    }

    #[test]
    fn malformed_relationships_are_refused() {
        let refused: [fn(&mut wire::Relationship); 7] = [
            |it| it.resource = None,
            |it| it.resource = object("document", "*"),
            |it| it.resource = object("document", ""),
            |it| it.relation = String::new(),
            |it| it.subject = None,
            |it| it.subject = Some(wire::SubjectReference::default()),
            |it| it.subject = subject("*", "member"),
        ];
        for (number, change) in refused.into_iter().enumerate() {
            let mut relationship = relationship();
            change(&mut relationship);
            let error = to_tuple(Some(relationship)).expect_err("malformed");
            assert_eq!(error.code, ErrorCode::InvalidArgument, "case {number}");
        }
        assert_eq!(to_tuple(None).expect_err("absent").code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn qualifiers_are_converted_and_never_dropped() {
        let caveat = |name: &str| Some(wire::ContextualizedCaveat { caveat_name: name.to_owned(), context: None });
        let mut given = relationship();
        given.optional_caveat = caveat("on_weekdays");
        given.optional_expires_at = Some(Timestamp { seconds: 2, nanos: 500_000_000 });
        let tuple = to_tuple(Some(given)).expect("valid");
        assert_eq!(tuple.key.to_string(), "document:a#viewer@user:b");
        assert_eq!(tuple.qualifiers.caveat.expect("kept").name, "on_weekdays");
        assert_eq!(tuple.qualifiers.expires_at, Some(TimestampMs(2500)));

        let mut unnamed = relationship();
        unnamed.optional_caveat = caveat("");
        assert_eq!(to_tuple(Some(unnamed)).expect_err("a caveat of no name").code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn times_are_cut_to_milliseconds_and_never_made_later() {
        let cases = [
            ((2, 500_999_999), 2500),
            ((0, 0), 0),
            ((-5, 0), 0),
            ((-1, 1_999_999_999), 999),
            ((2, -1), 1999),
            ((253_402_300_799, 999_999_999), 253_402_300_799_999),
            ((i64::MIN, i32::MIN), 0),
        ];
        for ((seconds, nanos), expected) in cases {
            assert_eq!(to_timestamp(Timestamp { seconds, nanos }), Ok(TimestampMs(expected)), "{seconds} {nanos}");
        }
        for (seconds, nanos) in [(253_402_300_800, 0), (253_402_300_799, i32::MAX), (i64::MAX, i32::MAX)] {
            let refused = to_timestamp(Timestamp { seconds, nanos }).expect_err("no such time");
            assert_eq!(refused.code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_stored_context_is_bounded_and_an_empty_one_is_none() {
        let with = |text: usize| {
            let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".repeat(text))) };
            let context = prost_types::Struct { fields: [("key".to_owned(), value)].into() };
            let caveat = wire::ContextualizedCaveat { caveat_name: "c".to_owned(), context: Some(context) };
            to_tuple(Some(wire::Relationship { optional_caveat: Some(caveat), ..relationship() }))
        };
        assert!(with(24_900).is_ok());
        let error = with(25_000).expect_err("too large");
        assert_eq!(error.code, ErrorCode::RelationshipContextTooLarge);
        let names: Vec<_> = error.details.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["relationship", "max_allowed_size", "context_size"]);

        let empty = wire::ContextualizedCaveat { caveat_name: "c".to_owned(), context: Some(Default::default()) };
        let tuple = to_tuple(Some(wire::Relationship { optional_caveat: Some(empty), ..relationship() }));
        assert_eq!(tuple.expect("valid").qualifiers.caveat.expect("kept").context_json, "");
    }

    #[test]
    fn an_update_needs_an_operation() {
        use wire::relationship_update::Operation;
        let cases = [
            (Operation::Create as i32, Ok(UpdateKind::Create)),
            (Operation::Touch as i32, Ok(UpdateKind::Touch)),
            (Operation::Delete as i32, Ok(UpdateKind::Delete)),
            (0, Err(ErrorCode::InvalidArgument)),
            (9, Err(ErrorCode::InvalidArgument)),
        ];
        for (operation, expected) in cases {
            let update = wire::RelationshipUpdate { operation, relationship: Some(relationship()) };
            assert_eq!(to_update(update).map(|update| update.kind).map_err(|error| error.code), expected);
        }
    }
}
