//! Tests of the SpiceDB front end: what it reads, what it refuses and where, and what hostile texts do to it.

use super::parse;
use crate::schema::{ArrowKind, Member, Rewrite};

mod hostile;
mod imports;
mod reading;
mod refusals;

/// A rewrite with every operator in parentheses, so that a comparison of texts is one of trees.
fn shown(rewrite: &Rewrite) -> String {
    let joined = |operands: &[Rewrite], operator: &str| {
        format!("({})", operands.iter().map(shown).collect::<Vec<_>>().join(operator))
    };
    match rewrite {
        Rewrite::Itself => "self".to_owned(),
        Rewrite::Nil => "nil".to_owned(),
        Rewrite::Computed(name) => name.to_string(),
        Rewrite::Arrow { tupleset, target, kind: ArrowKind::Any } => format!("{tupleset}.any({target})"),
        Rewrite::Arrow { tupleset, target, kind: ArrowKind::All } => format!("{tupleset}.all({target})"),
        Rewrite::Union(operands) => joined(operands, " + "),
        Rewrite::Intersection(operands) => joined(operands, " & "),
        Rewrite::Exclusion(base, removed) => format!("({} - {})", shown(base), shown(removed)),
    }
}

/// A schema in which `permission top` has the given expression and `aaa` to `ddd` are relations.
fn with_expression(expression: &str) -> String {
    let relations = ["aaa", "bbb", "ccc", "ddd"].map(|name| format!("relation {name}: user | doc\n"));
    format!("definition user {{}}\ndefinition doc {{\n{}permission top = {expression}\n}}", relations.concat())
}

fn expression(text: &str) -> String {
    let schema = parse(&with_expression(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    match schema.member("doc", "top") {
        Some(Member::Permission(permission)) => shown(&permission.rewrite),
        other => panic!("{text}: {other:?}"),
    }
}
