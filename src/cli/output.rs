//! Standard output: lines for people and scripts, JSON where asked for, tables; and notes on standard error. It must not know
//! what it prints.
//!
//! Whoever reads may stop (`quorate relationship read | head`). Then nothing more is printed, and that is all: what a command
//! did, and so its exit code, never depends on who reads along.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;

/// Buffered standard output. Flush it before the command ends.
pub(super) struct Output<W: Write = Stdout> {
    to: BufWriter<W>,
    abandoned: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn new() -> Self {
        Self::to(io::stdout())
    }
}

impl<W: Write> Output<W> {
    fn to(to: W) -> Self {
        Self { to: BufWriter::new(to), abandoned: false }
    }

    /// One line.
    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        if self.abandoned {
            return Ok(());
        }
        let written = writeln!(self.to, "{line}");
        self.judge(written)
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
        if self.abandoned {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.judge(flushed)
    }

    /// Whether nobody reads any more, so that a listing need not go on. A command whose exit code is an answer must.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn judge(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.abandoned = true;
                Ok(())
            }
            Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }
}

/// Prints one line.
pub(super) fn print_line(line: impl Display) -> Result<(), Failure> {
    let mut output = Output::new();
    output.line(line)?;
    output.flush()
}

/// One line on standard error, for a person. Where that is closed there is nobody to tell.
pub(super) fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then fails so.
    struct Ends {
        room: usize,
        with: io::ErrorKind,
    }

    impl Write for Ends {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(self.with.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_is_no_failure_and_a_full_disk_is_one() {
        let mut output = Output::to(Ends { room: 3, with: io::ErrorKind::BrokenPipe });
        output.line("first").expect("buffered");
        assert!(!output.is_abandoned());
        output.flush().expect("the reader has gone");
        assert!(output.is_abandoned());
        output.line("second").expect("printed to nobody");
        let mut output = Output::to(Ends { room: 3, with: io::ErrorKind::StorageFull });
        output.line("first").expect("buffered");
        assert!(output.flush().expect_err("no room").message().contains("standard output"));
    }
}
