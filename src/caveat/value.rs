//! The values that expressions compute with. Lists, maps and texts are shared, so that a value is cheap to copy.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::time::Timestamp;
use super::weighed::Weighed;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<Weighed<Vec<Value>>>),
    Map(Arc<Weighed<BTreeMap<Key, Value>>>),
    /// In nanoseconds.
    Duration(i64),
    Timestamp(Timestamp),
    /// An address; with the zone that it was written with, if any, since an address in a zone is in no network.
    Ip(IpAddr, Option<Arc<str>>),
    Optional(Option<Arc<Weighed<Value>>>),
    /// A type, by its name.
    Type(&'static str),
}

/// A key of a map. Two numeric keys of different types are different keys, but a lookup finds either by the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

impl Key {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(i) => Value::Int(*i),
            Self::Uint(u) => Value::Uint(*u),
            Self::String(s) => Value::String(Arc::clone(s)),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Uint(_) => 1,
            Self::String(s) => bytes_weight(s.len()),
        }
    }
}

impl Value {
    pub(super) fn string(text: &str) -> Self {
        Self::String(Arc::from(text))
    }

    pub(super) fn list(elements: Vec<Value>) -> Self {
        Self::List(Arc::new(Weighed::new(elements, |elements| sum(elements.iter().map(Self::weight)))))
    }

    pub(super) fn map(entries: BTreeMap<Key, Value>) -> Self {
        let weight = |(key, value): (&Key, &Value)| key.weight().saturating_add(value.weight());
        Self::Map(Arc::new(Weighed::new(entries, |entries| sum(entries.iter().map(weight)))))
    }

    pub(super) fn some(value: Value) -> Self {
        Self::Optional(Some(Arc::new(Weighed::new(value, Self::weight))))
    }

    /// The name of the value's type, as `type()` gives it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Ip(..) => "IPAddress",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
        }
    }

    /// The key that a map literal makes of this value.
    pub(super) fn as_key(&self) -> Option<Key> {
        match self {
            Self::Bool(b) => Some(Key::Bool(*b)),
            Self::Int(i) => Some(Key::Int(*i)),
            Self::Uint(u) => Some(Key::Uint(*u)),
            Self::String(s) => Some(Key::String(Arc::clone(s))),
            Self::Null
            | Self::Double(_)
            | Self::Bytes(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Duration(_)
            | Self::Timestamp(_)
            | Self::Ip(..)
            | Self::Optional(_)
            | Self::Type(_) => None,
        }
    }

    /// The whole number that this value is, whatever its numeric type.
    pub(super) fn as_whole_number(&self) -> Option<i128> {
        match self {
            Self::Int(i) => Some(i128::from(*i)),
            Self::Uint(u) => Some(i128::from(*u)),
            Self::Double(d) if d.fract() == 0.0 && d.abs() < 1e19 => Some(*d as i128),
            _ => None,
        }
    }

    /// How many steps it takes to look at all of this value, roughly: what comparing it costs.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::String(s) => bytes_weight(s.len()),
            Self::Bytes(b) => bytes_weight(b.len()),
            Self::List(list) => list.weight(),
            Self::Map(map) => map.weight(),
            Self::Optional(Some(inner)) => inner.weight(),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Double(_)
            | Self::Duration(_)
            | Self::Timestamp(_)
            | Self::Ip(..)
            | Self::Optional(None)
            | Self::Type(_) => 1,
        }
    }
}

fn bytes_weight(bytes: usize) -> u64 {
    1 + bytes as u64 / 16
}

/// The weights of shared parts add up beyond any number.
pub(super) fn sum(weights: impl Iterator<Item = u64>) -> u64 {
    weights.fold(0, u64::saturating_add)
}

/// What `map[key]` finds: a number finds the entry of an equal number of another type.
pub(super) fn lookup<'m>(map: &'m BTreeMap<Key, Value>, key: &Value) -> Option<&'m Value> {
    if let Some(number) = key.as_whole_number() {
        let int = i64::try_from(number).ok().and_then(|i| map.get(&Key::Int(i)));
        return int.or_else(|| u64::try_from(number).ok().and_then(|u| map.get(&Key::Uint(u))));
    }
    map.get(&key.as_key()?)
}

/// Equality: numbers by value across their types, and values of otherwise different types are not equal.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a.is_same_moment(b),
        (Value::Ip(a, zone), Value::Ip(b, other)) => a == b && zone == other,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let found =
                |(key, value): (&Key, &Value)| lookup(b, &key.to_value()).is_some_and(|other| equal(value, other));
            a.len() == b.len() && a.iter().all(found)
        }
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => equal(a, b),
            (None, Some(_)) | (Some(_), None) => false,
        },
        _ => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

/// How two numbers compare, across their types and as doubles if one is a double, which may round the other; `None` if one is
/// no number or not a number.
pub(super) fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), b) => a.partial_cmp(&(b.as_whole_number()? as f64)),
        (a, Value::Double(b)) => (a.as_whole_number()? as f64).partial_cmp(b),
        (a, b) => Some(a.as_whole_number()?.cmp(&b.as_whole_number()?)),
    }
}
