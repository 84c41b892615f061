//! Writes the history down, in one order, by one clock: each event goes to the file when it happens, since an hour of them does
//! not fit into memory together with what is made of them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use crate::check::{Record, RecordError};
use crate::history::{Completion, Event, Invocation, Kind, Operation, Outcome, Process};

/// The history so far.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    folder: std::path::PathBuf,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    events: u64,
    /// Why the first event that is missing could not be written. From then on there is no history any more.
    failed: Option<String>,
}

impl Recorder {
    /// A history that begins now, in the folder of its run.
    pub fn begin(folder: &Path) -> std::io::Result<Self> {
        let file = BufWriter::new(File::create(Record::history_in(folder))?);
        let written = Mutex::new(Written { file, events: 0, failed: None });
        Ok(Self { begun: Instant::now(), folder: folder.to_owned(), written })
    }

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
        let mut written = self.written.lock().expect("nothing panics while it holds the history");
        // Taken under the lock, so that the order of the events is the order of their times.
        let time = self.now();
        let index = written.events;
        written.events += 1;
        if written.failed.is_none() {
            let event = Event { index, kind, process, time, f: f.to_owned(), value };
            let line = serde_json::to_string(&event).expect("events have no maps with odd keys") + "\n";
            written.failed = written.file.write_all(line.as_bytes()).err().map(|error| error.to_string());
        }
        index
    }

    /// What clients did so far.
    pub fn operations(&self) -> Result<Vec<Operation>, RecordError> {
        let mut written = self.written.lock().expect("nothing panics while it holds the history");
        if written.failed.is_none() {
            written.failed = written.file.flush().err().map(|error| error.to_string());
        }
        // Kept: whoever asks again must not be given a history with a gap.
        if let Some(why) = &written.failed {
            return Err(RecordError::Unwritten(std::io::Error::other(why.clone())));
        }
        drop(written);
        Record::operations_in(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_with_a_gap_is_none_however_often_it_is_asked_for() {
        let folder = std::env::temp_dir().join(format!("quorate-recorder-gap-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let recorder = Recorder::begin(&folder).unwrap();
        recorder.written.lock().unwrap().file = BufWriter::new(File::options().write(true).open("/dev/full").unwrap());
        recorder.note("kill", Value::Null);
        for _ in 0..2 {
            assert!(matches!(recorder.operations(), Err(RecordError::Unwritten(_))));
            recorder.note("kill", Value::Null);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_noted_is_read_back_while_more_is_written() {
        let folder = std::env::temp_dir().join(format!("quorate-recorder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let recorder = Recorder::begin(&folder).unwrap();
        recorder.note("kill", Value::Null);
        assert_eq!(recorder.operations().unwrap(), []);
        let request = crate::history::Request::Schema { op: "s".to_owned(), version: 1 };
        let invocation = Invocation { workload: crate::history::Workload::Schema, node: 2, request };
        assert_eq!(recorder.invoke(7, &invocation), 1);
        let found = recorder.operations().unwrap();
        assert_eq!((found.len(), found[0].process, found[0].node), (1, 7, 2));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
