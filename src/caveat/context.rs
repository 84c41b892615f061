//! Contexts: the JSON objects that give a caveat's parameters their values, from a relationship or from a request. Must not
//! know types: [`super::Caveat`] holds a context against the parameters.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Number, Value as Json};

/// A JSON object within bounds. Its numbers are doubles, as on the wire, so two contexts that mean the same are equal and have
/// the same text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Context {
    values: BTreeMap<String, Json>,
}

/// Why something is not a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextParseError {
    /// The text is not JSON, or nested beyond what the parser allows.
    #[error("the caveat context is not JSON: {0}")]
    Syntax(String),
    /// JSON, but no object.
    #[error("a caveat context is a JSON object, like {{\"name\": \"value\"}}")]
    NotAnObject,
    /// The text is longer than [`Context::MAX_BYTES`].
    #[error("the caveat context has {0} bytes, at most {max} are allowed", max = Context::MAX_BYTES)]
    TooLong(usize),
    /// Lists and objects are nested deeper than [`Context::MAX_DEPTH`].
    #[error("lists and objects in a caveat context may be nested {max} deep at most", max = Context::MAX_DEPTH)]
    TooDeep,
}

impl Context {
    /// The longest text that is read.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// How deep lists and objects may be nested in each other.
    pub const MAX_DEPTH: usize = 32;

    /// A context without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the text of a JSON object.
    pub fn from_json_text(text: &str) -> Result<Self, ContextParseError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ContextParseError::TooLong(text.len()));
        }
        let json: Json = serde_json::from_str(text).map_err(|error| ContextParseError::Syntax(error.to_string()))?;
        match json {
            Json::Object(map) => Self::from_map(map),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                Err(ContextParseError::NotAnObject)
            }
        }
    }

    /// Takes over a JSON object.
    pub fn from_map(map: Map<String, Json>) -> Result<Self, ContextParseError> {
        let values = map.into_iter().map(|(name, value)| Ok((name, canonical(value, Self::MAX_DEPTH)?)));
        Ok(Self { values: values.collect::<Result<_, _>>()? })
    }

    /// The JSON text in its one form: keys sorted, no blanks.
    #[must_use]
    pub fn to_json_text(&self) -> String {
        self.to_string()
    }

    /// The values by name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.values.get(name)
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Both contexts in one; where both have a name, the value of `self` stays.
    #[must_use]
    pub fn merge(&self, weaker: &Self) -> Self {
        let mut values = weaker.values.clone();
        values.extend(self.values.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self { values }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (name, value)) in self.values.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}:{value}", Json::String(name.clone()))?;
        }
        f.write_str("}")
    }
}

/// `value` with its numbers as doubles and the keys of its objects in order.
fn canonical(value: Json, depth: usize) -> Result<Json, ContextParseError> {
    Ok(match value {
        Json::Number(number) => Json::Number(canonical_number(&number)),
        Json::Array(elements) => {
            let depth = depth.checked_sub(1).ok_or(ContextParseError::TooDeep)?;
            Json::Array(elements.into_iter().map(|e| canonical(e, depth)).collect::<Result<_, _>>()?)
        }
        Json::Object(map) => {
            let depth = depth.checked_sub(1).ok_or(ContextParseError::TooDeep)?;
            let sorted: BTreeMap<String, Json> = map.into_iter().collect();
            let entries = sorted.into_iter().map(|(name, value)| Ok((name, canonical(value, depth)?)));
            Json::Object(entries.collect::<Result<_, _>>()?)
        }
        Json::Null | Json::Bool(_) | Json::String(_) => value,
    })
}

/// A double, written without a fraction where it is a whole number that a double holds exactly.
fn canonical_number(number: &Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Some(double) = number.as_f64() else { return number.clone() };
    if double.fract() == 0.0 && double.abs() < EXACT {
        return Number::from(double as i64);
    }
    Number::from_f64(double).unwrap_or_else(|| number.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_one_form() {
        for (text, expected) in [
            ("{}", "{}"),
            (r#" { "b" : 1.0, "a" : {"z": 1, "y": [1e2, -0.0]} } "#, r#"{"a":{"y":[100,0],"z":1},"b":1}"#),
            (r#"{"a": 9007199254740993}"#, r#"{"a":9007199254740992.0}"#),
            (r#"{"\"": "é\n"}"#, r#"{"\"":"é\n"}"#),
        ] {
            let context = Context::from_json_text(text).unwrap();
            assert_eq!(context.to_json_text(), expected);
            assert_eq!(Context::from_json_text(expected).unwrap(), context);
        }
    }

    #[test]
    fn what_is_no_bounded_object_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Context::from_json_text(&nested(Context::MAX_DEPTH)).is_ok());
        assert_eq!(Context::from_json_text(&nested(Context::MAX_DEPTH + 1)), Err(ContextParseError::TooDeep));
        assert!(matches!(Context::from_json_text(&nested(30_000)), Err(ContextParseError::Syntax(_))));
        assert_eq!(Context::from_json_text("[]"), Err(ContextParseError::NotAnObject));
        let long = format!("{{\"a\": {:?}}}", "x".repeat(Context::MAX_BYTES));
        assert!(matches!(Context::from_json_text(&long), Err(ContextParseError::TooLong(_))));
    }

    #[test]
    fn the_stronger_context_wins() {
        let context = |text| Context::from_json_text(text).unwrap();
        let merged = context(r#"{"a": 1, "b": 2}"#).merge(&context(r#"{"b": 3, "c": 4}"#));
        assert_eq!(merged.to_json_text(), r#"{"a":1,"b":2,"c":4}"#);
    }
}
