//! Makes typed values of the JSON of a context, as SpiceDB reads it: numbers may be written as text, and what has no form in
//! JSON is text. A refusal says what was wanted and what was found.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value as Json;

use super::parameter_type::ParameterType;
use super::time::{self, Timestamp};
use super::value::{Key, Value};

/// The value of type `of` that `json` stands for.
pub(super) fn convert(of: &ParameterType, json: &Json) -> Result<Value, String> {
    match of {
        ParameterType::Any => Ok(untyped(json)),
        ParameterType::Bool => json.as_bool().map(Value::Bool).ok_or_else(|| wanted("true or false", json)),
        ParameterType::String => text(json, "text").map(Value::string),
        ParameterType::Int => whole_number(json).map(Value::Int),
        ParameterType::Uint => {
            let unsigned =
                |number: i64| u64::try_from(number).map_err(|_| wanted("a number that is not negative", json));
            whole_number(json).and_then(unsigned).map(Value::Uint)
        }
        ParameterType::Double => double(json).map(Value::Double),
        ParameterType::Bytes => {
            let refuse = || wanted("base64 text", json);
            text(json, "base64 text").and_then(|t| base64_bytes(t).ok_or_else(refuse)).map(Value::Bytes)
        }
        ParameterType::Duration => {
            let refuse = || wanted("a duration like 1h30m", json);
            text(json, "a duration").and_then(|t| time::parse_duration(t).ok_or_else(refuse)).map(Value::Duration)
        }
        ParameterType::Timestamp => {
            let refuse = || wanted("an RFC 3339 timestamp", json);
            text(json, "an RFC 3339 timestamp")
                .and_then(|t| Timestamp::parse(t).ok_or_else(refuse))
                .map(Value::Timestamp)
        }
        ParameterType::IpAddress => {
            text(json, "an IP address").and_then(|t| address(t).ok_or_else(|| wanted("an IP address", json)))
        }
        ParameterType::List(inner) => {
            let elements = json.as_array().ok_or_else(|| wanted("a list", json))?.iter().enumerate();
            let convert = |(place, e)| convert(inner, e).map_err(|why| format!("element {place}: {why}"));
            Ok(Value::list(elements.map(convert).collect::<Result<_, _>>()?))
        }
        ParameterType::Map(inner) => {
            let entries = json.as_object().ok_or_else(|| wanted("an object", json))?.iter();
            let convert = |(name, e): (&String, &Json)| match convert(inner, e) {
                Ok(value) => Ok((Key::String(Arc::from(name.as_str())), value)),
                Err(why) => Err(format!("value of {:?}: {why}", shortened(name))),
            };
            Ok(Value::map(entries.map(convert).collect::<Result<_, _>>()?))
        }
    }
}

fn untyped(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::string(text),
        Json::Array(elements) => Value::list(elements.iter().map(untyped).collect()),
        Json::Object(map) => {
            let entries = map.iter().map(|(name, value)| (Key::String(Arc::from(name.as_str())), untyped(value)));
            Value::map(entries.collect())
        }
    }
}

fn text<'j>(json: &'j Json, what: &str) -> Result<&'j str, String> {
    json.as_str().ok_or_else(|| wanted(what, json))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn wanted(what: &str, found: &Json) -> String {
    let found = match found {
        Json::Null => "null".to_owned(),
        Json::Bool(b) => b.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("{:?}", shortened(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    };
    format!("{what} is wanted, found {found}")
}

/// A whole number, or the text of one. What is beyond 64 bits becomes the outermost number, as in SpiceDB.
fn whole_number(json: &Json) -> Result<i64, String> {
    let refuse = || wanted("a whole number", json);
    let double = match json {
        Json::Number(number) => number.as_f64().ok_or_else(refuse)?,
        Json::String(text) => {
            let decimal = Decimal::split(text).ok_or_else(refuse)?;
            if decimal.exponent.is_none() && decimal.fraction.bytes().all(|b| b == b'0') {
                return Ok(decimal.saturated());
            }
            text.parse().map_err(|_| refuse())?
        }
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return Err(refuse()),
    };
    // The conversion of a double saturates.
    if double.fract() == 0.0 || double.is_infinite() { Ok(double as i64) } else { Err(refuse()) }
}

fn double(json: &Json) -> Result<f64, String> {
    let refuse = || wanted("a number", json);
    match json {
        Json::Number(number) => number.as_f64().ok_or_else(refuse),
        Json::String(text) => match text.trim_start_matches(['+', '-']) {
            "Inf" | "inf" if text.len() <= 4 => {
                Ok(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
            }
            _ => Decimal::split(text).and_then(|_| text.parse().ok()).ok_or_else(refuse),
        },
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Err(refuse()),
    }
}

/// The parts of a decimal number's text.
struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: Option<&'t str>,
}

impl<'t> Decimal<'t> {
    fn split(text: &'t str) -> Option<Self> {
        let unsigned = |text: &'t str| text.strip_prefix(['+', '-']).unwrap_or(text);
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let (number, exponent) = match unsigned(text).split_once(['e', 'E']) {
            Some((number, exponent)) => (number, Some(exponent)),
            None => (unsigned(text), None),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let exponent_fits = exponent.is_none_or(|e| !unsigned(e).is_empty() && all_digits(unsigned(e)));
        let fits = all_digits(whole) && all_digits(fraction) && whole.len() + fraction.len() > 0 && exponent_fits;
        fits.then_some(Self { negative: text.starts_with('-'), whole, fraction, exponent })
    }

    /// The whole part, or the outermost number of 64 bits on its side.
    fn saturated(&self) -> i64 {
        let magnitude = self.whole.bytes().fold(0_i128, |sum, digit| {
            sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')) // `split` let only digits through.
        });
        let signed = if self.negative { -magnitude } else { magnitude };
        i64::try_from(signed).unwrap_or(if self.negative { i64::MIN } else { i64::MAX })
    }
}

/// Standard base64 with padding; line breaks in it mean nothing.
fn base64_bytes(text: &str) -> Option<Arc<[u8]>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
    let joined: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    ENGINE.decode(joined).ok().map(Arc::from)
}

/// An address; one of IPv6 may name a zone.
fn address(text: &str) -> Option<Value> {
    let (address, zone) = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, zone)) => (address, Some(Arc::from(zone))),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let fits = zone.is_none() || address.is_ipv6();
    fits.then_some(Value::Ip(address, zone))
}

/// Whether an address is in a network, written `10.0.0.0/8`; `None` if it is not written like that. An IPv4 address inside
/// IPv6 is an IPv6 address: it is in no IPv4 network.
pub(super) fn is_in_network(address: IpAddr, zone: Option<&str>, network: &str) -> Option<bool> {
    let (base, length) = network.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let is_plain = length == "0" || (!length.starts_with('0') && length.bytes().all(|b| b.is_ascii_digit()));
    let length: u32 = Some(length).filter(|l| is_plain && l.len() <= 3)?.parse().ok()?;
    let (a, b, width) = match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        (_, IpAddr::V4(_)) => return (length <= 32).then_some(false),
        (_, IpAddr::V6(_)) => return (length <= 128).then_some(false),
    };
    let dropped = u32::checked_sub(width, length)?;
    // A shift by all 128 bits leaves nothing to compare.
    Some(zone.is_none() && a.checked_shr(dropped).unwrap_or(0) == b.checked_shr(dropped).unwrap_or(0))
}
