//! What a request asks for, in the words of the audit log. Lists are cut at a bound, and say how much was left out; values of
//! contexts, and metadata, are not told.

use serde_json::{Map, Value, json};

use crate::model::{Decision, Error, Floor, IdempotencyKey, Tuple, TupleFilter, TupleUpdate, TypeName, UpdateKind};
use crate::service::{CheckItem, DeleteTuples, ItemAnswer, ResourceQuestion, SubjectQuestion, WriteTuples};

/// Most items of a list.
const ITEMS: usize = 100;
/// Most bytes of all items of a list together.
const BYTES: usize = 16 << 10;
/// Most bytes of a text that a client chose freely.
const TEXT: usize = 256;

/// A list that is cut at its bound, and how many items were.
#[derive(Debug, Default)]
pub(in crate::api) struct Bounded {
    shown: Vec<String>,
    bytes: usize,
    total: u64,
}

impl Bounded {
    /// Counts one more item, and shows it while there is room.
    pub(in crate::api) fn add(&mut self, item: impl FnOnce() -> String) {
        self.total += 1;
        if self.shown.len() as u64 + 1 != self.total || self.shown.len() >= ITEMS {
            return;
        }
        let item = item();
        if self.bytes + item.len() <= BYTES {
            self.bytes += item.len();
            self.shown.push(item);
        }
    }

    fn of<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.add(|| text(item)));
        list
    }

    /// As `name`, with the count, and with `left_out` where it was cut.
    pub(in crate::api) fn to_value(&self, name: &str) -> Value {
        let mut value = Map::new();
        value.insert("count".to_owned(), self.total.into());
        value.insert(name.to_owned(), json!(self.shown));
        let left_out = self.total - self.shown.len() as u64;
        if left_out > 0 {
            value.insert("left_out".to_owned(), left_out.into());
        }
        Value::Object(value)
    }
}

fn with(mut value: Value, more: &[(&str, Value)]) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.extend(more.iter().filter(|(_, v)| !v.is_null()).map(|(name, v)| ((*name).to_owned(), v.clone())));
    }
    value
}

/// A relationship with the names of what qualifies it.
pub(in crate::api) fn tuple(tuple: &Tuple) -> String {
    let mut text = tuple.key.to_string();
    if let Some(caveat) = &tuple.qualifiers.caveat {
        text.push_str(&format!("[{}]", caveat.name.chars().take(TEXT).collect::<String>()));
    }
    if let Some(at) = tuple.qualifiers.expires_at {
        text.push_str(&format!("[expires at {} ms]", at.0));
    }
    text
}

fn idempotency(key: Option<&IdempotencyKey>) -> Value {
    key.map_or(Value::Null, |key| key.as_str().into())
}

fn count(items: usize) -> Value {
    if items == 0 { Value::Null } else { items.into() }
}

/// A write.
pub(in crate::api) fn write(request: &WriteTuples) -> Value {
    let update = |TupleUpdate { kind, tuple: changed }: &TupleUpdate| {
        let kind = match kind {
            UpdateKind::Create => "create",
            UpdateKind::Touch => "touch",
            UpdateKind::Delete => "delete",
        };
        format!("{kind} {}", tuple(changed))
    };
    let value = Bounded::of(&request.updates, update).to_value("relationships");
    let (preconditions, key) = (count(request.preconditions.len()), idempotency(request.key.as_ref()));
    with(value, &[("preconditions", preconditions), ("idempotency_key", key)])
}

/// A deletion by filter.
pub(in crate::api) fn delete(request: &DeleteTuples) -> Value {
    let (preconditions, key) = (count(request.preconditions.len()), idempotency(request.key.as_ref()));
    let value = json!({ "delete": filter(&request.filter) });
    with(value, &[("limit", count(request.limit)), ("preconditions", preconditions), ("idempotency_key", key)])
}

/// A filter, without the parts that are not set.
pub(in crate::api) fn filter(filter: &TupleFilter) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let set = fields.into_iter().filter(|(_, value)| !value.is_null());
                Value::Object(set.map(|(name, value)| (name, without_nulls(value))).collect())
            }
            other => other,
        }
    }
    serde_json::to_value(filter).map_or(Value::Null, without_nulls)
}

/// A schema, by its digest.
pub(in crate::api) fn schema(text: &str, key: Option<&IdempotencyKey>) -> Value {
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let value = json!({ "schema": { "blake3": digest, "bytes": text.len() } });
    with(value, &[("idempotency_key", idempotency(key))])
}

/// A change to a counter; without a filter it is unregistered.
pub(in crate::api) fn counter(name: &str, counted: Option<&TupleFilter>, key: Option<&IdempotencyKey>) -> Value {
    let value = json!({ "counter": name });
    with(value, &[("filter", counted.map_or(Value::Null, filter)), ("idempotency_key", idempotency(key))])
}

/// All floors of the store, from now on.
pub(in crate::api) fn floors<'a>(floors: impl Iterator<Item = (&'a TypeName, &'a Floor)>) -> Value {
    Bounded::of(floors, |(name, floor)| format!("{name}={floor}")).to_value("floors")
}

