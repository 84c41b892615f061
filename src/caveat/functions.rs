//! The functions that expressions call, over known arguments. What they cannot answer is an error with its reason.

use std::sync::Arc;

use super::convert::is_in_network;
use super::signatures::{Function, TimePart};
use super::subtree::is_subtree;
use super::time::{Timestamp, duration_text, parse_duration};
use super::value::{Value, sum};

/// How many steps a call counts for beyond the one for its node.
pub(super) fn cost(function: Function, args: &[Value]) -> u64 {
    let weight = sum(args.iter().map(Value::weight));
    match function {
        // The characters of a text are counted; everything else knows its size.
        Function::Size => match args {
            [Value::String(_)] => weight,
            _ => 0,
        },
        Function::TypeOf
        | Function::HasValue
        | Function::ValueOf
        | Function::OrOptional
        | Function::OrValue
        | Function::OptionalOf
        | Function::OptionalNone
        | Function::OptionalOfNonZero
        | Function::ToDyn => 0,
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::ToBool
        | Function::ToBytes
        | Function::ToDouble
        | Function::ToDuration
        | Function::ToInt
        | Function::ToString
        | Function::ToTimestamp
        | Function::ToUint
        | Function::InCidr
        | Function::IsSubtreeOf
        | Function::Matches // Only with arguments that it does not take: the evaluation matches.
        | Function::Time(_) => weight,
    }
}

/// Calls `function`.
pub(super) fn call(function: Function, args: &[Value]) -> Result<Value, String> {
    let refuse = || no_overload(function, args);
    match (function, args) {
        (Function::Size, [value]) => size(value).ok_or_else(refuse),
        (Function::Contains, [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.contains(&**b))),
        (Function::StartsWith, [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.starts_with(&**b))),
        (Function::EndsWith, [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.ends_with(&**b))),
        (Function::ToDyn, [value]) => Ok(value.clone()),
        (Function::TypeOf, [value]) => Ok(Value::Type(value.type_name())),
        (Function::Time(part), [Value::Timestamp(t)]) => time_part(part, t, ""),
        (Function::Time(part), [Value::Timestamp(t), Value::String(zone)]) => time_part(part, t, zone),
        (Function::Time(part), [Value::Duration(nanos)]) => duration_part(part, *nanos).ok_or_else(refuse),
        (Function::InCidr, [Value::Ip(address, zone), Value::String(network)]) => {
            let inside = is_in_network(*address, zone.as_deref(), network);
            inside.map(Value::Bool).ok_or_else(|| format!("{:?} is not a network like 10.0.0.0/8", shortened(network)))
        }
        (Function::IsSubtreeOf, [Value::Map(part), Value::Map(whole)]) => Ok(Value::Bool(is_subtree(part, whole)?)),
        (Function::OptionalOf, [value]) => Ok(Value::some(value.clone())),
        (Function::OptionalNone, []) => Ok(Value::Optional(None)),
        (Function::OptionalOfNonZero, [value]) => {
            Ok(if is_zero(value) { Value::Optional(None) } else { Value::some(value.clone()) })
        }
        (Function::HasValue, [Value::Optional(held)]) => Ok(Value::Bool(held.is_some())),
        (Function::ValueOf, [Value::Optional(held)]) => {
            held.as_deref().map(|held| Value::clone(held)).ok_or_else(|| "the optional holds nothing".to_owned())
        }
        (_, [value]) => conversion(function, value)?.ok_or_else(refuse),
        _ => Err(refuse()),
    }
}

/// The error of a call whose arguments are not of the types that the function takes.
pub(super) fn no_overload(function: Function, args: &[Value]) -> String {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    format!("{function:?} does not take ({})", types.join(", "))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn size(value: &Value) -> Option<Value> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return None,
    };
    i64::try_from(size).ok().map(Value::Int)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(b) => !b,
        Value::Int(i) => *i == 0,
        Value::Uint(u) => *u == 0,
        Value::Double(d) => *d == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Duration(nanos) => *nanos == 0,
        Value::Timestamp(_) | Value::Ip(..) | Value::Optional(Some(_)) | Value::Type(_) => false,
    }
}

