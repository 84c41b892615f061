//! What was asked and what was answered: the types that a run writes down and that the checkers read.
//!
//! Must not know how requests reach a cluster, nor what is right.

mod answer;
mod edn;
mod ending;
mod event;
mod fault;
mod footprint;
mod jsonl;
mod log;
mod mode;
mod operation;
mod relationship;
mod request;

pub use answer::{Answer, Beside, Failure, Tree};
pub use edn::to_edn;
pub use ending::{Ended, Ending};
pub use event::{Completion, Event, Invocation, Kind, Process};
pub use fault::{FaultKind, FaultRecord};
pub use footprint::Footprint;
pub use jsonl::{FileError, lines_of, read_lines, write_lines};
pub use log::{ChainSample, LogEntry, SharedEntries, WatchSession};
pub use mode::{Floor, Floors, Mode, Token};
pub use operation::{Operation, Outcome, PairingError, pair};
pub use relationship::{Relationship, Subject, SyntaxError};
pub use request::{Request, Update, Workload, Write};
