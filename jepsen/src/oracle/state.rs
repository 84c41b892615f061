//! The relationships after some entries of a log.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Relationship, Subject, Update, Write};

/// Relationships by object and relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    by_relation: BTreeMap<(String, String, String), BTreeSet<Subject>>,
}

impl State {
    /// Whether this very relationship is there.
    #[must_use]
    pub fn has(&self, relationship: &Relationship) -> bool {
        let Relationship { kind, id, relation, subject } = relationship;
        self.subjects(kind, id, relation).any(|found| found == subject)
    }

    /// All subjects that a relation of an object names.
    pub fn subjects(&self, kind: &str, id: &str, relation: &str) -> impl Iterator<Item = &Subject> {
        let place = (kind.to_owned(), id.to_owned(), relation.to_owned());
        self.by_relation.get(&place).into_iter().flatten()
    }

    /// All relationships of a type, or of one object of it.
    #[must_use]
    pub fn list(&self, kind: &str, id: Option<&str>) -> BTreeSet<Relationship> {
        let first = (kind.to_owned(), id.unwrap_or_default().to_owned(), String::new());
        self.by_relation
            .range(first..)
            .take_while(|((found, found_id, _), _)| found == kind && id.is_none_or(|id| id == found_id))
            .flat_map(|((kind, id, relation), subjects)| {
                subjects.iter().map(move |subject| Relationship {
                    kind: kind.clone(),
                    id: id.clone(),
                    relation: relation.clone(),
                    subject: subject.clone(),
                })
            })
            .collect()
    }

    /// Whether a write would be accepted on this state.
    #[must_use]
    pub fn accepts(&self, write: &Write) -> bool {
        write.only_if.iter().all(|relationship| self.has(relationship))
    }

    /// What of `updates` would change something.
    #[must_use]
    pub fn effect_of(&self, updates: &[Update]) -> Vec<Update> {
        let changes = |update: &&Update| match update {
            Update::Touch(relationship) => !self.has(relationship),
            Update::Delete(relationship) => self.has(relationship),
        };
        updates.iter().filter(changes).cloned().collect()
    }

    /// Makes these changes.
    pub fn apply(&mut self, updates: &[Update]) {
        for update in updates {
            let (Update::Touch(relationship) | Update::Delete(relationship)) = update;
            let Relationship { kind, id, relation, subject } = relationship.clone();
            let place = (kind, id, relation);
            match update {
                Update::Touch(_) => {
                    self.by_relation.entry(place).or_default().insert(subject);
                }
                Update::Delete(_) => {
                    if let Some(subjects) = self.by_relation.get_mut(&place) {
                        subjects.remove(&subject);
                        if subjects.is_empty() {
                            self.by_relation.remove(&place);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(text: &str) -> Update {
        Update::Touch(Relationship::of(text))
    }

    fn delete(text: &str) -> Update {
        Update::Delete(Relationship::of(text))
    }

    #[test]
    fn only_what_changes_something_is_an_effect() {
        let mut state = State::default();
        state.apply(&[touch("seat:a#holds@item:x"), touch("seat:b#holds@item:y")]);
        let updates = [touch("seat:a#holds@item:x"), delete("seat:b#holds@item:y"), delete("seat:b#holds@item:z")];
        assert_eq!(state.effect_of(&updates), [delete("seat:b#holds@item:y")]);
        state.apply(&updates);
        let left: Vec<String> = state.list("seat", None).iter().map(ToString::to_string).collect();
        assert_eq!(left, ["seat:a#holds@item:x"]);
        assert_eq!(state.list("seat", Some("b")), BTreeSet::new());
        assert_eq!(state.list("sea", None), BTreeSet::new());
        state.apply(&[delete("seat:a#holds@item:x")]);
        assert_eq!(state, State::default());
    }

    #[test]
    fn a_write_is_judged_by_its_preconditions() {
        let mut state = State::default();
        state.apply(&[touch("register:r#value@value:1")]);
        let when = |text| Write {
            op: String::new(),
            only_if: vec![Relationship::of(text)],
            updates: vec![],
            idempotency_key: None,
        };
        assert!(state.accepts(&when("register:r#value@value:1")));
        assert!(!state.accepts(&when("register:r#value@value:2")));
    }
}
