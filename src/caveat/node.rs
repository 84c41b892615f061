//! The checked form of an expression, which is what is evaluated: names are resolved to places, calls to functions.

use std::sync::Arc;

use super::ast::{FoldKind, Operator};
use super::pattern::Pattern;
use super::signatures::Function;
use super::value::Value;

#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    /// A parameter, by its place in the order of names.
    Parameter(usize),
    /// A variable of a macro, by its place among those that are in scope.
    Local(usize),
    Select {
        operand: Box<Node>,
        field: Arc<str>,
        optional: bool,
    },
    Has {
        operand: Box<Node>,
        field: Arc<str>,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    Operator {
        operator: Operator,
        operands: Vec<Node>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Ternary(Box<[Node; 3]>),
    Call {
        function: Function,
        args: Vec<Node>,
        /// Whether the checker took the first argument for an int. The value may be an unsigned parameter nevertheless,
        /// which is none to the conversions that were chosen for it.
        takes_int: bool,
    },
    /// `matches()` with a pattern that is known in advance.
    Matches {
        text: Box<Node>,
        pattern: Arc<Pattern>,
    },
    List(Vec<(Node, bool)>),
    Map(Vec<MapEntry>),
    Fold(Box<FoldNode>),
    OptionalMap {
        target: Box<Node>,
        body: Box<Node>,
    },
}

/// An entry of a map literal.
#[derive(Debug)]
pub(super) struct MapEntry {
    pub(super) key: Node,
    pub(super) value: Node,
    pub(super) optional: bool,
}

/// A macro that walks a list or a map; its variable is the innermost local.
#[derive(Debug)]
pub(super) struct FoldNode {
    pub(super) kind: FoldKind,
    pub(super) range: Node,
    pub(super) condition: Option<Node>,
    pub(super) transform: Option<Node>,
}
