//! `google.protobuf.Struct` to JSON text and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::caveat::Context;
use crate::model::{Error, ErrorCode};

/// JSON text of `object`; empty where there is none. The keys are in order, so that equal objects give equal texts.
///
/// The depth is bounded: the decoder of the message refuses deep nesting.
pub fn to_json_text(object: Option<&Struct>) -> Result<String, Error> {
    object.map_or_else(|| Ok(String::new()), |object| Ok(object_to_json(object)?.to_string()))
}

/// A caveat's context; empty where there is none.
pub(super) fn to_context(object: Option<&Struct>) -> Result<Context, Error> {
    let Some(object) = object else { return Ok(Context::new()) };
    let fields = object.fields.iter().map(|(name, value)| Ok((name.clone(), value_to_json(value)?)));
    Context::from_map(fields.collect::<Result<_, Error>>()?)
        .map_err(|error| Error::new(ErrorCode::InvalidArgument, error.to_string()))
}

/// The message of a caveat's context.
pub(super) fn from_context(context: &Context) -> Struct {
    Struct { fields: context.iter().map(|(name, value)| (name.to_owned(), value_from_json(value.clone()))).collect() }
}

fn object_to_json(object: &Struct) -> Result<serde_json::Value, Error> {
    let fields = object.fields.iter().map(|(name, value)| Ok((name.clone(), value_to_json(value)?)));
    Ok(serde_json::Value::Object(fields.collect::<Result<_, Error>>()?))
}

fn value_to_json(value: &Value) -> Result<serde_json::Value, Error> {
    Ok(match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => serde_json::Value::Bool(*value),
        Some(Kind::StringValue(text)) => serde_json::Value::String(text.clone()),
        Some(Kind::NumberValue(number)) => {
            let number = whole(*number).or_else(|| serde_json::Number::from_f64(*number)).ok_or_else(|| {
                Error::new(
                    ErrorCode::InvalidArgument,
                    format!("a JSON value holds {number}, which is not a number in JSON"),
                )
            })?;
            serde_json::Value::Number(number)
        }
        Some(Kind::StructValue(object)) => object_to_json(object)?,
        Some(Kind::ListValue(list)) => {
            serde_json::Value::Array(list.values.iter().map(value_to_json).collect::<Result<_, Error>>()?)
        }
    })
}

/// A whole number that a double holds exactly, written without a fraction.
fn whole(number: f64) -> Option<serde_json::Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT && !(number == 0.0 && number.is_sign_negative());
    is_whole.then(|| serde_json::Number::from(number as i64))
}

/// The object that `text` is; `None` where it is empty or no object. As [`to_json_text`] writes it.
pub fn from_json_text(text: &str) -> Option<Struct> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::Object(fields) => Some(object_from_json(fields)),
        _ => None,
    }
}

fn object_from_json(fields: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name, value_from_json(value))).collect() }
}

fn value_from_json(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(value),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Number(number) => number.as_f64().map_or(Kind::NullValue(0), Kind::NumberValue),
        serde_json::Value::Object(fields) => Kind::StructValue(object_from_json(fields)),
        serde_json::Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(value_from_json).collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        let list = ListValue { values: vec![value(Kind::BoolValue(true)), value(Kind::NullValue(0))] };
        let inner = Struct { fields: [("k".to_owned(), value(Kind::StringValue("v\"".to_owned())))].into() };
        let object = Struct {
            fields: [
                ("n".to_owned(), value(Kind::NumberValue(1.5))),
                ("w".to_owned(), value(Kind::NumberValue(-3.0))),
                ("z".to_owned(), value(Kind::NumberValue(-0.0))),
                ("a".to_owned(), value(Kind::ListValue(list))),
                ("o".to_owned(), value(Kind::StructValue(inner))),
            ]
            .into(),
        };
        let text = to_json_text(Some(&object)).expect("all are JSON");
        assert_eq!(text, r#"{"a":[true,null],"n":1.5,"o":{"k":"v\""},"w":-3,"z":-0.0}"#);
        assert_eq!(from_json_text(&text), Some(object));
        assert_eq!(to_json_text(None), Ok(String::new()));
        assert_eq!(from_json_text(""), None);
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        let object = Struct { fields: [("n".to_owned(), value(Kind::NumberValue(f64::NAN)))].into() };
        assert_eq!(to_json_text(Some(&object)).expect_err("NaN").code, ErrorCode::InvalidArgument);
    }
}
