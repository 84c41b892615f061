//! What can be done to a process from outside.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A signal, by what it does to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Ends it at once; nothing in it runs any more.
    Kill,
    /// Asks it to stop cleanly.
    Terminate,
    /// Asks it to look at its certificates.
    Hangup,
    /// As from a terminal.
    Interrupt,
    /// Stops its time; connections stay open and nobody answers.
    Pause,
    /// Lets its time go on.
    Resume,
}

impl Fault {
    /// Does it to process `id`.
    pub(crate) fn inflict(self, id: u32) {
        let signal = match self {
            Self::Kill => Signal::SIGKILL,
            Self::Terminate => Signal::SIGTERM,
            Self::Hangup => Signal::SIGHUP,
            Self::Interrupt => Signal::SIGINT,
            Self::Pause => Signal::SIGSTOP,
            Self::Resume => Signal::SIGCONT,
        };
        let pid = Pid::from_raw(i32::try_from(id).expect("a process id fits"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{self:?} of process {id}: {error}"));
    }
}
