//! Who may do what, by the rules and the relationships.

use std::collections::BTreeSet;

use super::{Rule, Rules, State};
use crate::history::{Relationship, Subject};

/// Whether the answer to `question` is yes.
#[must_use]
pub fn is_allowed(state: &State, rules: &Rules, question: &Relationship) -> bool {
    let Relationship { kind, id, relation, subject } = question;
    Walk { state, rules, subject, seen: BTreeSet::new() }.name(kind, id, relation)
}

struct Walk<'a> {
    state: &'a State,
    rules: &'a Rules,
    subject: &'a Subject,
    /// Relations that are being looked at: groups may contain each other.
    seen: BTreeSet<(String, String, String)>,
}

impl Walk<'_> {
    fn name(&mut self, kind: &str, id: &str, name: &str) -> bool {
        let rules = self.rules;
        match rules.rule(kind, name) {
            Some(rule) => self.rule(kind, id, rule),
            None => self.relation(kind, id, name),
        }
    }

    fn relation(&mut self, kind: &str, id: &str, relation: &str) -> bool {
        let place = (kind.to_owned(), id.to_owned(), relation.to_owned());
        if !self.seen.insert(place.clone()) {
            return false;
        }
        let state = self.state;
        let found = state.subjects(kind, id, relation).any(|subject| {
            subject == self.subject
                || subject.relation.as_ref().is_some_and(|relation| self.name(&subject.kind, &subject.id, relation))
        });
        self.seen.remove(&place);
        found
    }

    fn rule(&mut self, kind: &str, id: &str, rule: &Rule) -> bool {
        match rule {
            Rule::Of(name) => self.name(kind, id, name),
            Rule::Through(relation, permission) => {
                let state = self.state;
                state.subjects(kind, id, relation).any(|object| self.name(&object.kind, &object.id, permission))
            }
            Rule::Any(rules) => rules.iter().any(|rule| self.rule(kind, id, rule)),
            Rule::Both(left, right) => self.rule(kind, id, left) && self.rule(kind, id, right),
            Rule::Without(left, right) => self.rule(kind, id, left) && !self.rule(kind, id, right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Update;

    #[test]
    fn unions_exclusions_groups_and_arrows() {
        let mut state = State::default();
        let facts = [
            "group:all#member@group:some#member",
            "group:some#member@user:ann",
            "group:some#member@group:all#member",
            "folder:f#viewer@group:all#member",
            "document:d#parent@folder:f",
            "document:d#editor@user:bob",
            "document:d#viewer@user:cid",
            "document:d#banned@user:cid",
        ];
        state.apply(&facts.map(|text| Update::Touch(Relationship::of(text))));
        let cases = [
            ("document:d#view@user:ann", true),
            ("document:d#view@user:bob", true),
            ("document:d#edit@user:bob", true),
            ("document:d#edit@user:ann", false),
            ("document:d#view@user:cid", false),
            ("document:d#viewer@user:cid", true),
            ("document:d#view@user:dan", false),
            ("document:d#view@group:all#member", true),
            ("group:all#member@user:dan", false),
            ("document:e#view@user:ann", false),
        ];
        for (question, expected) in cases {
            assert_eq!(is_allowed(&state, &Rules::version(0), &Relationship::of(question)), expected, "{question}");
        }
    }

    #[test]
    fn versions_of_the_schema_differ_in_who_sees_a_memo() {
        let mut state = State::default();
        let facts =
            ["memo:m#reader@user:r", "memo:m#reader@user:both", "memo:m#writer@user:both", "memo:m#writer@user:w"];
        state.apply(&facts.map(|text| Update::Touch(Relationship::of(text))));
        let expected = [[true, true, false], [false, true, false], [true, false, false], [true, true, true]];
        for (version, expected) in expected.iter().enumerate() {
            let see = ["r", "both", "w"].map(|user| {
                is_allowed(&state, &Rules::version(version), &Relationship::of(&format!("memo:m#see@user:{user}")))
            });
            assert_eq!(see, *expected, "version {version}");
        }
    }
}
