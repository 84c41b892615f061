//! Who and what a permission comes to: everything that could be in the answer is asked about, one after the other.

use std::collections::BTreeSet;

use super::{Rules, State, is_allowed};
use crate::history::{Relationship, Subject, Tree};

/// Ids of the objects of a type on which a user has a permission.
#[must_use]
pub fn resources(state: &State, rules: &Rules, (kind, permission): (&str, &str), user: &str) -> BTreeSet<String> {
    // Who has a permission on an object has it by some relationship of that object.
    let ids: BTreeSet<String> = state.list(kind, None).into_iter().map(|relationship| relationship.id).collect();
    let may = |id: &String| is_allowed(state, rules, &question((kind, id), permission, user));
    ids.into_iter().filter(may).collect()
}

/// Ids of the users who have a permission on an object.
#[must_use]
pub fn users(state: &State, rules: &Rules, (kind, id): (&str, &str), permission: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    name_all(state, (kind, id), &mut BTreeSet::new(), &mut named);
    named.into_iter().filter(|user| is_allowed(state, rules, &question((kind, id), permission, user))).collect()
}

fn question((kind, id): (&str, &str), permission: &str, user: &str) -> Relationship {
    Relationship {
        kind: kind.to_owned(),
        id: id.to_owned(),
        relation: permission.to_owned(),
        subject: Subject::user(user),
    }
}

/// All users that relationships of the object name, or those of objects that they name.
fn name_all(state: &State, (kind, id): (&str, &str), seen: &mut BTreeSet<Subject>, named: &mut BTreeSet<String>) {
    for relationship in state.list(kind, Some(id)) {
        let subject = relationship.subject;
        if subject.kind == "user" {
            named.insert(subject.id);
        } else if seen.insert(subject.clone()) {
            name_all(state, (&subject.kind, &subject.id), seen, named);
        }
    }
}

/// Ids of the users that a tree comes to.
#[must_use]
pub fn members(tree: &Tree) -> BTreeSet<String> {
    match tree {
        Tree::Leaf { subjects, .. } => {
            let users = subjects.iter().filter(|subject| subject.kind == "user" && subject.relation.is_none());
            users.map(|subject| subject.id.clone()).collect()
        }
        Tree::Union(parts) => parts.iter().flat_map(members).collect(),
        Tree::Intersection(parts) => parts.iter().map(members).reduce(|left, right| &left & &right).unwrap_or_default(),
        Tree::Exclusion(parts) => parts.iter().map(members).reduce(|left, right| &left - &right).unwrap_or_default(),
    }
}

/// What the leaves of a tree say of relations that is not so.
#[must_use]
pub fn wrong_leaves(state: &State, tree: &Tree) -> Vec<String> {
    match tree {
        Tree::Leaf { kind, id, relation, subjects } => {
            let right: BTreeSet<&Subject> = state.subjects(kind, id, relation).collect();
            let said: BTreeSet<&Subject> = subjects.iter().collect();
            let is_right = said == right && said.len() == subjects.len();
            if is_right { Vec::new() } else { vec![format!("{kind}:{id}#{relation}: {subjects:?} and not {right:?}")] }
        }
        Tree::Union(parts) | Tree::Intersection(parts) | Tree::Exclusion(parts) => {
            parts.iter().flat_map(|part| wrong_leaves(state, part)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Update;

    fn state(facts: &[&str]) -> State {
        let mut state = State::default();
        state.apply(&facts.iter().map(|text| Update::Touch(Relationship::of(text))).collect::<Vec<_>>());
        state
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn objects_and_users_are_found_through_other_objects_and_groups() {
        let state = state(&[
            "team:one#member@user:ann",
            "team:two#member@user:bob",
            "desk:a#team@team:one",
            "desk:b#team@team:two",
            "desk:c#team@team:one",
            "group:g#member@user:cid",
            "group:h#member@group:g#member",
            "folder:f#viewer@group:h#member",
            "document:d#parent@folder:f",
            "document:d#viewer@user:ann",
            "document:d#banned@user:ann",
        ]);
        let rules = Rules::version(0);
        assert_eq!(resources(&state, &rules, ("desk", "use"), "ann"), set(&["a", "c"]));
        assert_eq!(resources(&state, &rules, ("desk", "use"), "dan"), set(&[]));
        assert_eq!(users(&state, &rules, ("desk", "b"), "use"), set(&["bob"]));
        assert_eq!(users(&state, &rules, ("document", "d"), "view"), set(&["cid"]));
        assert_eq!(users(&state, &rules, ("document", "e"), "view"), set(&[]));
    }

    #[test]
    fn trees_come_to_users_and_their_leaves_are_relations() {
        let leaf = |relation: &str, users: &[&str]| Tree::Leaf {
            kind: "memo".to_owned(),
            id: "m".to_owned(),
            relation: relation.to_owned(),
            subjects: users.iter().map(|user| Subject::user(user)).collect(),
        };
        let both = || vec![leaf("reader", &["r", "both"]), leaf("writer", &["both", "w"])];
        assert_eq!(members(&Tree::Union(both())), set(&["r", "both", "w"]));
        assert_eq!(members(&Tree::Intersection(both())), set(&["both"]));
        assert_eq!(members(&Tree::Exclusion(both())), set(&["r"]));
        let state = state(&[
            "memo:m#reader@user:r",
            "memo:m#reader@user:both",
            "memo:m#writer@user:both",
            "memo:m#writer@user:w",
        ]);
        assert_eq!(wrong_leaves(&state, &Tree::Union(both())), Vec::<String>::new());
        assert_eq!(wrong_leaves(&state, &Tree::Union(vec![leaf("reader", &["r"])])).len(), 1);
        assert_eq!(wrong_leaves(&state, &leaf("reader", &["r", "both", "both"])).len(), 1, "one is there twice");
    }
}
