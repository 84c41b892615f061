//! Why a configuration is not usable. Every message names the key or the line, and what to do.

use std::io;
use std::path::PathBuf;

/// A configuration that a node cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML, or has a key that does not exist or a value of another type.
    #[error("configuration file {}{}: {problem}", path.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that makes no sense, alone or beside the others.
    #[error("configuration: {key} {problem}")]
    Invalid {
        /// The key as in the file: `raft.heartbeat_ms`.
        key: String,
        /// What is wrong, and what to use.
        problem: String,
    },
}

/// A [`ConfigError::Invalid`].
pub(super) fn invalid(key: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { key: key.to_owned(), problem: problem.into() }
}
