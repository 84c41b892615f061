//! What writes and deletes have in common: bounds that need no state, names judged against a schema, and what a refusal by
//! apply means to the caller.

use crate::model::{
    Error, ErrorCode, ObjectId, Precondition, PreconditionKind, SubjectRelationFilter, TupleFilter, TupleKey, limits,
};
use crate::raft::Refusal;
use crate::schema::Schema;
use crate::service::keyed::key_reused;

/// Whether a client may ask for at most `limit` at once, where `most` is the highest limit there may be.
pub(in crate::service) fn check_limit(limit: usize, most: usize) -> Result<(), Error> {
    if limit > most {
        let message = format!("the limit of {limit} is above the highest one allowed, {most}");
        return Err(Error::new(ErrorCode::LimitTooLarge, message)
            .with("limit_provided", limit)
            .with("maximum_limit_allowed", most));
    }
    Ok(())
}

/// A filter that names something, and not the same thing in two ways.
pub(in crate::service) fn check_filter_shape(filter: &TupleFilter) -> Result<(), Error> {
    if filter.resource_id.is_some() && filter.resource_id_prefix.is_some() {
        const MESSAGE: &str = "the relationship filter gives both a resource id and an id prefix; give one of them";
        let text =
            parts(filter).iter().map(|(part, value)| format!("{}:{value:?}", part.of_filter)).collect::<Vec<_>>();
        return Err(Error::new(ErrorCode::InvalidFilter, MESSAGE).with("filter", text.join(" ")));
    }
    if filter.is_empty() {
        const MESSAGE: &str = "the relationship filter is empty; set at least one field";
        return Err(Error::new(ErrorCode::InvalidFilter, MESSAGE).with("filter", ""));
    }
    Ok(())
}

/// What changes data, or decides on it, names nothing that cannot be: a wildcard with a relation. Reads just find nothing.
pub(super) fn check_subjects<'a>(filters: impl IntoIterator<Item = &'a TupleFilter>) -> Result<(), Error> {
    let impossible = |filter: &TupleFilter| {
        filter.subject.as_ref().is_some_and(|subject| {
            let is_wildcard = subject.subject_id.as_ref().is_some_and(ObjectId::is_wildcard);
            is_wildcard && matches!(subject.relation, SubjectRelationFilter::Relation(_))
        })
    };
    if filters.into_iter().any(impossible) {
        const MESSAGE: &str = "a wildcard has no relation, so nothing can match: leave the subject's relation out";
        return Err(Error::new(ErrorCode::InvalidArgument, MESSAGE));
    }
    Ok(())
}

/// Few enough preconditions.
pub(super) fn check_precondition_count(preconditions: &[Precondition]) -> Result<(), Error> {
    let (count, most) = (preconditions.len(), limits::PRECONDITIONS_PER_WRITE);
    if count > most {
        let message = format!("{count} preconditions are more than the {most} that one request may have; split it");
        return Err(Error::new(ErrorCode::TooManyPreconditions, message)
            .with("precondition_count", count)
            // SpiceDB calls it so here, too.
            .with("maximum_updates_allowed", most));
    }
    Ok(())
}

/// Preconditions with usable filters.
pub(super) fn check_precondition_filters(preconditions: &[Precondition]) -> Result<(), Error> {
    preconditions.iter().try_for_each(|precondition| check_filter_shape(&precondition.filter))
}

/// Metadata that fits.
pub(super) fn check_metadata(metadata_json: &str) -> Result<(), Error> {
    let (bytes, most) = (metadata_json.len(), limits::TRANSACTION_METADATA_BYTES);
    if bytes > most {
        let message = format!("the transaction metadata takes {bytes} bytes as JSON; the limit is {most}");
        return Err(Error::new(ErrorCode::MetadataTooLarge, message)
            .with("metadata_byte_size", bytes)
            .with("maximum_allowed_metadata_byte_size", most));
    }
    Ok(())
}

/// Every name in the preconditions exists.
pub(super) fn check_precondition_names(schema: &Schema, preconditions: &[Precondition]) -> Result<(), Error> {
    preconditions.iter().try_for_each(|precondition| schema.check_filter(&precondition.filter))
}

