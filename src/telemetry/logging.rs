//! Log lines on standard error, since standard output is for machines.

use tracing_subscriber::EnvFilter;

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

/// Starts logging to standard error: what `filter` lets through, as `tracing_subscriber::EnvFilter` reads it.
pub fn start_logging(filter: &str, format: LineFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| LoggingError::Filter { filter: filter.to_owned(), problem: error.to_string() })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        // Node logs end up in files more often than on a terminal: no colour codes in them.
        LineFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LineFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LoggingError::AlreadyStarted)
}
