//! Why a check came out as it did: the path that suffices for what is allowed, what was tried for what is denied, what an
//! answer hangs on where it is conditional. A tree of values; how it is found stands elsewhere.

use crate::caveat::Context;
use crate::model::{ObjectRef, RelationName, Revision, TimestampMs, TupleKey};

/// A value in three-valued logic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    True,
    /// No.
    False,
    /// It hangs on parameters of caveats that are missing.
    Open,
}

impl Standing {
    /// Whether both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::True, Self::True) => Self::True,
        }
    }
}

/// How much an explanation may hold; what is more is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplanationRoom {
    /// Relations, permissions and relationships, about.
    pub nodes: usize,
    /// Names and contexts of relationships, in bytes.
    pub bytes: usize,
}

/// Why one check came out as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The question itself.
    pub root: Proof,
    /// Whether parts were left out for their number or depth.
    pub truncated: bool,
}

/// Why a subject has a relation or permission, or has it not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// On what.
    pub resource: ObjectRef,
    /// Which relation or permission.
    pub permission: RelationName,
    /// Whether that is a relation.
    pub is_relation: bool,
    /// Whether the subject has it.
    pub standing: Standing,
    /// What the standing owes to caveats; `None` where none had a say.
    pub condition: Option<Condition>,
    /// Whether the same was explained before, or is being explained further up: relationships form a cycle.
    pub shown_before: bool,
    /// What it rests on.
    pub steps: Vec<Step>,
}

/// Something that a proof rests on: a relationship, a further relation or permission, or one that leads to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whether it stands on the right side of an exclusion.
    pub excluded: bool,
    /// The relationship.
    pub tuple: Option<TupleProof>,
    /// The relation or permission: of the same object, or of the one that the relationship leads to.
    pub proof: Option<Proof>,
}

/// A relationship that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TupleProof {
    /// Which.
    pub key: TupleKey,
    /// The revision that last wrote it.
    pub written_at: Revision,
    /// When it expires.
    pub expires_at: Option<TimestampMs>,
    /// Whether it has expired, and so counts for nothing.
    pub expired: bool,
    /// Its caveat.
    pub caveat: Option<CaveatProof>,
    /// Whether it counts.
    pub standing: Standing,
}

/// What the caveat of a relationship came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaveatProof {
    /// Its name.
    pub name: String,
    /// Its expression; empty where the schema does not define it.
    pub expression: String,
    /// The values of its parameters, as far as known.
    pub context: Context,
    /// What it came to.
    pub result: CaveatResult,
}

/// What a caveat came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaveatResult {
    /// It holds.
    True,
    /// It does not.
    False,
    /// These parameters are missing.
    Missing(Vec<String>),
    /// It failed.
    Failed(String),
}

/// Caveats as far as they had a say, put together by the operators on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The name of the caveat; empty where there are several.
    pub name: String,
    /// The expression, as a caveat has it.
    pub expression: String,
    /// The values of all parameters, as far as known.
    pub context: Context,
    /// The parameters that are missing, sorted.
    pub missing: Vec<String>,
}

impl Condition {
    /// Longer expressions are cut: they are for people to read.
    const MAX_EXPRESSION_BYTES: usize = 8 << 10;

    /// The condition that a caveat is.
    pub(super) fn of(caveat: &CaveatProof) -> Self {
        let missing = match &caveat.result {
            CaveatResult::Missing(names) => names.clone(),
            CaveatResult::True | CaveatResult::False | CaveatResult::Failed(_) => Vec::new(),
        };
        let CaveatProof { name, expression, context, .. } = caveat.clone();
        Self { name, expression, context, missing }
    }

    /// All conditions with `operator` between them; `None` of none.
    pub(super) fn join(conditions: impl IntoIterator<Item = Self>, operator: &str) -> Option<Self> {
        let mut conditions: Vec<Self> = conditions.into_iter().collect();
        if conditions.len() < 2 {
            return conditions.pop();
        }
        let mut joined =
            Self { name: String::new(), expression: String::new(), context: Context::new(), missing: Vec::new() };
        for condition in conditions {
            if joined.expression.len() < Self::MAX_EXPRESSION_BYTES {
                let operator = if joined.expression.is_empty() { "" } else { operator };
                joined.expression = format!("{}{operator}({})", joined.expression, condition.expression);
            }
            joined.context = joined.context.merge(&condition.context);
            joined.missing.extend(condition.missing);
        }
        joined.missing.sort();
        joined.missing.dedup();
        Some(joined.bounded())
    }

    /// Its opposite.
    pub(super) fn negated(self) -> Self {
        let expression = format!("!({})", self.expression);
        Self { name: String::new(), expression, ..self }.bounded()
    }

    fn bounded(mut self) -> Self {
        if self.expression.len() > Self::MAX_EXPRESSION_BYTES {
            let mut end = Self::MAX_EXPRESSION_BYTES;
            while !self.expression.is_char_boundary(end) {
                end -= 1;
            }
            self.expression.truncate(end);
            self.expression.push('…');
        }
        self
    }
}
