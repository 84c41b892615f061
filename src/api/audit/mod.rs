//! Records calls: which of them (`scopes` says), by whom (`peer`), what they asked for (`what`), and what became of them
//! (`outcome`); `recorder` puts it together and hands it to the audit log.

mod outcome;
mod peer;
mod recorded;
mod recorder;
pub(super) mod what;

pub(super) use peer::{PeerAddress, caller};
pub(super) use recorded::KeyName;
pub(super) use recorder::Recorder;
