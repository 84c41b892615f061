//! How a command ends: the exit codes, and the one line (and sometimes a hint) that a person gets when it failed.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use super::output::note;
use crate::config::ConfigError;

/// The exit codes, as the help documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done; for a check: allowed.
    Done,
    /// The server or the operation failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// The check was answered: denied, or conditional.
    Denied,
    /// No node answered, and that is the answer.
    Unreachable,
    /// A write may or may not have taken effect.
    Unknown,
    /// A token is not a zookie.
    NotAZookie,
    /// A zookie is damaged.
    DamagedZookie,
    /// A zookie was made by a newer version.
    NewerZookie,
    /// A zookie is of another cluster than the one that it was compared with.
    ForeignZookie,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage | Exit::Unreachable => 2,
            Exit::Denied => 3,
            Exit::Unknown => 4,
            Exit::NotAZookie => 5,
            Exit::DamagedZookie => 6,
            Exit::NewerZookie => 7,
            Exit::ForeignZookie => 8,
        })
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The operation failed.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hint: None }
    }

    /// It failed in a way that has an exit code of its own.
    pub(super) fn with_exit(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, ..Self::new(message) }
    }

    /// The caller got something wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::with_exit(Exit::Usage, message)
    }

    /// A write may or may not have taken effect.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::with_exit(Exit::Unknown, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub(super) fn exiting(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same, with where it happened in front.
    #[must_use]
    pub(super) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Tells the person on standard error.
    pub(super) fn report(&self) {
        let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (red, bold, plain) = if coloured { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        // The message may repeat what a server sent: keep it on its line, and keep control codes out of the terminal.
        let line: String = self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        note(format_args!("{red}error:{plain} {line}"));
        if let Some(hint) = &self.hint {
            note(format_args!("{bold}hint:{plain} {hint}"));
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}
