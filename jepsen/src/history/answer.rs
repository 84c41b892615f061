//! What a client can be told.

use serde::{Deserialize, Serialize};

use super::{Relationship, Subject};

/// What stands beside an answer to a read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// What the node had applied when the request arrived, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// What a floor raised the request to, as the node says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<String>,
}

/// How a permission comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tree {
    /// The subjects of a relation of an object.
    Leaf {
        /// Type of the object.
        kind: String,
        /// Id of the object.
        id: String,
        /// The relation.
        relation: String,
        /// In the order of the answer.
        subjects: Vec<Subject>,
    },
    /// Any of these.
    Union(Vec<Tree>),
    /// All of these.
    Intersection(Vec<Tree>),
    /// The first without the others.
    Exclusion(Vec<Tree>),
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A write, a schema or floors are in force.
    Written {
        /// Since this index.
        index: u64,
        /// Whether it says that it repeats an earlier answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    /// Decisions.
    Decided {
        /// On the state of this index.
        index: u64,
        /// What stood beside it.
        #[serde(flatten)]
        beside: Beside,
        /// In the order of the questions.
        allowed: Vec<bool>,
    },
    /// Relationships.
    Listed {
        /// The state of this index. An empty listing does not say.
        index: Option<u64>,
        /// What stood beside it.
        #[serde(flatten)]
        beside: Beside,
        /// In the order of the answer.
        relationships: Vec<Relationship>,
    },
    /// Objects or subjects.
    Found {
        /// The state of this index. Where nothing was found it is not known.
        index: Option<u64>,
        /// What stood beside it.
        #[serde(flatten)]
        beside: Beside,
        /// In the order of the answer.
        ids: Vec<String>,
    },
    /// A tree.
    Expanded {
        /// On the state of this index.
        index: u64,
        /// What stood beside it.
        #[serde(flatten)]
        beside: Beside,
        /// The whole of it.
        tree: Tree,
    },
}

impl Answer {
    /// A write, a schema or floors, done now.
    #[must_use]
    pub fn written(index: u64) -> Self {
        Self::Written { index, replayed: false }
    }

    /// The index that it is of.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Written { index, .. } | Self::Decided { index, .. } | Self::Expanded { index, .. } => Some(*index),
            Self::Listed { index, .. } | Self::Found { index, .. } => *index,
        }
    }

    /// What stood beside it; `None` for what is no answer to a read.
    #[must_use]
    pub fn beside(&self) -> Option<&Beside> {
        match self {
            Self::Written { .. } => None,
            Self::Decided { beside, .. }
            | Self::Listed { beside, .. }
            | Self::Found { beside, .. }
            | Self::Expanded { beside, .. } => Some(beside),
        }
    }

    /// What the answering node had applied when the request arrived.
    #[must_use]
    pub fn applied(&self) -> Option<u64> {
        self.beside().and_then(|beside| beside.applied)
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
    /// The reason where a key was used for something else.
    pub const KEY_REUSED: &'static str = "IDEMPOTENCY_KEY_REUSED";
    /// The reason where one state was asked for, and a floor forbids it.
    pub const BELOW_FLOOR: &'static str = "BELOW_FLOOR";
    /// Ours: there was an answer, and it contradicts itself or lacks what every answer has.
    pub const NONSENSE: &'static str = "nonsense";
}
