//! The schema that clusters are tested with, in a few versions that differ in one permission. The rules are the source; the
//! text that a cluster is given is rendered from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many versions there are.
pub const VERSIONS: usize = 4;

/// What makes a permission hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A relation or permission of the same object.
    Of(&'static str),
    /// The permission of an object that a relation leads to.
    Through(&'static str, &'static str),
    /// Any of them.
    Any(Vec<Rule>),
    /// Both of them.
    Both(Box<Rule>, Box<Rule>),
    /// The first and not the second.
    Without(Box<Rule>, Box<Rule>),
}

/// A type of object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// Relations, each with the types that it takes.
    pub relations: Vec<(&'static str, &'static str)>,
    /// Permissions.
    pub permissions: Vec<(&'static str, Rule)>,
}

/// All types of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    definitions: BTreeMap<&'static str, Definition>,
}

impl Rules {
    /// This version of the schema; there are [`VERSIONS`], and the numbers above begin anew.
    #[must_use]
    pub fn version(version: usize) -> Self {
        use Rule::{Any, Both, Of, Through, Without};
        let boxed = |name| Box::new(Of(name));
        let people = "user | group#member";
        let see = match version % VERSIONS {
            0 => Of("reader"),
            1 => Both(boxed("reader"), boxed("writer")),
            2 => Without(boxed("reader"), boxed("writer")),
            _ => Any(vec![Of("reader"), Of("writer")]),
        };
        let view = Any(vec![Of("viewer"), Of("editor"), Through("parent", "view")]);
        let define = |relations: &[(&'static str, &'static str)], permissions: Vec<(&'static str, Rule)>| Definition {
            relations: relations.to_vec(),
            permissions,
        };
        let definitions = BTreeMap::from([
            ("user", Definition::default()),
            ("value", Definition::default()),
            ("item", Definition::default()),
            ("group", define(&[("member", people)], vec![])),
            ("folder", define(&[("viewer", people)], vec![("view", Of("viewer"))])),
            (
                "document",
                define(
                    &[("parent", "folder"), ("viewer", people), ("editor", people), ("banned", "user")],
                    vec![
                        ("edit", Without(boxed("editor"), boxed("banned"))),
                        ("view", Without(Box::new(view), boxed("banned"))),
                    ],
                ),
            ),
            ("register", define(&[("value", "value")], vec![])),
            ("seat", define(&[("holds", "item")], vec![])),
            ("memo", define(&[("reader", "user"), ("writer", "user")], vec![("see", see)])),
            ("marker", define(&[("holder", "user")], vec![])),
            ("chain", define(&[("link", "item")], vec![])),
            ("team", define(&[("member", "user")], vec![])),
            ("desk", define(&[("team", "team")], vec![("use", Through("team", "member"))])),
            ("vault", define(&[("viewer", "user")], vec![("view", Of("viewer"))])),
            ("ledger", define(&[("viewer", "user")], vec![("view", Of("viewer"))])),
        ]);
        Self { definitions }
    }

    /// The rule of a permission; `None` for a relation.
    #[must_use]
    pub fn rule(&self, kind: &str, name: &str) -> Option<&Rule> {
        let definition = self.definitions.get(kind)?;
        definition.permissions.iter().find(|(permission, _)| *permission == name).map(|(_, rule)| rule)
    }

    /// The text for a cluster.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, definition) in &self.definitions {
            // Writing to a string does not fail.
            let _ = writeln!(out, "definition {name} {{");
            for (relation, types) in &definition.relations {
                let _ = writeln!(out, "    relation {relation}: {types}");
            }
            for (permission, rule) in &definition.permissions {
                let _ = writeln!(out, "    permission {permission} = {}", expression(rule));
            }
            out.push_str("}\n\n");
        }
        out
    }
}

fn expression(rule: &Rule) -> String {
    match rule {
        Rule::Of(name) => (*name).to_owned(),
        Rule::Through(relation, permission) => format!("{relation}->{permission}"),
        Rule::Any(rules) => format!("({})", rules.iter().map(expression).collect::<Vec<_>>().join(" + ")),
        Rule::Both(left, right) => format!("({} & {})", expression(left), expression(right)),
        Rule::Without(left, right) => format!("({} - {})", expression(left), expression(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_the_rules_say() {
        let text = Rules::version(0).text();
        assert!(text.contains("    permission view = ((viewer + editor + parent->view) - banned)\n"), "{text}");
        assert!(text.contains("definition user {\n}\n"), "{text}");
        assert!(Rules::version(1).text().contains("permission see = (reader & writer)"));
        assert_eq!(Rules::version(VERSIONS), Rules::version(0));
    }
}
