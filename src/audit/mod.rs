//! The audit log: who changed what, who was refused, and a sample of who asked what; a JSON object a line.
//!
//! What is recorded comes as `notes` from whoever serves a call → a `line` is made of it → the `trail` queues it, with a bound
//! → a thread of its own (`writer`) puts it into a `file`. A change is answered when its line was handed to the system. A leaf:
//! it must not know which calls there are.

mod file;
mod line;
mod notes;
mod rate;
mod trail;
mod writer;

pub use file::AuditTarget;
pub use line::{Caller, Kind, Line, Outcome};
pub use notes::{Notes, SharedNotes, note_answer, note_effect, note_view, note_what, with_audit_notes};
pub use trail::{Place, Trail, TrailOptions, Unwritten};
