//! What a key is good for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of call. None implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Checks, lookups, relationships and the schema as they are, watches.
    Read,
    /// Relationships.
    Write,
    /// The schema, and what is counted.
    Schema,
    /// The cluster: members, snapshots, floors.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Schema, Self::Admin];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Schema => "schema",
            Self::Admin => "admin",
        })
    }
}
