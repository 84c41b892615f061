//! What must not be stored for a change of schema to be safe.
//!
//! Invariant: when every stored tuple is allowed by the old schema and none matches a guard, every stored tuple is allowed
//! by the new one; and a tuple that matches a guard is not allowed by the new one. The property test below says both.

use std::collections::BTreeSet;

use crate::model::{ObjectId, RelationName, SubjectFilter, SubjectRelationFilter, TupleFilter, TypeName};

use super::{AllowedSubject, Definition, Member, Relation, Schema};

/// A filter that must match no stored tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Which tuples the change would orphan.
    pub filter: TupleFilter,
    /// For a person: what the change does and why it is refused when a tuple matches.
    pub what: String,
}

/// What must not be stored for `new` to replace `old` without orphaning tuples. In a fixed order.
#[must_use]
pub fn orphaning(old: &Schema, new: &Schema) -> Vec<Guard> {
    let mut guards = Vec::new();
    for definition in old.definitions.values() {
        match new.definitions.get(&definition.name) {
            None => removed_definition(&definition.name, &mut guards),
            Some(replacement) => changed_definition(definition, replacement, &mut guards),
        }
    }
    guards
}

fn removed_definition(name: &TypeName, guards: &mut Vec<Guard>) {
    guards.push(Guard {
        filter: TupleFilter { resource_type: Some(name.clone()), ..TupleFilter::default() },
        what: format!("definition `{name}` cannot be removed: a relationship exists under it"),
    });
    guards.push(Guard {
        filter: TupleFilter {
            subject: Some(SubjectFilter {
                subject_type: name.clone(),
                subject_id: None,
                relation: SubjectRelationFilter::Any,
            }),
            ..TupleFilter::default()
        },
        what: format!("definition `{name}` cannot be removed: a relationship has a subject of that type"),
    });
}

fn changed_definition(old: &Definition, new: &Definition, guards: &mut Vec<Guard>) {
    for (name, member) in &old.members {
        match (member, new.members.get(name)) {
            (Member::Relation(before), Some(Member::Relation(after))) => {
                removed_subjects(&old.name, name, before, after, guards);
            }
            (Member::Relation(_), Some(Member::Permission(_))) => guards.push(Guard {
                filter: under(&old.name, name),
                what: format!(
                    "relation `{name}` of definition `{}` cannot become a permission: a relationship exists under it",
                    old.name
                ),
            }),
            (Member::Relation(_), None) => {
                guards.push(Guard {
                    filter: under(&old.name, name),
                    what: format!(
                        "relation `{name}` cannot be removed from definition `{}`: a relationship exists under it",
                        old.name
                    ),
                });
                guards.push(removed_subject_relation(&old.name, name, "relation"));
            }
            (Member::Permission(_), None) => guards.push(removed_subject_relation(&old.name, name, "permission")),
            // Nothing is stored under a permission, and as a subject the name stays what it was.
            (Member::Permission(_), Some(_)) => {}
        }
    }
}

fn under(definition: &TypeName, relation: &RelationName) -> TupleFilter {
    TupleFilter { resource_type: Some(definition.clone()), relation: Some(relation.clone()), ..TupleFilter::default() }
}

fn removed_subject_relation(definition: &TypeName, name: &RelationName, kind: &str) -> Guard {
    Guard {
        filter: TupleFilter {
            subject: Some(SubjectFilter {
                subject_type: definition.clone(),
                subject_id: None,
                relation: SubjectRelationFilter::Relation(name.clone()),
            }),
            ..TupleFilter::default()
        },
        what: format!(
            "{kind} `{name}` cannot be removed from definition `{definition}`: a relationship has it as a subject relation"
        ),
    }
}

fn removed_subjects(
    definition: &TypeName,
    name: &RelationName,
    before: &Relation,
    after: &Relation,
    guards: &mut Vec<Guard>,
) {
    let kept: BTreeSet<&AllowedSubject> = after.allowed.iter().map(|allowed| &allowed.subject).collect();
    let removed = before.allowed.iter().map(|allowed| &allowed.subject).filter(|subject| !kept.contains(subject));
    for subject in removed {
        guards.push(Guard {
            filter: TupleFilter { subject: Some(subjects_of(subject)), ..under(definition, name) },
            what: format!(
                "subject type `{subject}` cannot be removed from relation `{name}` of definition `{definition}`: a \
                 relationship exists with it"
            ),
        });
    }
}

