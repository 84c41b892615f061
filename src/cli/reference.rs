//! References as people write them: `document:readme`, `group:eng#member`, `document:readme#viewer@user:emil`.

use crate::caveat::{Context, ContextParseError};
use crate::model::{
    CaveatName, CaveatUse, NameError, ObjectRef, Qualifiers, RelationName, SubjectRef, TimestampMs, Tuple, TupleKey,
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
    /// The context of a caveat.
    #[error("in {text:?}, the context of the caveat: {problem}")]
    Context {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        problem: ContextParseError,
    },
    /// The time of an expiration.
    #[error("in {text:?}: the expiration is no time; write it as [expiration:2030-01-31T12:00:00Z]")]
    Expiration {
        /// The text, shortened.
        text: String,
    },
    /// A caveat or an expiration behind the relationship.
    #[error("{text:?} has a caveat or an expiration, which this version does not support")]
    Qualified {
        /// The text, shortened.
        text: String,
    },
}

const OBJECT_FORM: &str = "type:id, for example document:readme";
const SUBJECT_FORM: &str = "type:id, type:* or type:id#relation, for example user:emil or group:eng#member";
const OBJECT_RELATION_FORM: &str = "type:id#relation, for example document:readme#viewer";
const QUALIFIED_FORM: &str =
    "resource#relation@subject[caveat:{context}][expiration:time], where both brackets may be absent";
const EXPIRATION: &str = "expiration:";
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

/// Parses `resource#relation@subject`.
pub(super) fn parse_relationship(text: &str) -> Result<TupleKey, ReferenceError> {
    let bad_form = || form(text, "a relationship", RELATIONSHIP_FORM);
    if text.ends_with(']') && text.contains('[') {
        return Err(ReferenceError::Qualified { text: shorten(text) });
    }
    let (left, subject) = text.split_once('@').ok_or_else(bad_form)?;
    let (resource, relation) = left.split_once('#').ok_or_else(bad_form)?;
    Ok(TupleKey {
        resource: parse_object(resource)?,
        relation: RelationName::new(relation).map_err(name(text))?,
        subject: parse_subject(subject)?,
    })
}

/// Parses `object:id#relation`.
pub(super) fn parse_object_relation(text: &str) -> Result<(ObjectRef, RelationName), ReferenceError> {
    let (object, relation) =
        text.split_once('#').ok_or_else(|| form(text, "a relation of an object", OBJECT_RELATION_FORM))?;
    Ok((parse_object(object)?, RelationName::new(relation).map_err(name(text))?))
}

/// Parses `resource#relation@subject`, and behind it a caveat, an expiration or both:
/// `[tuesday]`, `[tuesday:{"zone":"UTC"}]`, `[expiration:2030-01-31T12:00:00Z]`.
pub(super) fn parse_tuple(text: &str) -> Result<Tuple, ReferenceError> {
    let Some((key, qualifiers)) = text.split_once('[') else {
        return parse_relationship(text).map(Tuple::unqualified);
    };
    let bad_form = || form(text, "a relationship", QUALIFIED_FORM);
    let mut rest = qualifiers.strip_suffix(']').ok_or_else(bad_form)?;
    let mut expires_at = None;
    if let Some((before, time)) = rest.rsplit_once(EXPIRATION)
        && (before.is_empty() || before.ends_with("]["))
        && !time.contains(']')
    {
        expires_at = Some(parse_time(time).ok_or_else(|| ReferenceError::Expiration { text: shorten(text) })?);
        rest = before.strip_suffix("][").unwrap_or(before);
        if before.is_empty() {
            return Ok(Tuple { key: parse_relationship(key)?, qualifiers: Qualifiers { caveat: None, expires_at } });
        }
    }
    let (caveat, context) = rest.split_once(':').map_or((rest, None), |(caveat, context)| (caveat, Some(context)));
    let caveat = CaveatName::new(caveat).map_err(name(text))?;
    let context = context.map(Context::from_json_text).transpose();
    let context = context.map_err(|problem| ReferenceError::Context { text: shorten(text), problem })?;
    let context_json = context.filter(|context| !context.is_empty()).map_or_else(String::new, |c| c.to_json_text());
    let caveat = Some(CaveatUse { name: caveat.as_str().to_owned(), context_json });
    Ok(Tuple { key: parse_relationship(key)?, qualifiers: Qualifiers { caveat, expires_at } })
}

