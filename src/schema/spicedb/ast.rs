//! The tree that the parser builds: names are already valid, and each one knows its place in the text.

use std::ops::Range;

use super::features::Features;
use crate::model::{CaveatName, RelationName, TypeName};
use crate::schema::{Allowed, ArrowKind};

/// Something and where it stands in the text.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Range<usize>,
}

/// A whole text.
#[derive(Debug)]
pub(super) struct File {
    pub(super) features: Features,
    pub(super) statements: Vec<Statement>,
}

/// What stands on its own in a text, except `use`.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) kind: StatementKind,
    /// From its first word to its end.
    pub(super) place: Range<usize>,
    /// Where the comments before it begin; without any, where it begins.
    pub(super) lead: usize,
}

#[derive(Debug)]
pub(super) enum StatementKind {
    Definition(TypeName, Block),
    /// A partial is named by whatever word.
    Partial(String, Block),
    Caveat(CaveatNode),
    Import(At<String>),
}

/// `{ … }` of a definition or a partial, with the comment before the whole.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) comment: String,
    pub(super) items: Vec<Item>,
}

#[derive(Debug)]
pub(super) enum Item {
    Member(MemberNode),
    /// `...name`: what the partial of that name holds.
    Splice(At<String>),
}

/// `relation name: …` or `permission name = …`.
#[derive(Debug)]
pub(super) struct MemberNode {
    /// The name, at the place of the whole.
    pub(super) name: At<RelationName>,
    pub(super) comment: String,
    pub(super) body: MemberBody,
}

#[derive(Debug)]
pub(super) enum MemberBody {
    Relation(Vec<At<Allowed>>),
    Permission {
        /// `permission name: type | type = …`; types need not exist.
        annotation: Option<Vec<String>>,
        expr: Expr,
    },
}

/// `caveat name(parameter type, …) { expression }`.
#[derive(Debug)]
pub(super) struct CaveatNode {
    pub(super) name: CaveatName,
    pub(super) comment: String,
    pub(super) parameters: Vec<ParameterNode>,
    /// Where the expression stands, without the space around it.
    pub(super) expression: Range<usize>,
}

#[derive(Debug)]
pub(super) struct ParameterNode {
    /// The name, at the place of name and type.
    pub(super) name: At<String>,
    /// As in the text, with one space behind each comma: `map<list<int>>`.
    pub(super) type_text: String,
}

/// The right side of a permission. Unions and intersections are flat: no operand is of the same operator.
#[derive(Debug)]
pub(super) enum Expr {
    /// The offset of `nil`.
    Nil(usize),
    /// The offset of `self`.
    Itself(usize),
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

impl Expr {
    /// How many relations, permissions and keywords it names.
    pub(super) fn size(&self) -> usize {
        let mut size = 0;
        let mut open = vec![self];
        while let Some(next) = open.pop() {
            match next {
                Self::Nil(_) | Self::Itself(_) | Self::Name(_) | Self::Arrow { .. } => size += 1,
                Self::Union(operands) | Self::Intersection(operands) => open.extend(operands),
                Self::Exclusion(base, removed) => open.extend([base.as_ref(), removed.as_ref()]),
            }
        }
        size
    }
}
