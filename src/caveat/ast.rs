//! The syntax tree of an expression, with macros already recognised. Every node knows where it stands in the text and how
//! deep the tree below it is: nothing that walks a tree can run out of stack.

use std::sync::Arc;

use super::error::CompileError;
use super::value::Value;

/// How deep a tree, or the nesting of brackets in its text, may be.
pub(super) const MAX_DEPTH: u16 = 100;

/// An expression.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    /// The byte of the text at which an error in this expression is reported.
    pub(super) at: u32,
    /// One more than the deepest expression inside.
    pub(super) depth: u16,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Literal(Value),
    Ident(Arc<str>),
    /// `operand.field`, and `operand.?field` if `optional`.
    Select {
        operand: Box<Expr>,
        field: Arc<str>,
        optional: bool,
    },
    /// `has(operand.field)`.
    Has {
        operand: Box<Expr>,
        field: Arc<str>,
    },
    /// `operand[index]`, and `operand[?index]` if `optional`.
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// `f(args)`, or `target.f(args)`.
    Call {
        function: Arc<str>,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    /// An operator whose operands are all needed.
    Operator {
        operator: Operator,
        operands: Vec<Expr>,
    },
    /// A chain of `&&`.
    And(Vec<Expr>),
    /// A chain of `||`.
    Or(Vec<Expr>),
    /// `condition ? yes : no`.
    Ternary(Box<[Expr; 3]>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `range.all(variable, …)` and its kind.
    Fold(Box<FoldExpr>),
    /// `target.optMap(variable, body)`.
    OptionalMap {
        target: Box<Expr>,
        variable: Arc<str>,
        body: Box<Expr>,
    },
}

/// An operator whose operands are all needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Not,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Operator {
    /// How the operator is written, for messages.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Not => "!",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }
}

/// An element of a list literal; `?element` puts in what an optional holds, if it holds something.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// An entry of a map literal; `?key: value` puts in what an optional holds, if it holds something.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// What is done with the elements of a list or the keys of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A macro that walks a list or a map.
#[derive(Debug, Clone)]
pub(super) struct FoldExpr {
    pub(super) kind: FoldKind,
    pub(super) range: Expr,
    pub(super) variable: Arc<str>,
    /// What is asked of each element; for [`FoldKind::Map`], only where the macro has three arguments.
    pub(super) condition: Option<Expr>,
    /// What each element becomes: only for [`FoldKind::Map`].
    pub(super) transform: Option<Expr>,
}

impl Kind {
    fn children_depth(&self) -> u16 {
        let deepest = |exprs: &[Expr]| exprs.iter().map(|e| e.depth).max().unwrap_or(0);
        match self {
            Self::Literal(_) | Self::Ident(_) => 0,
            Self::Select { operand, .. } | Self::Has { operand, .. } => operand.depth,
            Self::Index { operand, index, .. } => operand.depth.max(index.depth),
            Self::Call { target, args, .. } => deepest(args).max(target.as_ref().map_or(0, |t| t.depth)),
            Self::Operator { operands, .. } | Self::And(operands) | Self::Or(operands) => deepest(operands),
            Self::Ternary(parts) => deepest(&**parts),
            Self::List(elements) => elements.iter().map(|e| e.value.depth).max().unwrap_or(0),
            Self::Map(entries) => entries.iter().map(|e| e.key.depth.max(e.value.depth)).max().unwrap_or(0),
            Self::Fold(fold) => {
                let inner = [&fold.condition, &fold.transform];
                inner.into_iter().flatten().map(|e| e.depth).max().unwrap_or(0).max(fold.range.depth)
            }
            Self::OptionalMap { target, body, .. } => target.depth.max(body.depth),
        }
    }

    /// This kind of expression at a place in the text, unless it is too deep.
    pub(super) fn at(self, at: u32) -> Result<Expr, CompileError> {
        let depth = self.children_depth() + 1;
        if depth > MAX_DEPTH {
            return Err(CompileError::at(at, format!("the expression is nested more than {MAX_DEPTH} deep")));
        }
        Ok(Expr { kind: self, at, depth })
    }
}
