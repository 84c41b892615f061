//! The types that a caveat's parameters may have, as a schema writes them. Must not know how values of them are represented.

use std::fmt;

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterType {
    /// Whatever JSON can hold.
    Any,
    /// True or false.
    Bool,
    /// Text.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A whole number of 64 bits that is not negative.
    Uint,
    /// A floating point number of 64 bits.
    Double,
    /// Bytes, as base64 text.
    Bytes,
    /// A length of time, as text like `1h30m`.
    Duration,
    /// A moment, as RFC 3339 text.
    Timestamp,
    /// An IPv4 or IPv6 address, as text.
    IpAddress,
    /// A list whose elements have one type.
    List(Box<ParameterType>),
    /// A JSON object whose values have one type.
    Map(Box<ParameterType>),
}

/// Why a text is not a parameter type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a parameter type: {rule}")]
pub struct ParameterTypeError {
    text: String,
    rule: &'static str,
}

impl ParameterType {
    /// How deeply lists and maps may be nested in each other.
    pub const MAX_NESTING: usize = 16;

    /// Parses the text of a schema: `int`, `list<map<string>>`. Blanks may stand around the brackets.
    pub fn parse(text: &str) -> Result<Self, ParameterTypeError> {
        let refuse = |rule| ParameterTypeError { text: text.chars().take(80).collect(), rule };
        let mut wrappers = Vec::new();
        let mut rest = text.trim();
        while let Some((head, tail)) = rest.split_once('<') {
            if wrappers.len() == Self::MAX_NESTING {
                return Err(refuse("lists and maps are nested too deeply"));
            }
            let wrap: fn(Box<Self>) -> Self = match head.trim_end() {
                "list" => Self::List,
                "map" => Self::Map,
                _ => return Err(refuse("only list and map take a type between < and >")),
            };
            wrappers.push(wrap);
            rest = tail.trim().strip_suffix('>').ok_or_else(|| refuse("a > is missing at its end"))?.trim();
        }
        let mut parsed = Self::scalar(rest).ok_or_else(|| {
            refuse(
                "the types are any, bool, string, int, uint, double, bytes, duration, timestamp, ipaddress, list<…> and map<…>",
            )
        })?;
        while let Some(wrap) = wrappers.pop() {
            parsed = wrap(Box::new(parsed));
        }
        Ok(parsed)
    }

    fn scalar(name: &str) -> Option<Self> {
        Some(match name {
            "any" => Self::Any,
            "bool" => Self::Bool,
            "string" => Self::String,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "duration" => Self::Duration,
            "timestamp" => Self::Timestamp,
            "ipaddress" => Self::IpAddress,
            _ => return None,
        })
    }
}

impl std::str::FromStr for ParameterType {
    type Err = ParameterTypeError;

    fn from_str(text: &str) -> Result<Self, ParameterTypeError> {
        Self::parse(text)
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Bool => f.write_str("bool"),
            Self::String => f.write_str("string"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::IpAddress => f.write_str("ipaddress"),
            Self::List(inner) => write!(f, "list<{inner}>"),
            Self::Map(inner) => write!(f, "map<{inner}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_and_write_the_same_text() {
        for text in ["any", "bool", "string", "int", "uint", "double", "bytes", "duration", "timestamp", "ipaddress"] {
            for text in [text.to_owned(), format!("list<{text}>"), format!("map<list<{text}>>")] {
                assert_eq!(ParameterType::parse(&text).unwrap().to_string(), text);
            }
        }
        assert_eq!(ParameterType::parse(" list < int > ").unwrap().to_string(), "list<int>");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "integer", "list", "list<>", "list<int", "int>", "int<int>", "list<int>>", "map<int,int>"] {
            assert!(ParameterType::parse(text).is_err(), "{text}");
        }
        let nested = |depth: usize| format!("{}int{}", "list<".repeat(depth), ">".repeat(depth));
        assert!(ParameterType::parse(&nested(ParameterType::MAX_NESTING)).is_ok());
        assert!(ParameterType::parse(&nested(100_000)).is_err());
    }
}
