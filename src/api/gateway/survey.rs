//! A look at the text of a message before a message is made of it: whether it names anything twice, whether it nests more
//! deeply than the services take, and what memory the message will need.
//!
//! Of two values under one name, a proxy may judge the first and a server follow the last, so neither is taken. Whether the
//! values fit their fields is for the parser to say; the survey costs little, however large the message would be.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tonic::Status;

use super::json::not_json;
use crate::api::memory::Share;

/// Messages inside each other that the services decode.
const NESTED_MESSAGES: usize = 100;
/// About what a message takes that is not empty, and what a value takes in a list.
const MESSAGE_BYTES: usize = 800;
const ELEMENT_BYTES: usize = 128;
/// About what one name takes while its object is looked at.
const NAME_BYTES: usize = 64;

/// Takes the memory of the message that `text` holds from `share`.
pub(super) fn survey(message: &MessageDescriptor, text: &[u8], share: &mut Share) -> Result<(), Status> {
    let mut found = Found { share, refused: None };
    let mut json = serde_json::Deserializer::from_slice(text);
    let look = Look { shape: Shape::Message(message.clone()), depth: 0, found: &mut found };
    let looked = look.deserialize(&mut json).and_then(|()| json.end());
    match (found.refused, looked) {
        (Some(refused), _) => Err(refused),
        (None, Err(error)) => Err(not_json(&error)),
        (None, Ok(())) => Ok(()),
    }
}

/// What a value is for.
#[derive(Debug, Clone)]
enum Shape {
    Message(MessageDescriptor),
    /// A map from names to these.
    Map(FieldDescriptor),
    /// An object of the caller's own.
    Struct,
    /// Any value of the caller's own.
    Value,
    /// No message, or nothing that the message has.
    Other,
}

impl Shape {
    fn of(field: &FieldDescriptor) -> Self {
        if field.is_map() {
            return Self::Map(field.clone());
        }
        match field.kind() {
            Kind::Message(message) if message.full_name() == "google.protobuf.Struct" => Self::Struct,
            Kind::Message(message) if message.full_name() == "google.protobuf.Value" => Self::Value,
            Kind::Message(message) if message.full_name().starts_with("google.protobuf.") => Self::Other,
            Kind::Message(message) => Self::Message(message),
            _ => Self::Other,
        }
    }

    /// What stands under `name`, and how many messages further in; and the number of the field.
    fn under(&self, name: &str) -> (Self, usize, Option<u32>) {
        match self {
            Self::Message(message) => {
                let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
                field.map_or((Self::Other, 0, None), |field| (Self::of(&field), 1, Some(field.number())))
            }
            Self::Map(field) => match field.kind() {
                // An entry is a message too.
                Kind::Message(entry) => (Self::of(&entry.map_entry_value_field()), 1, None),
                _ => (Self::Other, 0, None),
            },
            // A struct has entries, and an entry has a value.
            Self::Struct => (Self::Value, 2, None),
            Self::Value => (Self::Value, 3, None),
            Self::Other => (Self::Other, 0, None),
        }
    }

    /// How many messages further in an element of a list stands: in a value there is a list, and a value in that.
    fn element_depth(&self) -> usize {
        if matches!(self, Self::Value) { 2 } else { 0 }
    }

    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Struct | Self::Value)
    }
}

struct Found<'s> {
    share: &'s mut Share,
    /// Why the text is refused, where it is JSON.
    refused: Option<Status>,
}

impl Found<'_> {
    fn take<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.share.take(bytes).map_err(|status| self.refuse(status))
    }

    fn refuse<E: serde::de::Error>(&mut self, status: Status) -> E {
        self.refused = Some(status);
        E::custom("refused")
    }
}

struct Look<'f, 's> {
    shape: Shape,
    /// Messages around this value, its own included.
    depth: usize,
    found: &'f mut Found<'s>,
}

