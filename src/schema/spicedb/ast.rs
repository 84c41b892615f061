//! The tree that the parser builds: names are already valid, and each one knows its place in the text.

use crate::model::{RelationName, TypeName};
use crate::schema::{AllowedSubject, ArrowKind};

/// Something and the byte offset at which it begins.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) offset: usize,
}

/// `definition name { … }`.
#[derive(Debug)]
pub(super) struct DefinitionNode {
    /// The name, at the offset of the keyword.
    pub(super) name: At<TypeName>,
    pub(super) members: Vec<MemberNode>,
}

/// `relation name: …` or `permission name = …`.
#[derive(Debug)]
pub(super) struct MemberNode {
    /// The name, at the offset of the keyword.
    pub(super) name: At<RelationName>,
    pub(super) body: MemberBody,
}

#[derive(Debug)]
pub(super) enum MemberBody {
    Relation(Vec<At<AllowedSubject>>),
    Permission(Expr),
}

/// The right side of a permission. Unions and intersections are flat: no operand is of the same operator.
#[derive(Debug)]
pub(super) enum Expr {
    /// The offset of `nil`.
    Nil(usize),
    Name(At<RelationName>),
    Arrow {
        tupleset: At<RelationName>,
        target: RelationName,
        kind: ArrowKind,
    },
    Union(Vec<Expr>),
    Intersection(Vec<Expr>),
    Exclusion(Box<Expr>, Box<Expr>),
}