/// A time of RFC 3339; none before the epoch.
fn parse_time(text: &str) -> Option<TimestampMs> {
    let time: prost_types::Timestamp = text.parse().ok()?;
    let seconds = u64::try_from(time.seconds).ok()?;
    Some(TimestampMs(seconds.checked_mul(1000)?.checked_add(u64::try_from(time.nanos).ok()? / 1_000_000)?))
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
pub(super) fn relationship_to_wire(key: &TupleKey) -> wire::Relationship {
    wire::Relationship {
        resource: Some(object_to_wire(&key.resource)),
        relation: key.relation.as_str().to_owned(),
        subject: Some(subject_to_wire(&key.subject)),
        optional_caveat: None,
        optional_expires_at: None,
    }
}

/// The three parts of a relationship that a server sent, as text. What is missing shows as empty.
pub(super) fn wire_to_text(relationship: wire::Relationship) -> [String; 3] {
    let object =
        |o: Option<wire::ObjectReference>| o.map(|o| format!("{}:{}", o.object_type, o.object_id)).unwrap_or_default();
    let subject = relationship.subject.unwrap_or_default();
    let subject = match subject.optional_relation.as_str() {
        "" | "..." => object(subject.object),
        relation => format!("{}#{relation}", object(subject.object)),
    };
    [object(relationship.resource), relationship.relation, subject]
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
        ] {
            let key = parse_relationship(text).unwrap();
            assert_eq!(key.to_string(), text);
            let [resource, relation, subject] = wire_to_text(relationship_to_wire(&key));
            assert_eq!(format!("{resource}#{relation}@{subject}"), text);
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
            ("document:1#viewer@user:emil[tuesday]", "which this version does not support"),
            ("do:1#viewer@user:emil", "object type \"do\" is not valid"),
            ("document:1#viewer@user:é", "object id \"é\" is not valid"),
        ] {
            let message = parse_relationship(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn qualifiers_are_read() {
        let cases = [
            ("document:1#viewer@user:a", None, None),
            ("document:1#viewer@user:a[tall]", Some(("tall", "")), None),
            ("document:1#viewer@user:a[t/tall:{}]", Some(("t/tall", "")), None),
            (
                r#"document:1#viewer@user:a[tall:{"b": "x]y[z", "a": [1]}]"#,
                Some(("tall", r#"{"a":[1],"b":"x]y[z"}"#)),
                None,
            ),
            ("document:1#viewer@user:a[expiration:1970-01-01T00:00:01.5Z]", None, Some(1500)),
            (
                r#"document:1#viewer@user:a[tall:{"a":"[expiration:1970-01-01T00:00:01Z]"}]"#,
                Some(("tall", r#"{"a":"[expiration:1970-01-01T00:00:01Z]"}"#)),
                None,
            ),
            (
                r#"document:1#viewer@user:a[tall:{"a":1}][expiration:1970-01-01T02:00:00+02:00]"#,
                Some(("tall", r#"{"a":1}"#)),
                Some(0),
            ),
        ];
        for (text, caveat, expires_at) in cases {
            let tuple = parse_tuple(text).expect(text);
            assert_eq!(tuple.key.to_string(), "document:1#viewer@user:a");
            let found = tuple.qualifiers.caveat.as_ref().map(|c| (c.name.as_str(), c.context_json.as_str()));
            assert_eq!((found, tuple.qualifiers.expires_at.map(|at| at.0)), (caveat, expires_at), "{text}");
        }
        for text in [
            "document:1#viewer@user:a[",
            "document:1#viewer@user:a[]",
            "document:1#viewer@user:a[tall:{]",
            "document:1#viewer@user:a[tall:[]]",
            "document:1#viewer@user:a[expiration:soon]",
            "document:1#viewer@user:a[expiration:1969-01-01T00:00:00Z]",
            "document:1#viewer@user:a[expiration:1970-01-01T00:00:01Z][tall]",
            "document:1#viewer@user:a[tall]x",
        ] {
            assert!(parse_tuple(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_text_is_shortened_between_characters() {
        let message = parse_relationship(&"é".repeat(100_000)).unwrap_err().to_string();
        assert!(message.len() < 500, "{}", message.len());
    }
}
