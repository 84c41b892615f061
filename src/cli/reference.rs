//! References as people write them: `document:readme`, `group:eng#member`, `document:readme#viewer@user:emil`, and behind a
//! relationship its caveat and expiration: `[weekday:{"zone":"UTC"}][expiration:2030-01-01T00:00:00Z]`.

use std::fmt;

use prost_types::Timestamp;

use crate::api::{from_json_text, to_json_text};
use crate::model::{
    CaveatName, CaveatUse, NameError, ObjectRef, Qualifiers, RelationName, SubjectRef, TimestampMs, Tuple, TupleKey,
    TypeName,
};
use crate::wire::authzed::v1 as wire;

/// Why a text is not a reference. The message repeats the text and shows the form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReferenceError {
    /// A part is missing or in the wrong place.
    #[error("{text:?} is not {what}; write it as {form}")]
    Form {
        /// The text, shortened.
        text: String,
        /// What was expected.
        what: &'static str,
        /// How that is written.
        form: &'static str,
    },
    /// A part is there, but is no name.
    #[error("in {text:?}: {problem}")]
    Name {
        /// The text, shortened.
        text: String,
        /// Which part, and the rule.
        problem: NameError,
    },
    /// `document:*#viewer@…`.
    #[error("{text:?} has the wildcard as its resource; only a subject can be a wildcard")]
    WildcardResource {
        /// The text, shortened.
        text: String,
    },
    /// A caveat or an expiration that is not one.
    #[error(
        "in {text:?}: {problem}; write [caveat:{{\"name\":value}}] and [expiration:2030-01-01T00:00:00Z], in this order"
    )]
    Qualifier {
        /// The text, shortened.
        text: String,
        /// What is wrong.
        problem: &'static str,
    },
}

const OBJECT_FORM: &str = "type:id, for example document:readme";
const SUBJECT_FORM: &str = "type:id, type:* or type:id#relation, for example user:emil or group:eng#member";
const OBJECT_RELATION_FORM: &str = "type:id#relation, for example document:readme#viewer";
const RELATIONSHIP_FORM: &str = "resource#relation@subject, for example document:readme#viewer@user:emil";

/// Parses `type:id`.
pub(super) fn parse_object(text: &str) -> Result<ObjectRef, ReferenceError> {
    let (object_type, id) = text.split_once(':').ok_or_else(|| form(text, "an object", OBJECT_FORM))?;
    let object = ObjectRef::new(object_type, id).map_err(name(text))?;
    if object.object_id.is_wildcard() {
        return Err(ReferenceError::WildcardResource { text: shorten(text) });
    }
    Ok(object)
}

/// Parses `type:id`, `type:*` or `type:id#relation`.
pub(super) fn parse_subject(text: &str) -> Result<SubjectRef, ReferenceError> {
    let (object, relation) = match text.split_once('#') {
        None => (text, ""),
        Some((_, "")) => return Err(form(text, "a subject", SUBJECT_FORM)),
        Some(parts) => parts,
    };
    let (object_type, id) = object.split_once(':').ok_or_else(|| form(text, "a subject", SUBJECT_FORM))?;
    SubjectRef::new(object_type, id, relation).map_err(name(text))
}

/// Parses the name of a relation or permission.
pub(super) fn parse_relation(text: &str) -> Result<RelationName, ReferenceError> {
    RelationName::new(text).map_err(name(text))
}

/// Parses `type:id#relation`.
pub(super) fn parse_object_relation(text: &str) -> Result<(ObjectRef, RelationName), ReferenceError> {
    let (object, relation) =
        text.split_once('#').ok_or_else(|| form(text, "a relation of an object", OBJECT_RELATION_FORM))?;
    Ok((parse_object(object)?, RelationName::new(relation).map_err(name(text))?))
}

/// Parses the name of a type.
pub(super) fn parse_type(text: &str) -> Result<TypeName, ReferenceError> {
    TypeName::new(text).map_err(name(text))
}

/// Parses `type` or `type#relation`.
pub(super) fn parse_subject_kind(text: &str) -> Result<(TypeName, Option<RelationName>), ReferenceError> {
    let (subject_type, relation) = match text.split_once('#') {
        None => (text, None),
        Some((subject_type, relation)) => (subject_type, Some(relation)),
    };
    let relation = relation.map(RelationName::new).transpose().map_err(name(text))?;
    Ok((TypeName::new(subject_type).map_err(name(text))?, relation))
}

/// Parses `resource#relation@subject`, without what limits it.
pub(super) fn parse_relationship(text: &str) -> Result<TupleKey, ReferenceError> {
    let bad_form = || form(text, "a relationship", RELATIONSHIP_FORM);
    let (left, subject) = text.split_once('@').ok_or_else(bad_form)?;
    let (resource, relation) = left.split_once('#').ok_or_else(bad_form)?;
    Ok(TupleKey {
        resource: parse_object(resource)?,
        relation: RelationName::new(relation).map_err(name(text))?,
        subject: parse_subject(subject)?,
    })
}

