//! One line of the audit log, and how it is written. Whatever is in it comes from the outside or from the data, and JSON keeps
//! it on one line.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A longer line loses what it says of the request, and says so.
const MOST_BYTES: usize = 64 << 10;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A call that changes something.
    Change,
    /// A call that reads.
    Read,
    /// A call that was not let in.
    Refused,
}

impl Kind {
    /// As in the line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Read => "read",
            Self::Refused => "refused",
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was taken up, and a later line says what became of it.
    Begun,
    /// It is as was asked for.
    Done,
    /// A part of it took effect.
    Partly,
    /// It failed and had no effect.
    Refused,
    /// It failed, and may have begun something.
    Failed,
    /// Whether it took effect is not known.
    Unknown,
}

/// Who called, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Caller {
    /// `x-request-id`.
    pub request_id: String,
    /// The name of the key; `None` for one that is not known.
    pub key: Option<String>,
    /// Where the connection came from.
    pub peer: Option<String>,
    /// `grpc` or `json`.
    pub via: &'static str,
    /// Service and method.
    pub method: String,
}

/// A line.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// When it was made, by the node's clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// What it is about.
    pub kind: Kind,
    /// The node that took the call; `None` while it is no member.
    pub node: Option<u64>,
    /// Who called.
    #[serde(flatten)]
    pub caller: Caller,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<Value>,
    /// The consistency in effect for a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<&'static str>,
    /// What a read was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// What became of it.
    pub outcome: Outcome,
    /// The code, as gRPC writes it.
    pub code: &'static str,
    /// The reason of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where several entries of the log came of it, the index of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_index: Option<u64>,
    /// The log index at which it took effect, or that a read was answered from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Whether it was a repetition of an earlier call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition: Option<bool>,
    /// Refused calls since the line before of which no line was made, because there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<u64>,
}

fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{time:.6}"))
}

impl Line {
    /// As it is written, with its end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let write = |line: &Self| serde_json::to_vec(line).expect("a line is plain data with string keys");
        let mut bytes = write(self);
        if bytes.len() >= MOST_BYTES {
            let what = Some(Value::String(format!("left out: the line had {} bytes", bytes.len())));
            bytes = write(&Self { what, answer: None, ..self.clone() });
        }
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(what: Value) -> Line {
        Line {
            time: Timestamp::from_millisecond(1_750_000_000_123).expect("in range"),
            kind: Kind::Change,
            node: Some(2),
            caller: Caller {
                request_id: "r\n\"1".to_owned(),
                key: Some("billing".to_owned()),
                peer: Some("10.0.0.1:5".to_owned()),
                via: "grpc",
                method: "a/B".to_owned(),
            },
            what: Some(what),
            consistency: None,
            answer: None,
            outcome: Outcome::Done,
            code: "OK",
            reason: None,
            first_index: None,
            index: Some(7),
            repetition: Some(false),
            suppressed: None,
        }
    }

    #[test]
    fn a_line_is_one_json_object_whatever_is_in_it() {
        let bytes = line(json!({ "peers": ["a\nb"] })).to_bytes();
        let text = String::from_utf8(bytes).expect("JSON is text");
        assert_eq!(text.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!({
            "time": "2025-06-15T15:06:40.123000Z", "kind": "change", "node": 2, "request_id": "r\n\"1",
            "key": "billing", "peer": "10.0.0.1:5", "via": "grpc", "method": "a/B", "what": { "peers": ["a\nb"] },
            "outcome": "done", "code": "OK", "index": 7, "repetition": false,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_that_is_too_long_keeps_who_and_what_became_of_it() {
        let bytes = line(json!("x".repeat(MOST_BYTES))).to_bytes();
        assert!(bytes.len() < 1024);
        let read: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!((&read["key"], &read["index"]), (&json!("billing"), &json!(7)));
        assert!(read["what"].as_str().expect("text").starts_with("left out"));
    }
}
