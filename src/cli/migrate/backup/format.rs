//! The records of a backup, and the relationship that one stands for. The format is zed's; its names are facts.
//!
//! A relationship without an expiration has the zero time of Go in its place, the first moment of the year 1. Older versions of
//! zed had no such field.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::types::Value;
use prost::Message;
use prost_types::{Struct, Timestamp};

use crate::wire::authzed::v1::{ContextualizedCaveat, ObjectReference, Relationship, SubjectReference};

/// The key of the header under which the token of the state is.
pub(super) const TOKEN_KEY: &str = "com.authzed.spicedb.zedtoken.v1";
/// Without their namespace.
pub(super) const RELATIONSHIP_RECORD: &str = "relationship_v1";
/// See [`RELATIONSHIP_RECORD`].
pub(super) const SCHEMA_RECORD: &str = "schema_v1";
/// Places of the records in the union.
const RELATIONSHIP_PLACE: u32 = 0;
const SCHEMA_PLACE: u32 = 1;

/// The first moment of the year 1, in milliseconds since 1970.
const NEVER: i64 = -62_135_596_800_000;

/// What is written.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    const TEXT: &str = r#"[
        {"type": "record", "name": "relationship_v1", "namespace": "com.authzed.spicedb.backup", "fields": [
            {"name": "object_type", "type": "string"},
            {"name": "object_id", "type": "string"},
            {"name": "relation", "type": "string"},
            {"name": "subject_object_type", "type": "string"},
            {"name": "subject_object_id", "type": "string"},
            {"name": "subject_relation", "type": "string"},
            {"name": "caveat_name", "type": "string"},
            {"name": "caveat_context", "type": "bytes"},
            {"name": "expiration", "type": {"type": "long", "logicalType": "timestamp-millis"}}
        ]},
        {"type": "record", "name": "schema_v1", "namespace": "com.authzed.spicedb.backup", "fields": [
            {"name": "schema_text", "type": "string"}
        ]}
    ]"#;
    Schema::parse_str(TEXT).expect("a constant")
});

/// Why a record does not stand for a relationship, or for a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli::migrate) enum RecordError {
    /// A field is missing, or of another kind.
    #[error("{0} is missing or is not what it should be")]
    Field(&'static str),
    /// The context of a caveat is not a message.
    #[error("the context of the caveat cannot be read")]
    Context,
    /// It would have ended before there were any.
    #[error("it expires before 1970")]
    Expiration,
}

/// The record of a schema.
pub(super) fn schema_record(text: &str) -> Value {
    let fields = vec![("schema_text".to_owned(), Value::String(text.to_owned()))];
    Value::Union(SCHEMA_PLACE, Box::new(Value::Record(fields)))
}

/// The record of a relationship.
pub(super) fn relationship_record(relationship: Relationship) -> Value {
    let resource = relationship.resource.unwrap_or_default();
    let subject = relationship.subject.unwrap_or_default();
    let object = subject.object.unwrap_or_default();
    let (caveat, context) = match relationship.optional_caveat {
        None => (String::new(), Vec::new()),
        Some(caveat) => (caveat.caveat_name, caveat.context.map(|context| context.encode_to_vec()).unwrap_or_default()),
    };
    let expires = relationship
        .optional_expires_at
        .map_or(NEVER, |at| at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos.div_euclid(1_000_000))));
    let text = |name: &str, value: String| (name.to_owned(), Value::String(value));
    let fields = vec![
        text("object_type", resource.object_type),
        text("object_id", resource.object_id),
        text("relation", relationship.relation),
        text("subject_object_type", object.object_type),
        text("subject_object_id", object.object_id),
        text("subject_relation", subject.optional_relation),
        text("caveat_name", caveat),
        ("caveat_context".to_owned(), Value::Bytes(context)),
        ("expiration".to_owned(), Value::TimestampMillis(expires)),
    ];
    Value::Union(RELATIONSHIP_PLACE, Box::new(Value::Record(fields)))
}

/// The text of a schema record.
pub(super) fn to_schema(fields: Vec<(String, Value)>) -> Result<String, RecordError> {
    let mut fields = Fields(fields);
    fields.text("schema_text")
}

/// The relationship of a record.
pub(super) fn to_relationship(fields: Vec<(String, Value)>) -> Result<Relationship, RecordError> {
    let mut fields = Fields(fields);
    let caveat_name = fields.text("caveat_name")?;
    let context = fields.bytes("caveat_context")?;
    let optional_caveat = if caveat_name.is_empty() {
        None
    } else {
        let context = Struct::decode(context.as_slice()).map_err(|_| RecordError::Context)?;
        Some(ContextualizedCaveat { caveat_name, context: Some(context) })
    };
    Ok(Relationship {
        resource: Some(ObjectReference {
            object_type: fields.text("object_type")?,
            object_id: fields.text("object_id")?,
        }),
        relation: fields.text("relation")?,
        subject: Some(SubjectReference {
            object: Some(ObjectReference {
                object_type: fields.text("subject_object_type")?,
                object_id: fields.text("subject_object_id")?,
            }),
            optional_relation: fields.text("subject_relation")?,
        }),
        optional_caveat,
        optional_expires_at: fields.expiration("expiration")?,
    })
}

/// Of a record, by their names, since other versions may have others beside them or another order.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(field, _)| field == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn text(&mut self, name: &'static str) -> Result<String, RecordError> {
        match self.take(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(RecordError::Field(name)),
        }
    }

    fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, RecordError> {
        match self.take(name) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(RecordError::Field(name)),
        }
    }

    /// A field that is not there says that nothing expires; any other time before 1970 is a mistake, and no promise of for
    /// ever.
    fn expiration(&mut self, name: &'static str) -> Result<Option<Timestamp>, RecordError> {
        let millis = match self.take(name) {
            None | Some(Value::TimestampMillis(NEVER)) => return Ok(None),
            Some(Value::TimestampMillis(millis)) => u64::try_from(millis).map_err(|_| RecordError::Expiration)?,
            Some(_) => return Err(RecordError::Field(name)),
        };
        Ok(Some(Timestamp {
            seconds: i64::try_from(millis / 1000).expect("it was one before"),
            nanos: i32::try_from(millis % 1000 * 1_000_000).expect("below a thousand million"),
        }))
    }
}
