//! The example that a new cluster is given to try things with.

use crate::cli::reference::parse_relationship;
use crate::model::{Tuple, TupleKey};

/// A small document store: folders pass their permissions on, groups hold people and groups, a ban beats everything.
pub(super) const SCHEMA: &str = "\
definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation owner: user
    relation viewer: user | group#member

    permission edit = owner
    permission view = viewer + edit
}

definition document {
    relation parent: folder
    relation owner: user
    relation viewer: user | user:* | group#member
    relation banned: user

    permission edit = owner + parent->edit
    permission view = (viewer + edit + parent->view) - banned
}
";

const RELATIONSHIPS: [&str; 9] = [
    "group:staff#member@user:ada",
    "group:staff#member@group:interns#member",
    "group:interns#member@user:ivo",
    "folder:plans#owner@user:ada",
    "folder:plans#viewer@group:staff#member",
    "document:roadmap#parent@folder:plans",
    "document:roadmap#banned@user:ivo",
    "document:budget#parent@folder:plans",
    "document:welcome#viewer@user:*",
];

/// What is written to show that a write on one node is seen on another.
pub(super) const SHOWN: &str = "document:readme#viewer@user:emil";

pub(super) fn relationships() -> Vec<Tuple> {
    RELATIONSHIPS.iter().map(|text| Tuple::unqualified(parsed(text))).collect()
}

pub(super) fn shown() -> TupleKey {
    parsed(SHOWN)
}

fn parsed(text: &str) -> TupleKey {
    parse_relationship(text).expect("the example's relationships are constants, and a test parses all of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_parses() {
        assert_eq!(relationships().len(), RELATIONSHIPS.len());
        assert_eq!(shown().to_string(), SHOWN);
    }
}