/// A conversion from one type to another; `None` if there is none.
fn conversion(function: Function, value: &Value) -> Result<Option<Value>, String> {
    let refuse = || format!("{function:?} cannot read {:?}", as_text(value).map(|t| shortened(&t)).unwrap_or_default());
    let overflow = || "the number overflows".to_owned();
    Ok(Some(match (function, value) {
        (Function::ToBool, Value::Bool(_))
        | (Function::ToBytes, Value::Bytes(_))
        | (Function::ToDouble, Value::Double(_))
        | (Function::ToDuration, Value::Duration(_))
        | (Function::ToInt, Value::Int(_))
        | (Function::ToTimestamp, Value::Timestamp(_))
        | (Function::ToUint, Value::Uint(_)) => value.clone(),
        (Function::ToBool, Value::String(text)) => Value::Bool(match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return Err(refuse()),
        }),
        (Function::ToBytes, Value::String(text)) => Value::Bytes(Arc::from(text.as_bytes())),
        (Function::ToDouble, Value::Int(i)) => Value::Double(*i as f64),
        (Function::ToDouble, Value::Uint(u)) => Value::Double(*u as f64),
        (Function::ToDouble, Value::String(text)) => Value::Double(parse_double(text).ok_or_else(refuse)?),
        (Function::ToDuration, Value::String(text)) => Value::Duration(parse_duration(text).ok_or_else(refuse)?),
        (Function::ToInt, Value::Uint(u)) => Value::Int(i64::try_from(*u).map_err(|_| overflow())?),
        (Function::ToInt, Value::Double(d)) => {
            Value::Int(truncated(*d).and_then(|n| i64::try_from(n).ok()).ok_or_else(overflow)?)
        }
        (Function::ToInt, Value::String(text)) => Value::Int(text.parse().map_err(|_| refuse())?),
        (Function::ToInt, Value::Timestamp(t)) => Value::Int(t.seconds()),
        (Function::ToInt, Value::Duration(nanos)) => Value::Int(*nanos),
        (Function::ToUint, Value::Int(i)) => Value::Uint(u64::try_from(*i).map_err(|_| overflow())?),
        (Function::ToUint, Value::Double(d)) if d.is_sign_negative() && *d != 0.0 => return Err(overflow()),
        (Function::ToUint, Value::Double(d)) => {
            Value::Uint(truncated(*d).and_then(|n| u64::try_from(n).ok()).ok_or_else(overflow)?)
        }
        (Function::ToUint, Value::String(text)) if !text.starts_with('+') => {
            Value::Uint(text.parse().map_err(|_| refuse())?)
        }
        (Function::ToUint, Value::String(_)) => return Err(refuse()),
        (Function::ToTimestamp, Value::Int(seconds)) => {
            Value::Timestamp(Timestamp::from_seconds(*seconds).ok_or_else(overflow)?)
        }
        (Function::ToTimestamp, Value::String(text)) => {
            Value::Timestamp(Timestamp::parse(text).and_then(Timestamp::within_years).ok_or_else(refuse)?)
        }
        (Function::ToString, Value::Bytes(bytes)) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "the bytes are not UTF-8".to_owned())?;
            Value::string(text)
        }
        (Function::ToString, value) => match as_text(value) {
            Some(text) => Value::string(&text),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// The text of a scalar.
fn as_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => double_text(*d),
        Value::Duration(nanos) => duration_text(*nanos),
        Value::Timestamp(t) => t.to_string(),
        Value::Null
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Ip(..)
        | Value::Optional(_)
        | Value::Type(_) => {
            return None;
        }
    })
}

/// The whole part of a double that is well inside 128 bits.
fn truncated(double: f64) -> Option<i128> {
    // Doubles at the very edge of 64 bits are refused, as the conversion back would differ.
    (double.is_finite() && double.abs() < 1.8446744073709552e19).then(|| double.trunc() as i128)
}

/// Reads a finite decimal, or the name of an infinity or of not-a-number.
fn parse_double(text: &str) -> Option<f64> {
    let parsed: f64 = text.parse().ok()?;
    let is_named = text.bytes().any(|b| matches!(b, b'n' | b'N'));
    (parsed.is_finite() || is_named).then_some(parsed)
}

/// The shortest text that reads back as the same double; with an exponent below 1e-4 and from 1e6.
fn double_text(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{double:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if double == 0.0 || (-4..6).contains(&exponent) {
        return double.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn time_part(part: TimePart, of: &Timestamp, zone: &str) -> Result<Value, String> {
    let civil = of.in_zone(zone)?;
    Ok(Value::Int(match part {
        TimePart::FullYear => i64::from(civil.year()),
        TimePart::Month => i64::from(civil.month()) - 1,
        TimePart::Date => i64::from(civil.day()),
        TimePart::DayOfMonth => i64::from(civil.day()) - 1,
        TimePart::DayOfYear => i64::from(civil.day_of_year()) - 1,
        TimePart::DayOfWeek => i64::from(civil.weekday().to_sunday_zero_offset()),
        TimePart::Hours => i64::from(civil.hour()),
        TimePart::Minutes => i64::from(civil.minute()),
        TimePart::Seconds => i64::from(civil.second()),
        TimePart::Milliseconds => i64::from(civil.subsec_nanosecond()) / 1_000_000,
    }))
}

/// The whole length of a duration in a unit.
fn duration_part(part: TimePart, nanos: i64) -> Option<Value> {
    let unit = match part {
        TimePart::Hours => 3_600_000_000_000,
        TimePart::Minutes => 60_000_000_000,
        TimePart::Seconds => 1_000_000_000,
        TimePart::Milliseconds => 1_000_000,
        TimePart::FullYear
        | TimePart::Month
        | TimePart::Date
        | TimePart::DayOfMonth
        | TimePart::DayOfYear
        | TimePart::DayOfWeek => return None,
    };
    Some(Value::Int(nanos / unit))
}