/// A join.
pub(in crate::api) fn join(peers: &[String], learner: bool) -> Value {
    let peers = Bounded::of(peers, |peer| peer.chars().take(TEXT).collect());
    with(peers.to_value("peers"), &[("learner", learner.into())])
}

/// A check.
pub(in crate::api) fn check(item: &CheckItem) -> Value {
    json!({ "check": question(item) })
}

/// Many checks.
pub(in crate::api) fn checks(items: &[CheckItem]) -> Value {
    Bounded::of(items, question).to_value("checks")
}

fn question(item: &CheckItem) -> String {
    format!("{}#{}@{}", item.resource, item.permission, item.subject)
}

/// The answer to a check.
pub(in crate::api) fn decision(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allowed => "allowed",
        Decision::Denied => "denied",
        Decision::Conditional { .. } => "conditional",
    }
}

/// The answers to many checks, in their order.
pub(in crate::api) fn decisions(answers: &[Result<ItemAnswer, Error>]) -> Value {
    let text = |answer: &Result<ItemAnswer, Error>| match answer {
        Ok(answer) => decision(&answer.decision).to_owned(),
        Err(_) => "error".to_owned(),
    };
    Bounded::of(answers, text).to_value("decisions")
}

/// A lookup of resources.
pub(in crate::api) fn resources(question: &ResourceQuestion) -> Value {
    let ResourceQuestion { resource_type, permission, subject } = question;
    json!({ "lookup_resources": format!("{resource_type}#{permission}@{subject}") })
}

/// A lookup of subjects.
pub(in crate::api) fn subjects(question: &SubjectQuestion) -> Value {
    let SubjectQuestion { resource, permission, subject_type, subject_relation } = question;
    let relation = subject_relation.as_ref().map(|relation| format!("#{relation}")).unwrap_or_default();
    json!({ "lookup_subjects": format!("{resource}#{permission}@{subject_type}{relation}") })
}

/// A read.
pub(in crate::api) fn read(of: &TupleFilter) -> Value {
    json!({ "read": filter(of) })
}

/// An export.
pub(in crate::api) fn export(of: Option<&TupleFilter>) -> Value {
    json!({ "export": of.map_or_else(|| Value::from("everything"), filter) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CaveatUse, ObjectRef, Qualifiers, RelationName, SubjectRef, TimestampMs, TupleKey};

    fn relationship(number: usize, caveat: Option<&str>) -> Tuple {
        let key = TupleKey {
            resource: ObjectRef::new("document", &number.to_string()).expect("valid"),
            relation: RelationName::new("viewer").expect("valid"),
            subject: SubjectRef::new("user", "tom", "").expect("valid"),
        };
        let secret = |name: &str| CaveatUse { name: name.to_owned(), context_json: r#"{"pin":"1234"}"#.to_owned() };
        let qualifiers = Qualifiers { caveat: caveat.map(secret), expires_at: caveat.map(|_| TimestampMs(7)) };
        Tuple { key, qualifiers }
    }

    #[test]
    fn a_long_write_is_counted_and_cut() {
        let update = |number| TupleUpdate { kind: UpdateKind::Touch, tuple: relationship(number, None) };
        let request = WriteTuples { updates: (0..1000).map(update).collect(), ..WriteTuples::default() };
        let value = write(&request);
        assert_eq!((&value["count"], &value["left_out"]), (&json!(1000), &json!(900)));
        assert_eq!(value["relationships"][99], "touch document:99#viewer@user:tom");
        assert!(value.get("preconditions").is_none() && value.get("idempotency_key").is_none());
    }

    #[test]
    fn what_qualifies_a_relationship_is_named_and_its_values_are_not_told() {
        let text = tuple(&relationship(1, Some("by_pin")));
        assert_eq!(text, "document:1#viewer@user:tom[by_pin][expires at 7 ms]");
        let long = Bounded::of([1, 2], |_| "x".repeat(BYTES)).to_value("texts");
        assert_eq!((long["texts"].as_array().map(Vec::len), &long["left_out"]), (Some(1), &json!(1)));
    }

    #[test]
    fn a_filter_tells_what_is_set() {
        let set = TupleFilter { resource_type: TypeName::new("document").ok(), ..TupleFilter::default() };
        assert_eq!(filter(&set), json!({ "resource_type": "document" }));
    }

    #[test]
    fn of_a_check_and_a_schema_no_value_is_told() {
        let key = relationship(1, None).key;
        let item = CheckItem {
            resource: key.resource,
            permission: key.relation,
            subject: key.subject,
            context: crate::caveat::Context::from_json_text(r#"{"pin":"1234"}"#).expect("a context"),
        };
        assert_eq!(check(&item), json!({ "check": "document:1#viewer@user:tom" }));
        let told = schema("definition secret {}", None).to_string();
        assert!(!told.contains("secret") && told.contains("\"bytes\":20"), "{told}");
    }
}
