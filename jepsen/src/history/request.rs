//! What a client can ask.

use serde::{Deserialize, Serialize};

use super::{Floors, Mode, Relationship};

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
    /// Put these floors into force, and no others. There were none before.
    Floors {
        /// By type.
        floors: Floors,
    },
    /// Decide these questions, all on one state.
    Check {
        /// The promise.
        mode: Mode,
        /// The questions.
        questions: Vec<Relationship>,
    },
    /// Decide whether content may be changed. Its zookie is stored with the content.
    ContentCheck {
        /// The question.
        question: Relationship,
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
        /// In pages of so many, each from another node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u32>,
    },
    /// Find the objects of a type on which a user has a permission.
    Resources {
        /// The promise.
        mode: Mode,
        /// Type of the objects.
        kind: String,
        /// The permission.
        permission: String,
        /// Id of the user.
        user: String,
        /// In pages of so many, each from another node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u32>,
    },
    /// Find the users who have a permission on an object.
    Subjects {
        /// The promise.
        mode: Mode,
        /// Type of the object.
        kind: String,
        /// Id of the object.
        id: String,
        /// The permission.
        permission: String,
    },
    /// Show how a permission on an object comes about.
    Expand {
        /// The promise.
        mode: Mode,
        /// Type of the object.
        kind: String,
        /// Id of the object.
        id: String,
        /// The permission.
        permission: String,
    },
}

impl Request {
    /// Lists the relationships of a type, or of one object of it, in one page.
    #[must_use]
    pub fn list(mode: Mode, kind: &str, id: Option<&str>) -> Self {
        Self::List { mode, kind: kind.to_owned(), id: id.map(str::to_owned), page: None }
    }

    /// Its name in a history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::Schema { .. } => "schema",
            Self::Floors { .. } => "floors",
            Self::Check { .. } => "check",
            Self::ContentCheck { .. } => "content-check",
            Self::List { .. } => "list",
            Self::Resources { .. } => "resources",
            Self::Subjects { .. } => "subjects",
            Self::Expand { .. } => "expand",
        }
    }

    /// The write, if it is one.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        if let Self::Write(write) = self { Some(write) } else { None }
    }

    /// The version that it puts into force, if it is a schema.
    #[must_use]
    pub fn schema_version(&self) -> Option<usize> {
        if let Self::Schema { version, .. } = self { Some(*version) } else { None }
    }

    /// The promise that it asks for, if it is a read.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Check { mode, .. }
            | Self::List { mode, .. }
            | Self::Resources { mode, .. }
            | Self::Subjects { mode, .. }
            | Self::Expand { mode, .. } => Some(*mode),
            Self::ContentCheck { .. } => Some(Mode::Full),
            Self::Write(_) | Self::Schema { .. } | Self::Floors { .. } => None,
        }
    }

    /// Whether it is read page by page.
    #[must_use]
    pub fn is_paged(&self) -> bool {
        matches!(self, Self::List { page: Some(_), .. } | Self::Resources { page: Some(_), .. })
    }

    /// The types of the objects that a read is about.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        match self {
            Self::Check { questions, .. } => questions.iter().map(|question| question.kind.as_str()).collect(),
            Self::ContentCheck { question } => vec![&question.kind],
            Self::List { kind, .. }
            | Self::Resources { kind, .. }
            | Self::Subjects { kind, .. }
            | Self::Expand { kind, .. } => vec![kind],
            Self::Write(_) | Self::Schema { .. } | Self::Floors { .. } => Vec::new(),
        }
    }
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
    /// The same, seen by lookups, expansions and bulk checks.
    Lookup,
    /// Chains of writes, one after the other.
    Order,
    /// Reads no older than a bound.
    Stale,
    /// Reads that ask for less than the floor of their type.
    Floor,
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
            Self::Lookup => "lookup",
            Self::Order => "order",
            Self::Stale => "stale",
            Self::Floor => "floor",
            Self::Exact => "exact",
            Self::Retry => "retry",
            Self::Schema => "schema",
            Self::Audit => "audit",
        }
    }
}