impl<'de> DeserializeSeed<'de> for Look<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.depth > NESTED_MESSAGES {
            const DEEP: &str = "the body nests more deeply than a request can; flatten what it holds";
            return Err(self.found.refuse(Status::invalid_argument(DEEP)));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { shape, depth, found } = self;
        let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
        if shape.is_message() {
            found.take(MESSAGE_BYTES)?;
        }
        while let Some(name) = members.next_key::<String>()? {
            let (inner, deeper, number) = shape.under(&name);
            found.take(NAME_BYTES + name.len() + if matches!(inner, Shape::Value) { MESSAGE_BYTES } else { 0 })?;
            let is_new = match number {
                // Each field has two spellings.
                Some(number) => numbers.insert(number),
                None => names.insert(name.clone()),
            };
            if !is_new {
                let message = format!("the body is not the JSON of this request: `{}` is given twice", shorten(&name));
                return Err(found.refuse(Status::invalid_argument(message)));
            }
            members.next_value_seed(Look { shape: inner, depth: depth + deeper, found: &mut *found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { shape, depth, found } = self;
        let depth = depth + shape.element_depth();
        let each = ELEMENT_BYTES + if matches!(shape, Shape::Value) { MESSAGE_BYTES } else { 0 };
        loop {
            let element = Look { shape: shape.clone(), depth, found: &mut *found };
            if elements.next_element_seed(element)?.is_none() {
                return Ok(());
            }
            found.take(each)?;
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// The beginning of a name, for a message.
fn shorten(name: &str) -> &str {
    const LONGEST: usize = 100;
    let end = (0..=LONGEST.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tonic::Code;

    use super::*;
    use crate::api::gateway::json;
    use crate::api::memory::Memory;
    use crate::wire::authzed::v1::CheckPermissionRequest;

    fn surveyed(message: &str, text: &str, memory: usize) -> Result<(), Status> {
        let message = json::pool().get_message_by_name(&format!("authzed.api.v1.{message}")).expect("it exists");
        survey(&message, text.as_bytes(), &mut Memory::new(memory).share())
    }

    #[test]
    fn nothing_may_be_named_twice() {
        let cases = [
            ("CheckPermissionRequest", r#"{"permission":"view","permission":"edit"}"#, Some("permission")),
            ("CheckPermissionRequest", r#"{"permission":"view","consistency":{"fullyConsistent":true}}"#, None),
            (
                "CheckPermissionRequest",
                r#"{"consistency":{},"consistency":{"minimizeLatency":true}}"#,
                Some("consistency"),
            ),
            ("CheckPermissionRequest", r#"{"context":{"a":1,"a":2}}"#, Some("a")),
            ("CheckPermissionRequest", r#"{"context":{"a":[{"b":1,"b":1}]}}"#, Some("b")),
            ("CheckPermissionRequest", r#"{"context":{"a_b":1,"aB":2,"A":{"a_b":1}}}"#, None),
            ("RelationshipFilter", r#"{"resourceType":"a","resource_type":"a"}"#, Some("resource_type")),
            ("RelationshipFilter", r#"{"optionalResourceId":"z","optionalResourceId":""}"#, Some("optionalResourceId")),
            ("RelationshipFilter", r#"{"resource\u0054ype":"a","resourceType":"a"}"#, Some("resourceType")),
            (
                "WriteRelationshipsRequest",
                r#"{"updates":[{"relationship":{"relation":"a"}},{"relationship":{"relation":"a","relation":"b"}}]}"#,
                Some("relation"),
            ),
        ];
        for (message, text, twice) in cases {
            match (surveyed(message, text, 1 << 20), twice) {
                (Ok(()), None) => {}
                (Err(refused), Some(name)) => {
                    assert_eq!(refused.code(), Code::InvalidArgument, "{text}");
                    assert!(refused.message().contains(&format!("`{name}` is given twice")), "{}", refused.message());
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_nests_too_deeply_for_the_services_is_known_before() {
        let request = json::pool().get_message_by_name("authzed.api.v1.CheckPermissionRequest").expect("it exists");
        let mut refused = 0;
        for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("[{\"a\":", "}]")] {
            for levels in 1..60 {
                let text = format!(r#"{{"context":{{"a":{}1{}}}}}"#, open.repeat(levels), close.repeat(levels));
                let mut json = serde_json::Deserializer::from_str(&text);
                let parsed = request.clone().deserialize(&mut json);
                let taken =
                    parsed.is_ok_and(|it| CheckPermissionRequest::decode(it.encode_to_vec().as_slice()).is_ok());
                let surveyed = surveyed("CheckPermissionRequest", &text, 1 << 20);
                assert_eq!(surveyed.is_ok(), taken, "{levels} of {open}");
                refused += usize::from(surveyed.is_err_and(|status| status.code() == Code::InvalidArgument));
            }
        }
        assert!(refused > 60, "{refused}");
    }

    #[test]
    fn memory_is_taken_before_it_is_needed() {
        const TEXT: &str = r#"{"relationship":{"resource":{},"subject":{"object":{}}}}"#;
        let updates = |count| format!(r#"{{"updates":[{}]}}"#, vec![TEXT; count].join(","));
        surveyed("WriteRelationshipsRequest", &updates(1000), 16 << 20).expect("an honest write");
        let refused = surveyed("WriteRelationshipsRequest", &updates(20_000), 16 << 20).expect_err("too much");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let names = (0..50_000).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        let refused = surveyed("CheckPermissionRequest", &format!("{{\"context\":{{{names}}}}}"), 4 << 20);
        assert_eq!(refused.expect_err("too much").code(), Code::ResourceExhausted);
    }
}
