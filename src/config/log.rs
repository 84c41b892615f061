//! `[log]`: what the node says on standard error.

use serde::{Deserialize, Serialize};

use super::section::section;
use super::{ConfigError, invalid};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// openraft tells of every heartbeat that a stopped node does not answer; what matters of it is logged by the node itself.
const DEFAULT_FILTER: &str = "info,openraft=error";

section! {
    /// What is logged, and how.
    #[derive(Debug)]
    LogSection, LogOverrides, "log" {
        /// What is logged: a level, or `target=level` pairs with commas [default: info,openraft=error]
        #[arg(value_name = "FILTER")]
        filter: String = DEFAULT_FILTER.to_owned(), "log", "QUORATE_LOG";
        /// How log lines look [default: text]
        #[arg(value_name = "FORMAT")]
        format: LogFormat = LogFormat::Text, "log-format", "QUORATE_LOG_FORMAT";
    }
}

impl LogSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match tracing_subscriber::EnvFilter::try_new(&self.filter) {
            Ok(_) => Ok(()),
            Err(error) => {
                let problem =
                    format!("is {:?}, which is not a filter ({error}); try info or quorate=debug", self.filter);
                Err(invalid("log.filter", problem))
            }
        }
    }
}
