//! Messages from short texts: `document:1#viewer@group:eng#member`.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::Value;

use super::wire::authzed::consistency::Requirement;
use super::wire::authzed::relationship_update::Operation;
use super::wire::authzed::{
    Consistency, ContextualizedCaveat, ObjectReference, Relationship, RelationshipFilter, RelationshipUpdate,
    SubjectReference, ZedToken,
};

/// `type:id`.
pub(crate) fn object_reference(text: &str) -> ObjectReference {
    let (object_type, object_id) = text.split_once(':').unwrap_or_else(|| panic!("{text:?} is not type:id"));
    ObjectReference { object_type: object_type.to_owned(), object_id: object_id.to_owned() }
}

/// `type:id` or `type:id#relation`; the relation `...` is none.
pub(crate) fn subject_reference(text: &str) -> SubjectReference {
    let (object, relation) = text.split_once('#').unwrap_or((text, ""));
    let relation = if relation == "..." { "" } else { relation };
    SubjectReference { object: Some(object_reference(object)), optional_relation: relation.to_owned() }
}

/// A JSON object as the context of a check or of a caveat.
pub(crate) fn context(json: &str) -> Struct {
    match serde_json::from_str(json) {
        Ok(Value::Object(fields)) => structure(fields),
        other => panic!("{json:?} is not a JSON object: {other:?}"),
    }
}

fn structure(fields: serde_json::Map<String, Value>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, field)| (name, value(field))).collect() }
}

fn value(json: Value) -> prost_types::Value {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("JSON numbers of tests are small")),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() }),
        Value::Object(fields) => Kind::StructValue(structure(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// `type:id#relation@subject`, and after it `[caveat]` or `[caveat:{json}]`, and `[expiration:RFC3339]`.
pub(crate) fn relationship(text: &str) -> Relationship {
    let (bare, traits) = text.split_once('[').map_or((text, ""), |(bare, traits)| (bare, traits));
    let (resource, subject) = bare.split_once('@').unwrap_or_else(|| panic!("{text:?} has no subject"));
    let (resource, relation) = resource.split_once('#').unwrap_or_else(|| panic!("{text:?} has no relation"));
    let (caveat, expiration) = traits_of(traits);
    Relationship {
        resource: Some(object_reference(resource)),
        relation: relation.to_owned(),
        subject: Some(subject_reference(subject)),
        optional_caveat: caveat.map(|text| {
            let (name, values) = text.split_once(':').map_or((text, None), |(name, json)| (name, Some(context(json))));
            ContextualizedCaveat { caveat_name: name.to_owned(), context: values }
        }),
        optional_expires_at: expiration.map(|time| time.parse().unwrap_or_else(|_| panic!("{time:?} is not a time"))),
    }
}

/// The texts of the caveat and of the expiration, from what follows the first bracket.
fn traits_of(traits: &str) -> (Option<&str>, Option<&str>) {
    const EXPIRATION: &str = "expiration:";
    let Some(traits) = traits.strip_suffix(']') else { return (None, None) };
    if let Some(time) = traits.strip_prefix(EXPIRATION) {
        return (None, Some(time));
    }
    match traits.split_once("][") {
        Some((caveat, rest)) if rest.starts_with(EXPIRATION) => (Some(caveat), rest.strip_prefix(EXPIRATION)),
        Some(_) | None => (Some(traits), None),
    }
}

/// The inverse of [`relationship`].
pub(crate) fn relationship_text(relationship: &Relationship) -> String {
    let object = |object: Option<&ObjectReference>| {
        let object = object.expect("a stored relationship is complete");
        format!("{}:{}", object.object_type, object.object_id)
    };
    let subject = relationship.subject.as_ref().expect("a stored relationship is complete");
    let mut text = format!(
        "{}#{}@{}",
        object(relationship.resource.as_ref()),
        relationship.relation,
        object(subject.object.as_ref())
    );
    if !subject.optional_relation.is_empty() {
        text.push('#');
        text.push_str(&subject.optional_relation);
    }
    text
}

fn update(operation: Operation, text: &str) -> RelationshipUpdate {
    RelationshipUpdate { operation: operation.into(), relationship: Some(relationship(text)) }
}

/// A CREATE of the relationship.
pub(crate) fn create(text: &str) -> RelationshipUpdate {
    update(Operation::Create, text)
}

/// A TOUCH of the relationship.
pub(crate) fn touch(text: &str) -> RelationshipUpdate {
    update(Operation::Touch, text)
}

/// A DELETE of the relationship.
pub(crate) fn delete(text: &str) -> RelationshipUpdate {
    update(Operation::Delete, text)
}

/// All relationships of a resource type, or with `type:id` of one resource.
pub(crate) fn filter(text: &str) -> RelationshipFilter {
    let (resource_type, id) = text.split_once(':').unwrap_or((text, ""));
    RelationshipFilter {
        resource_type: resource_type.to_owned(),
        optional_resource_id: id.to_owned(),
        ..Default::default()
    }
}

fn consistency(requirement: Requirement) -> Option<Consistency> {
    Some(Consistency { requirement: Some(requirement) })
}

/// `fully_consistent`.
pub(crate) fn fully() -> Option<Consistency> {
    consistency(Requirement::FullyConsistent(true))
}

/// `minimize_latency`.
pub(crate) fn minimize() -> Option<Consistency> {
    consistency(Requirement::MinimizeLatency(true))
}

/// `at_least_as_fresh`.
pub(crate) fn at_least(zookie: &ZedToken) -> Option<Consistency> {
    consistency(Requirement::AtLeastAsFresh(zookie.clone()))
}

/// `at_exact_snapshot`.
pub(crate) fn exactly(zookie: &ZedToken) -> Option<Consistency> {
    consistency(Requirement::AtExactSnapshot(zookie.clone()))
}