/// The subjects that `kind` allows and no other kind does. An object itself and the wildcard have no subject relation both,
/// so the id tells them apart.
fn subjects_of(kind: &AllowedSubject) -> SubjectFilter {
    let (subject_id, relation) = match kind {
        AllowedSubject::Direct(_) => (None, SubjectRelationFilter::Concrete),
        AllowedSubject::Wildcard(_) => (Some(ObjectId::wildcard()), SubjectRelationFilter::Direct),
        AllowedSubject::Userset(_, relation) => (None, SubjectRelationFilter::Relation(relation.clone())),
    };
    SubjectFilter { subject_type: kind.subject_type().clone(), subject_id, relation }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ObjectRef, SubjectRef, TupleKey};
    use crate::schema::{Allowed, spicedb};

    const OLD: &str = "
        definition user {}
        definition bot {}
        definition team {
            relation member: user
            permission everyone = member
        }
        definition doc {
            relation viewer: user | user:* | team#member | team#everyone
            relation owner: user
        }";

    fn guards(new: &str) -> Vec<Guard> {
        let parse = |text: &str| spicedb::parse(text).expect("a valid schema");
        orphaning(&parse(OLD), &parse(new))
    }

    fn tuple(relation: &str, subject: (&str, &str, &str)) -> TupleKey {
        TupleKey {
            resource: ObjectRef::new("doc", "1").expect("valid"),
            relation: RelationName::new(relation).expect("valid"),
            subject: SubjectRef::new(subject.0, subject.1, subject.2).expect("valid"),
        }
    }

    #[test]
    fn an_unchanged_or_grown_schema_needs_no_guard() {
        assert_eq!(guards(OLD), []);
        let grown = OLD.replace("owner: user", "owner: user | bot\n relation more: user\n permission all = owner");
        assert_eq!(guards(&grown), []);
        assert_eq!(guards(&OLD.replace("permission everyone = member", "relation everyone: user")), []);
    }

    #[test]
    fn the_wildcard_does_not_guard_the_object_itself() {
        let guards = guards(&OLD.replace("viewer: user | user:*", "viewer: user:*"));
        assert_eq!(guards.len(), 1);
        assert!(guards[0].filter.matches(&tuple("viewer", ("user", "ann", ""))));
        assert!(!guards[0].filter.matches(&tuple("viewer", ("user", "*", ""))));
        assert!(!guards[0].filter.matches(&tuple("viewer", ("team", "ann", "member"))));
        assert!(!guards[0].filter.matches(&tuple("owner", ("user", "ann", ""))));
    }

    #[test]
    fn every_kind_of_removal_has_its_guard() {
        let cases = [
            (" | user:*", "", vec!["subject type `user:*`"]),
            (" | team#member", "", vec!["subject type `team#member`"]),
            ("definition bot {}", "", vec!["definition `bot`", "definition `bot`"]),
            (
                "relation owner: user",
                "",
                vec!["relation `owner` cannot be removed", "relation `owner` cannot be removed"],
            ),
            ("relation owner: user", "permission owner = viewer", vec!["cannot become a permission"]),
            ("relation owner: user", "relation owner: bot", vec!["subject type `user`"]),
        ];
        for (from, to, expected) in cases {
            let found = guards(&OLD.replace(from, to));
            assert_eq!(found.len(), expected.len(), "{from} → {to}: {found:?}");
            for (guard, text) in found.iter().zip(expected) {
                assert!(guard.what.contains(text), "{} lacks {text}", guard.what);
            }
        }
        let found = guards(&OLD.replace("permission everyone = member", "").replace(" | team#everyone", ""));
        assert_eq!(found.len(), 2, "the kind on `doc#viewer` and the permission as a subject relation: {found:?}");
    }

    const TYPES: [&str; 3] = ["aaa", "bbb", "ccc"];
    const MEMBERS: [&str; 3] = ["rel", "sub", "top"];

    /// Schemas over a few names, not all of them valid in every respect: guards must not depend on that.
    fn any_schema() -> impl Strategy<Value = Schema> {
        let type_name = || prop::sample::select(&TYPES[..]).prop_map(|t| TypeName::new(t).expect("valid"));
        let member_name = || prop::sample::select(&MEMBERS[..]).prop_map(|r| RelationName::new(r).expect("valid"));
        let kind = prop_oneof![
            type_name().prop_map(AllowedSubject::Direct),
            type_name().prop_map(AllowedSubject::Wildcard),
            (type_name(), member_name()).prop_map(|(t, r)| AllowedSubject::Userset(t, r)),
        ];
        let member = prop_oneof![
            4 => prop::collection::btree_set(kind, 1..6)
                .prop_map(|allowed| Member::Relation(Relation { allowed: allowed.into_iter().map(Allowed::plain).collect() })),
            1 => Just(Member::Permission(crate::schema::Permission { rewrite: crate::schema::Rewrite::Nil })),
        ];
        let members = prop::collection::btree_map(member_name(), member, 0..4);
        prop::collection::btree_map(type_name(), members, 0..4).prop_map(|definitions| Schema {
            definitions: definitions
                .into_iter()
                .map(|(name, members)| (name.clone(), Definition { name, members }))
                .collect(),
            ..Schema::default()
        })
    }

    fn every_tuple() -> Vec<TupleKey> {
        let mut all = Vec::new();
        for resource in TYPES {
            for relation in MEMBERS {
                for subject in TYPES {
                    for (id, subject_relation) in [("x", ""), ("*", ""), ("x", "rel"), ("x", "sub"), ("x", "top")] {
                        all.push(TupleKey {
                            resource: ObjectRef::new(resource, "1").expect("valid"),
                            relation: RelationName::new(relation).expect("valid"),
                            subject: SubjectRef::new(subject, id, subject_relation).expect("valid"),
                        });
                    }
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn guards_match_exactly_what_would_be_orphaned(old in any_schema(), new in any_schema()) {
            let guards = orphaning(&old, &new);
            for key in every_tuple().iter().filter(|key| old.check_tuple(key).is_ok()) {
                let guarded = guards.iter().any(|guard| guard.filter.matches(key));
                prop_assert_eq!(guarded, new.check_tuple(key).is_err(), "{}", key);
            }
        }
    }
}