/// Parses `resource#relation@subject[caveat:{context}][expiration:time]`, of which the brackets may be left out.
pub(super) fn parse_tuple(text: &str) -> Result<Tuple, ReferenceError> {
    // No name holds a bracket, so the first one ends the relationship.
    let (key, limits) = text.split_at(text.find('[').unwrap_or(text.len()));
    let qualifier = |problem| ReferenceError::Qualifier { text: shorten(text), problem };
    Ok(Tuple { key: parse_relationship(key)?, qualifiers: parse_qualifiers(limits).map_err(qualifier)? })
}

const EXPIRATION: &str = "[expiration:";

fn parse_qualifiers(text: &str) -> Result<Qualifiers, &'static str> {
    const FORM: &str = "what stands in brackets is not a caveat or an expiration";
    // The last one, and only with a time in it: a caveat's context may hold any text.
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"TZtz:.+-".contains(&byte));
    let split = text.rfind(EXPIRATION).and_then(|at| {
        let time = text[at + EXPIRATION.len()..].strip_suffix(']')?;
        is_time(time).then_some((&text[..at], time))
    });
    let (caveat, expires_at) = match split {
        None => (text, None),
        Some((caveat, time)) => (caveat, Some(parse_time(time)?)),
    };
    if caveat.is_empty() {
        return Ok(Qualifiers { caveat: None, expires_at });
    }
    let inner = caveat.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(FORM)?;
    let (name, context) = inner.split_once(':').map_or((inner, ""), |(name, context)| (name, context));
    let name = CaveatName::new(name).map_err(|_| "the name of the caveat is not one")?.to_string();
    if !context.is_empty() && from_json_text(context).is_none() {
        return Err("the context of the caveat is not a JSON object");
    }
    Ok(Qualifiers { caveat: Some(CaveatUse { name, context_json: context.to_owned() }), expires_at })
}

fn parse_time(text: &str) -> Result<TimestampMs, &'static str> {
    let time: Timestamp = text.parse().map_err(|_| "the expiration is not a time as RFC 3339 has it")?;
    let millis = i128::from(time.seconds) * 1000 + i128::from(time.nanos / 1_000_000);
    u64::try_from(millis).map(TimestampMs).map_err(|_| "the expiration lies before 1970")
}

/// As the wire has it.
pub(super) fn object_to_wire(object: &ObjectRef) -> wire::ObjectReference {
    wire::ObjectReference {
        object_type: object.object_type.as_str().to_owned(),
        object_id: object.object_id.as_str().to_owned(),
    }
}

/// As the wire has it.
pub(super) fn subject_to_wire(subject: &SubjectRef) -> wire::SubjectReference {
    wire::SubjectReference {
        object: Some(object_to_wire(&subject.object)),
        optional_relation: subject.relation.as_ref().map(|r| r.as_str().to_owned()).unwrap_or_default(),
    }
}

/// As the wire has it.
pub(super) fn relationship_to_wire(tuple: &Tuple) -> wire::Relationship {
    let Tuple { key, qualifiers } = tuple;
    let caveat = |caveat: &CaveatUse| wire::ContextualizedCaveat {
        caveat_name: caveat.name.clone(),
        context: from_json_text(&caveat.context_json),
    };
    let time = |TimestampMs(millis): TimestampMs| Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).expect("below a thousand million"),
    };
    wire::Relationship {
        resource: Some(object_to_wire(&key.resource)),
        relation: key.relation.as_str().to_owned(),
        subject: Some(subject_to_wire(&key.subject)),
        optional_caveat: qualifiers.caveat.as_ref().map(caveat),
        optional_expires_at: qualifiers.expires_at.map(time),
    }
}

/// An object that a server sent; empty where it is missing.
pub(super) fn wire_object_to_text(object: Option<wire::ObjectReference>) -> String {
    object.map(|it| format!("{}:{}", it.object_type, it.object_id)).unwrap_or_default()
}

/// A subject that a server sent.
pub(super) fn wire_subject_to_text(subject: wire::SubjectReference) -> String {
    let object = wire_object_to_text(subject.object);
    match subject.optional_relation.as_str() {
        "" | "..." => object,
        relation => format!("{object}#{relation}"),
    }
}

/// A relationship that a server sent, as texts. What is missing shows as empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) resource: String,
    pub(super) relation: String,
    pub(super) subject: String,
    /// The caveat's name, and its context as JSON text or nothing.
    pub(super) caveat: Option<(String, String)>,
    /// As RFC 3339 has it.
    pub(super) expires_at: Option<String>,
}

