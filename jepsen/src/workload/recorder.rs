//! Writes the history down, in one order, by one clock.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use crate::history::{Completion, Event, Invocation, Kind, Outcome, Process};

/// The history so far.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    events: Mutex<Vec<Event>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { begun: Instant::now(), events: Mutex::new(Vec::new()) }
    }
}

impl Recorder {
    /// Nanoseconds since the beginning.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A request is about to be sent; the index of the event.
    pub fn invoke(&self, process: u64, invocation: &Invocation) -> u64 {
        let f = invocation.request.name();
        let value = serde_json::to_value(invocation).expect("requests have no maps with odd keys");
        self.push(Kind::Invoke, Process::Client(process), f, value)
    }

    /// It was answered, or was not.
    pub fn complete(&self, process: u64, f: &str, outcome: &Outcome) {
        let (kind, completion) = match outcome {
            Outcome::Ok(answer) => (Kind::Ok, Completion::Answer(answer.clone())),
            Outcome::Fail(failure) => (Kind::Fail, Completion::Error(failure.clone())),
            Outcome::Info(failure) => (Kind::Info, Completion::Error(failure.clone())),
        };
        let value = serde_json::to_value(completion).expect("answers have no maps with odd keys");
        self.push(kind, Process::Client(process), f, value);
    }

    /// Something was done to the cluster.
    pub fn note(&self, f: &str, value: Value) {
        self.push(Kind::Info, Process::NEMESIS, f, value);
    }

    fn push(&self, kind: Kind, process: Process, f: &str, value: Value) -> u64 {
        let mut events = self.events.lock().expect("nothing panics while it holds the history");
        // Taken under the lock, so that the order of the events is the order of their times.
        let time = self.now();
        let index = events.len() as u64;
        events.push(Event { index, kind, process, time, f: f.to_owned(), value });
        index
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("nothing panics while it holds the history").clone()
    }
}