/// The caller's error for a refusal that proposing again cannot mend.
pub(super) fn refused(refusal: Refusal, preconditions: &[Precondition]) -> Error {
    match refusal {
        Refusal::PreconditionFailed { position } => precondition_failed(position, preconditions),
        Refusal::AlreadyExists { key } => already_exists(&key),
        Refusal::KeyReused => key_reused(),
        Refusal::SchemaChanged { .. }
        | Refusal::TooManyDeletes { .. }
        | Refusal::WouldOrphan { .. }
        | Refusal::JudgementOutdated
        | Refusal::WrongLevel { .. }
        | Refusal::MembersChanged
        | Refusal::CounterExists
        | Refusal::UnknownCounter
        | Refusal::TooManyCounters { .. }
        | Refusal::FloorsChanged { .. } => Error::new(
            ErrorCode::Internal,
            format!("a write was refused for a reason that cannot concern it: {refusal:?}"),
        ),
    }
}

/// A CREATE of a tuple that exists.
pub(super) fn already_exists(key: &TupleKey) -> Error {
    let message = format!("nothing was written: `{key}` exists already; use TOUCH to write it in any case");
    Error::new(ErrorCode::AlreadyExists, message)
        .with("relationship", key)
        .with("resource_type", &key.resource.object_type)
        .with("resource_object_id", &key.resource.object_id)
        .with("resource_relation", &key.relation)
        .with("subject_type", &key.subject.object.object_type)
        .with("subject_object_id", &key.subject.object.object_id)
        .with("subject_relation", key.subject.relation.as_ref().map_or("", |relation| relation.as_str()))
}

/// Refuses by what `view` shows, whatever the log makes of it later: for a bug on purpose.
#[cfg(feature = "mutants")]
pub(super) fn judge_preconditions(
    view: &dyn crate::store::ReadView,
    preconditions: &[Precondition],
) -> Result<(), Error> {
    for (position, precondition) in (0..).zip(preconditions) {
        let mut is_matched = false;
        view.scan(&precondition.filter, None, &mut |_| {
            is_matched = true;
            std::ops::ControlFlow::Break(())
        })?;
        if is_matched != (precondition.kind == PreconditionKind::MustMatch) {
            return Err(precondition_failed(position, preconditions));
        }
    }
    Ok(())
}

fn precondition_failed(position: u32, preconditions: &[Precondition]) -> Error {
    let found = usize::try_from(position).ok().and_then(|position| preconditions.get(position));
    let Some(Precondition { kind, filter }) = found else {
        return Error::new(ErrorCode::Internal, format!("there is no precondition at position {position}"));
    };
    let (operation, demand) = match kind {
        PreconditionKind::MustMatch => ("OPERATION_MUST_MATCH", "a matching relationship, and there is none"),
        PreconditionKind::MustNotMatch => ("OPERATION_MUST_NOT_MATCH", "no matching relationship, and there is one"),
    };
    let message = format!("nothing was written: precondition {position} demands {demand}");
    let mut error = Error::new(ErrorCode::PreconditionFailed, message).with("precondition_operation", operation);
    for (part, value) in parts(filter) {
        error.details.push((part.of_precondition, value));
    }
    error
}

/// A deletion of more than it may remove at once.
pub(super) fn too_many_deletes(limit: u64, filter: &TupleFilter) -> Error {
    let message = format!(
        "nothing was deleted: more than {limit} relationships match; allow partial deletions with a limit, and repeat until \
         the answer is complete"
    );
    let mut error = Error::new(ErrorCode::TooManyDeletes, message).with("limit", limit);
    for (part, value) in parts(filter) {
        error.details.push((part.of_deletion, value));
    }
    error
}

/// What errors call a part of a filter.
struct PartName {
    of_filter: &'static str,
    of_precondition: &'static str,
    of_deletion: &'static str,
}

macro_rules! part {
    ($name:literal) => {
        PartName {
            of_filter: $name,
            of_precondition: concat!("precondition_", $name),
            of_deletion: concat!("filter_", $name),
        }
    };
}

/// The parts of a filter that are set.
fn parts(filter: &TupleFilter) -> Vec<(PartName, String)> {
    let TupleFilter { resource_type, resource_id, resource_id_prefix, relation, subject, traits: _ } = filter;
    let mut parts = Vec::new();
    let mut add = |name, value: Option<String>| parts.extend(value.map(|value| (name, value)));
    add(part!("resource_type"), resource_type.as_ref().map(ToString::to_string));
    add(part!("resource_id"), resource_id.as_ref().map(ToString::to_string));
    add(part!("resource_id_prefix"), resource_id_prefix.clone());
    add(part!("relation"), relation.as_ref().map(ToString::to_string));
    if let Some(subject) = subject {
        add(part!("subject_type"), Some(subject.subject_type.to_string()));
        add(part!("subject_id"), subject.subject_id.as_ref().map(ToString::to_string));
        if let SubjectRelationFilter::Relation(relation) = &subject.relation {
            add(part!("subject_relation"), Some(relation.to_string()));
        }
    }
    parts
}
