//! One line of a history, in the shape that Jepsen's tools read: index, type, process, time, f, value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Request, Workload};

/// Where in an operation an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The request is about to be sent.
    Invoke,
    /// It took effect, and this is the answer.
    Ok,
    /// It certainly had no effect.
    Fail,
    /// Whether it had an effect is unknown. For the nemesis: something was done.
    Info,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Process {
    /// One client, which does one thing at a time. After an unknown outcome it goes on under another number.
    Client(u64),
    /// Whoever injects faults.
    Nemesis(NemesisName),
}

/// The one name of the nemesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NemesisName {
    /// `"nemesis"`.
    Nemesis,
}

impl Process {
    /// The nemesis.
    pub const NEMESIS: Self = Self::Nemesis(NemesisName::Nemesis);
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its position in the history.
    pub index: u64,
    /// Where in its operation it stands.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Whose it is.
    pub process: Process,
    /// Nanoseconds since the beginning, by one monotonic clock.
    pub time: u64,
    /// What was done.
    pub f: String,
    /// An [`Invocation`], a [`Completion`], or what a fault was.
    pub value: Value,
}

/// The value of an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// For what.
    pub workload: Workload,
    /// To which node, counted from 1.
    pub node: usize,
    /// What is asked.
    pub request: Request,
}

/// The value of a completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completion {
    /// Of an event of type ok.
    Answer(super::Answer),
    /// Of an event of type fail or info.
    Error(super::Failure),
}