impl Shown {
    pub(super) fn of(relationship: wire::Relationship) -> Self {
        let caveat = relationship.optional_caveat.map(|caveat| {
            let context = caveat.context.filter(|context| !context.fields.is_empty());
            // A server that sends what JSON cannot say sends nothing that could be shown.
            (caveat.caveat_name, to_json_text(context.as_ref()).unwrap_or_default())
        });
        Self {
            resource: wire_object_to_text(relationship.resource),
            relation: relationship.relation,
            subject: wire_subject_to_text(relationship.subject.unwrap_or_default()),
            caveat,
            expires_at: relationship.optional_expires_at.map(|time| time.to_string()),
        }
    }

    /// What limits it, as [`parse_tuple`] reads it; empty for nothing.
    pub(super) fn limits(&self) -> String {
        let caveat = match &self.caveat {
            None => String::new(),
            Some((name, context)) if context.is_empty() => format!("[{name}]"),
            Some((name, context)) => format!("[{name}:{context}]"),
        };
        let expiration = self.expires_at.as_ref().map(|time| format!("{EXPIRATION}{time}]"));
        caveat + &expiration.unwrap_or_default()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}{}", self.resource, self.relation, self.subject, self.limits())
    }
}

fn form(text: &str, what: &'static str, form: &'static str) -> ReferenceError {
    ReferenceError::Form { text: shorten(text), what, form }
}

fn name(text: &str) -> impl Fn(NameError) -> ReferenceError {
    let text = shorten(text);
    move |problem| ReferenceError::Name { text: text.clone(), problem }
}

/// A line of a file that is not a list of relationships can be long; nobody reads more than its beginning.
fn shorten(text: &str) -> String {
    const READABLE: usize = 120;
    match text.char_indices().nth(READABLE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relationships_read_back_as_written() {
        for text in [
            "document:readme#viewer@user:emil",
            "tenant/document:a/b|c=d+e-f_g#viewer@user:*",
            "document:1#viewer@group:eng#member",
            "folder:1#parent@folder:2",
            "document:1#viewer@user:emil[weekday]",
            r#"document:1#viewer@user:emil[tenant/weekday:{"days":[1,2.5],"zone":"[x]"}]"#,
            "document:1#viewer@user:emil[expiration:2030-01-01T00:00:00Z]",
            "document:1#viewer@group:eng#member[weekday][expiration:2030-01-01T00:00:00.250Z]",
            r#"document:1#viewer@user:emil[weekday:{"text":"[expiration:1]"}]"#,
        ] {
            let tuple = parse_tuple(text).unwrap();
            assert_eq!(Shown::of(relationship_to_wire(&tuple)).to_string(), text);
        }
    }

    #[test]
    fn the_ellipsis_is_the_object_itself() {
        let key = parse_relationship("document:1#viewer@user:emil#...").unwrap();
        assert_eq!(key.to_string(), "document:1#viewer@user:emil");
    }

    #[test]
    fn what_is_not_a_relationship_says_which_part_and_how_to_write_it() {
        for (text, expected) in [
            ("", "write it as resource#relation@subject"),
            ("document:1", "write it as resource#relation@subject"),
            ("document:1@user:emil", "write it as resource#relation@subject"),
            ("document:1#viewer", "write it as resource#relation@subject"),
            ("document#viewer@user:emil", "\"document\" is not an object"),
            ("document:1#viewer@emil", "\"emil\" is not a subject"),
            ("document:1#viewer@group:eng#", "\"group:eng#\" is not a subject"),
            ("document:1#viewer@user:a@b", "object id \"a@b\" is not valid"),
            ("document:1#Viewer@user:emil", "relation \"Viewer\" is not valid"),
            ("document:*#viewer@user:emil", "only a subject can be a wildcard"),
            ("document:1#viewer@user:emil[tuesday", "not a caveat or an expiration"),
            ("document:1#viewer@user:emil[]", "the name of the caveat"),
            ("document:1#viewer@user:emil[tuesday:3]", "not a JSON object"),
            ("document:1#viewer@user:emil[expiration:2030]", "RFC 3339"),
            ("document:1#viewer@user:emil[expiration:1930-01-01T00:00:00Z]", "before 1970"),
            ("document:1#viewer@user:emil[expiration:2030-01-01T00:00:00Z][tuesday]", "the context of the caveat"),
            ("do:1#viewer@user:emil", "object type \"do\" is not valid"),
            ("document:1#viewer@user:é", "object id \"é\" is not valid"),
        ] {
            let message = parse_tuple(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn hostile_text_is_shortened_between_characters() {
        let message = parse_relationship(&"é".repeat(100_000)).unwrap_err().to_string();
        assert!(message.len() < 500, "{}", message.len());
    }
}
