//! What a client can ask, and what it can be told.

use serde::{Deserialize, Serialize};

use super::Relationship;

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
            Self::Minimal => "minimal",
        }
    }
}

/// One change of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// Write it, whether it is there or not.
    Touch(Relationship),
    /// Remove it, whether it is there or not.
    Delete(Relationship),
}

/// A write of relationships, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The operation's own name, which the log carries too. A retry has the name of the first attempt.
    pub op: String,
    /// Relationships that must exist right before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_if: Vec<Relationship>,
    /// What it changes.
    pub updates: Vec<Update>,
    /// Sent so that retries have one effect between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Change relationships.
    Write(Write),
    /// Put this version of the test's schema into force.
    Schema {
        /// The operation's own name.
        op: String,
        /// The version.
        version: usize,
    },
    /// Decide these questions, all on one state.
    Check {
        /// The promise.
        mode: Mode,
        /// The questions.
        questions: Vec<Relationship>,
    },
    /// List the relationships of a type, or of one object of it.
    List {
        /// The promise.
        mode: Mode,
        /// Type of the objects.
        kind: String,
        /// One object only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
}

impl Request {
    /// Its name in a history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::Schema { .. } => "schema",
            Self::Check { .. } => "check",
            Self::List { .. } => "list",
        }
    }

    /// The promise that it asks for, if it is a read.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Check { mode, .. } | Self::List { mode, .. } => Some(*mode),
            Self::Write(_) | Self::Schema { .. } => None,
        }
    }
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A write or a schema is in force.
    Written {
        /// Since this index.
        index: u64,
    },
    /// Decisions.
    Decided {
        /// On the state of this index.
        index: u64,
        /// What the node had applied when the request arrived, as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied: Option<u64>,
        /// In the order of the questions.
        allowed: Vec<bool>,
    },
    /// Relationships.
    Listed {
        /// The state of this index. An empty listing does not say.
        index: Option<u64>,
        /// What the node had applied when the request arrived, as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied: Option<u64>,
        /// In the order of the answer.
        relationships: Vec<Relationship>,
    },
}

impl Answer {
    /// The index that it is of.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Written { index } | Self::Decided { index, .. } => Some(*index),
            Self::Listed { index, .. } => *index,
        }
    }

    /// What the answering node had applied when the request arrived.
    #[must_use]
    pub fn applied(&self) -> Option<u64> {
        match self {
            Self::Written { .. } => None,
            Self::Decided { applied, .. } | Self::Listed { applied, .. } => *applied,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason, in one word.
    pub reason: String,
    /// What else was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Failure {
    /// The reason that the product gives where a precondition did not hold.
    pub const PRECONDITION: &'static str = "WRITE_OR_DELETE_PRECONDITION_FAILURE";
    /// The reason where the state at a zookie is no longer kept.
    pub const EXPIRED: &'static str = "REVISION_EXPIRED";
}

/// For what a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// What is there before the others begin.
    Setup,
    /// Compare and set by preconditions.
    Register,
    /// Ordered changes of permissions across two objects.
    EnemyA,
    /// Revocation, content check, content stored with its zookie, and a reader elsewhere.
    EnemyB,
    /// Moves that no reader may see half of.
    Swap,
    /// Reads no older than a bound.
    Stale,
    /// One state, asked again and again.
    Exact,
    /// Writes that are tried again under one key.
    Retry,
    /// Schemas that change.
    Schema,
    /// Reads by which the harness itself finds out how a run ended.
    Audit,
}

impl Workload {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Register => "register",
            Self::EnemyA => "enemy-a",
            Self::EnemyB => "enemy-b",
            Self::Swap => "swap",
            Self::Stale => "stale",
            Self::Exact => "exact",
            Self::Retry => "retry",
            Self::Schema => "schema",
            Self::Audit => "audit",
        }
    }
}
