//! The promises that a read can ask for, and the least that a cluster is told to promise of some types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A zookie that a client sends, by the index in it, with where the client has it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The index that it names.
    pub index: u64,
    /// The operation (the index of its invocation in the history) that answered with it.
    pub from: u64,
}

/// The promise that a read asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Linearizable.
    Full,
    /// At least as fresh as a zookie.
    Fresh(Token),
    /// At exactly the state that a zookie names.
    Exact(Token),
    /// No older than so many milliseconds.
    Stale(u64),
    /// No more than so many entries behind what is committed.
    Lag(u64),
    /// Whatever the node has, within its configured ceiling.
    Minimal,
}

impl Mode {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Fresh(_) => "fresh",
            Self::Exact(_) => "exact",
            Self::Stale(_) => "stale",
            Self::Lag(_) => "lag",
            Self::Minimal => "minimal",
        }
    }
}

/// The least that every answer about the objects of a type promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// As for [`Mode::Full`].
    Full,
    /// As for [`Mode::Stale`].
    Stale(u64),
}

/// Floors by type.
pub type Floors = BTreeMap<String, Floor>;
