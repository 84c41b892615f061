//! The intermediate representation of a schema: Zanzibar's namespace configuration (Zanzibar paper, section 2.3) with the
//! operators of the SpiceDB language.
//!
//! A [`Schema`] that a front end returns is valid: every name that a rewrite refers to exists on its definition, the left
//! side of an arrow is a relation without wildcards, no permission is only an alias of itself, and no rewrite is nested more
//! than [`REWRITE_DEPTH`](crate::model::limits::REWRITE_DEPTH) deep.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::caveat::Caveat;
use crate::model::{CaveatName, RelationName, SubjectRef, TypeName};

/// A whole schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// Definitions by name.
    pub definitions: BTreeMap<TypeName, Definition>,
    /// Caveats by name. No definition has the name of one.
    pub caveats: BTreeMap<CaveatName, Arc<Caveat>>,
    /// What the text says besides.
    pub outline: Outline,
}

/// What people read in a schema and no evaluation does: comments, and the order in which members are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Of definitions.
    pub definitions: BTreeMap<TypeName, DefinitionOutline>,
    /// The comment before each caveat; empty for none.
    pub caveats: BTreeMap<CaveatName, String>,
}

/// The outline of one definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefinitionOutline {
    /// The comment before it; empty for none. With its slashes or stars, as reflection shows it.
    pub comment: String,
    /// Its members in the order of the text, those of partials where the partial is named, each with its comment.
    pub members: Vec<(RelationName, String)>,
}

/// One type of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: TypeName,
    /// Relations and permissions share one name space.
    pub members: BTreeMap<RelationName, Member>,
}

/// What a name on a definition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// Tuples are written to it.
    Relation(Relation),
    /// Computed from others.
    Permission(Permission),
}

/// A relation and the subjects that it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Allowed subjects, in the order of the text.
    pub allowed: Vec<Allowed>,
}

/// A kind of subject that a relation allows, and what its tuples must carry: exactly these traits, no more and no fewer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allowed {
    /// The kind.
    pub subject: AllowedSubject,
    /// The caveat that a tuple must name.
    pub caveat: Option<CaveatName>,
    /// Whether a tuple must say when it expires.
    pub expires: bool,
}

/// One kind of subject that a relation allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllowedSubject {
    /// `type`: an object itself.
    Direct(TypeName),
    /// `type:*`: every object of the type.
    Wildcard(TypeName),
    /// `type#relation`: the members of a relation or permission.
    Userset(TypeName, RelationName),
}

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// How it is computed.
    pub rewrite: Rewrite,
}

/// A userset rewrite rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// `nil`: nobody.
    Nil,
    /// `self`: the object itself, as a subject without a relation.
    Itself,
    /// A relation or permission of the same object.
    Computed(RelationName),
    /// `tupleset->target`: `target` on the objects that `tupleset` names.
    Arrow {
        /// The relation to follow; never a permission.
        tupleset: RelationName,
        /// The relation or permission on what it leads to. Types on the way that lack it contribute nothing.
        target: RelationName,
        /// Whether one object suffices or all must agree.
        kind: ArrowKind,
    },
    /// `a + b`. Never fewer than two operands.
    Union(Vec<Rewrite>),
    /// `a & b`. Never fewer than two operands.
    Intersection(Vec<Rewrite>),
    /// `a - b`.
    Exclusion(Box<Rewrite>, Box<Rewrite>),
}

/// How many of the objects on an arrow's left side must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArrowKind {
    /// `->` and `.any(…)`: one.
    Any,
    /// `.all(…)`: all, and there is at least one.
    All,
}

impl Relation {
    /// Whether tuples with this kind of subject can be, with whatever traits.
    #[must_use]
    pub fn allows(&self, kind: &AllowedSubject) -> bool {
        self.allowed.iter().any(|allowed| allowed.subject == *kind)
    }

    /// Whether tuples with this kind of subject and exactly these traits can be.
    #[must_use]
    pub fn allows_exactly(&self, allowed: &Allowed) -> bool {
        self.allowed.contains(allowed)
    }
}

impl Schema {
    /// The member `name` of type `object_type`.
    #[must_use]
    pub fn member(&self, object_type: &str, name: &str) -> Option<&Member> {
        self.definitions.get(object_type)?.members.get(name)
    }
}

impl Allowed {
    /// `subject` without traits.
    #[must_use]
    pub fn plain(subject: AllowedSubject) -> Self {
        Self { subject, caveat: None, expires: false }
    }
}

/// As in the text of a schema: `type#relation with caveat and expiration`.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.fmt(f)?;
        match (&self.caveat, self.expires) {
            (None, false) => Ok(()),
            (None, true) => f.write_str(" with expiration"),
            (Some(caveat), false) => write!(f, " with {caveat}"),
            (Some(caveat), true) => write!(f, " with {caveat} and expiration"),
        }
    }
}

impl AllowedSubject {
    /// The kind of subject that `subject` is; `None` for a wildcard with a relation, which is none.
    #[must_use]
    pub fn of(subject: &SubjectRef) -> Option<Self> {
        let subject_type = subject.object.object_type.clone();
        match (&subject.relation, subject.is_wildcard()) {
            (None, false) => Some(Self::Direct(subject_type)),
            (None, true) => Some(Self::Wildcard(subject_type)),
            (Some(relation), false) => Some(Self::Userset(subject_type, relation.clone())),
            (Some(_), true) => None,
        }
    }

    /// The type of the subjects.
    #[must_use]
    pub fn subject_type(&self) -> &TypeName {
        match self {
            Self::Direct(name) | Self::Wildcard(name) | Self::Userset(name, _) => name,
        }
    }
}

/// As in the text of a schema: `type`, `type:*` or `type#relation`.
impl fmt::Display for AllowedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(name) => name.fmt(f),
            Self::Wildcard(name) => write!(f, "{name}:*"),
            Self::Userset(name, relation) => write!(f, "{name}#{relation}"),
        }
    }
}

impl Rewrite {
    /// The parts that refer to something or are `nil`, from left to right.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Self> {
        let mut leaves = Vec::new();
        let mut open = vec![self];
        while let Some(next) = open.pop() {
            match next {
                Self::Nil | Self::Itself | Self::Computed(_) | Self::Arrow { .. } => leaves.push(next),
                Self::Union(operands) | Self::Intersection(operands) => open.extend(operands.iter().rev()),
                Self::Exclusion(base, removed) => open.extend([removed.as_ref(), base.as_ref()]),
            }
        }
        leaves
    }
}
