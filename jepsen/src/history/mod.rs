//! What was asked and what was answered: the types that a run writes down and that the checkers read.
//!
//! Must not know how requests reach a cluster, nor what is right.

mod edn;
mod event;
mod fault;
mod jsonl;
mod log;
mod operation;
mod relationship;
mod request;

pub use edn::to_edn;
pub use event::{Completion, Event, Invocation, Kind, Process};
pub use fault::{FaultKind, FaultRecord};
pub use jsonl::{FileError, read_lines, write_lines};
pub use log::{ChainSample, LogEntry, WatchSession};
pub use operation::{Operation, Outcome, PairingError, pair};
pub use relationship::{Relationship, Subject, SyntaxError};
pub use request::{Answer, Failure, Mode, Request, Token, Update, Workload, Write};
