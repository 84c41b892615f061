//! What is wrong with a validation file, or with what it describes, and where.

use std::path::Path;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// In the file, counted from 1; `None` for the file as a whole.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }

    pub(super) fn at_line(line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into() }
    }

    /// As compilers say it: file, line, what. On one line, whatever the file holds.
    pub(super) fn at(&self, path: &Path) -> String {
        let message: String = self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self.line {
            Some(line) => format!("{}:{line}: {message}", path.display()),
            None => format!("{}: {message}", path.display()),
        }
    }
}
