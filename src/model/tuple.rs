//! Tuples: `resource#relation@subject`, with what qualifies them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ObjectRef, RelationName, SubjectRef};

/// What identifies a tuple. Qualifiers are not part of the identity, as in SpiceDB.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TupleKey {
    /// The object that the tuple speaks of.
    pub resource: ObjectRef,
    /// The relation on it.
    pub relation: RelationName,
    /// Who has the relation.
    pub subject: SubjectRef,
}

impl fmt::Display for TupleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.resource, self.relation, self.subject)
    }
}

/// A time in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct TimestampMs(pub u64);

/// A caveat named by a tuple, with the context stored beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CaveatUse {
    /// The caveat's name in the schema.
    pub name: String,
    /// The stored context as JSON text; empty for none.
    pub context_json: String,
}

/// What limits a tuple's effect. The on-disk format has room for both from the first version on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Qualifiers {
    /// The tuple counts only where this caveat holds.
    pub caveat: Option<CaveatUse>,
    /// The tuple counts only before this time.
    pub expires_at: Option<TimestampMs>,
}

impl Qualifiers {
    /// Whether nothing limits the tuple.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.caveat.is_none() && self.expires_at.is_none()
    }

    /// Whether the tuple's time is over at `now`. The moment of expiration itself is over.
    #[must_use]
    pub fn expired(&self, now: TimestampMs) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A stored relationship.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuple {
    /// Identity.
    pub key: TupleKey,
    /// Limits.
    pub qualifiers: Qualifiers,
}

impl Tuple {
    /// A tuple that holds without limits.
    #[must_use]
    pub fn unqualified(key: TupleKey) -> Self {
        Self { key, qualifiers: Qualifiers::default() }
    }

    /// About how many bytes the tuple takes wherever it is written down: its texts, and a little for what divides them.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        const DIVIDERS: usize = 64;
        let TupleKey { resource, relation, subject } = &self.key;
        let caveat = self.qualifiers.caveat.as_ref().map_or(0, |caveat| caveat.name.len() + caveat.context_json.len());
        let object = |object: &ObjectRef| object.object_type.as_str().len() + object.object_id.as_str().len();
        let relations = relation.as_str().len() + subject.relation.as_ref().map_or(0, |name| name.as_str().len());
        DIVIDERS + object(resource) + object(&subject.object) + relations + caveat
    }
}
