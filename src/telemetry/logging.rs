//! Log lines on standard error, since standard output is for machines.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::traces::Traces;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("the log filter {filter:?} is not valid: {problem}")]
    Filter {
        /// The text.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something else in this process took the place.
    #[error("logging was already started")]
    AlreadyStarted,
}

/// Starts logging to standard error: what `filter` lets through, as `tracing_subscriber::EnvFilter` reads it; and tracing to
/// `traces`, if there are any.
pub fn start_logging(filter: &str, format: LineFormat, traces: Option<&Traces>) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| LoggingError::Filter { filter: filter.to_owned(), problem: error.to_string() })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        // Node logs end up in files more often than on a terminal: no colour codes in them.
        LineFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LineFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    registry.with(traces.map(Traces::layer)).try_init().map_err(|_| LoggingError::AlreadyStarted)
}
