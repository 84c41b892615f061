//! Standard output: lines for people and scripts, JSON where asked for, tables. It must not know what it prints.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;

/// Buffered standard output. Flush it before the command ends.
pub(super) struct Output(BufWriter<Stdout>);

impl Output {
    /// Standard output.
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{line}")?)
    }

    /// One JSON document, on a line.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value)
    }

    /// A table.
    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        self.line(table.trim_fmt())
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// Prints one line.
pub(super) fn print_line(line: impl Display) -> Result<(), Failure> {
    let mut output = Output::new();
    output.line(line)?;
    output.flush()
}

/// Whether a person is looking at standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// An empty table with these headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().copied());
    table
}

/// A progress bar over `total` bytes, or a counter where the total is not known. It shows on a terminal only.
pub(super) fn progress(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3}%  {msg}  {elapsed} gone, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner}  {msg}  {elapsed} gone"),
    };
    let bar = bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
