//! What must not be stored for a change of schema to be safe.
//!
//! Invariant: when every stored tuple is allowed by the old schema and none matches a guard, every stored tuple is allowed
//! by the new one; and a tuple that matches a guard is not allowed by the new one. The property test below says both.

use std::collections::BTreeSet;

use crate::model::{
    CaveatName, ObjectId, RelationName, SubjectFilter, SubjectRelationFilter, TraitFilter, TupleFilter, TypeName,
};

use super::{Allowed, AllowedSubject, Definition, Member, Relation, Schema};

/// A filter that must match no stored tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Which tuples the change would orphan.
    pub filter: TupleFilter,
    /// For a person: what the change does and why it is refused when a tuple matches.
    pub what: String,
    /// For programs: what the change does.
    pub details: Vec<(&'static str, String)>,
}

/// A change that is refused whatever is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For a person: what the change does, why it is refused, and what to do instead.
    pub what: String,
    /// For programs: what the change does.
    pub details: Vec<(&'static str, String)>,
}

/// What of replacing `old` by `new` is never allowed: a caveat that stays must keep its parameters and their types, since
/// stored contexts were judged by them. As in SpiceDB this holds whether or not there are any. In a fixed order.
#[must_use]
pub fn never_allowed(old: &Schema, new: &Schema) -> Vec<Refused> {
    let mut refused = Vec::new();
    for (name, before) in &old.caveats {
        let Some(after) = new.caveats.get(name) else { continue };
        for (parameter, parameter_type) in before.parameters() {
            let (change, operation) = match after.parameters().get(parameter) {
                None => ("be removed", "remove_parameter"),
                Some(now) if now != parameter_type => ("change its type", "change_parameter_type"),
                Some(_) => continue,
            };
            refused.push(Refused {
                what: format!(
                    "parameter `{parameter}` of caveat `{name}` cannot {change}: stored contexts may have a value for it; \
                     use a caveat of another name"
                ),
                details: details(operation, &[("caveat_name", name.as_str()), ("parameter_name", parameter)]),
            });
        }
    }
    refused
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

fn details(operation: &str, names: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let names = names.iter().map(|(name, value)| (*name, (*value).to_owned()));
    names.chain([("operation", operation.to_owned())]).collect()
}

fn removed_definition(name: &TypeName, guards: &mut Vec<Guard>) {
    let details = details("delete_object_definition", &[("resource_type", name.as_str())]);
    guards.push(Guard {
        filter: TupleFilter { resource_type: Some(name.clone()), ..TupleFilter::default() },
        what: format!("definition `{name}` cannot be removed: a relationship exists under it"),
        details: details.clone(),
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
        details,
    });
}

fn changed_definition(old: &Definition, new: &Definition, guards: &mut Vec<Guard>) {
    for (name, member) in &old.members {
        let removed = |what: String| Guard {
            filter: under(&old.name, name),
            what,
            details: details("delete_relation", &[("resource_type", old.name.as_str()), ("relation", name.as_str())]),
        };
        match (member, new.members.get(name)) {
            (Member::Relation(before), Some(Member::Relation(after))) => {
                removed_subjects(&old.name, name, before, after, guards);
            }
            (Member::Relation(_), Some(Member::Permission(_))) => guards.push(removed(format!(
                "relation `{name}` of definition `{}` cannot become a permission: a relationship exists under it",
                old.name
            ))),
            (Member::Relation(_), None) => {
                guards.push(removed(format!(
                    "relation `{name}` cannot be removed from definition `{}`: a relationship exists under it",
                    old.name
                )));
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
        details: details(
            "delete_relation_reverse_check",
            &[("resource_type", definition.as_str()), ("relation", name.as_str())],
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
    let kept: BTreeSet<&Allowed> = after.allowed.iter().collect();
    for allowed in before.allowed.iter().filter(|allowed| !kept.contains(allowed)) {
        let (source, traits) = (allowed.to_string(), traits_of(allowed));
        guards.push(Guard {
            filter: TupleFilter {
                subject: Some(subjects_of(&allowed.subject)),
                traits: Some(traits),
                ..under(definition, name)
            },
            what: format!(
                "subject type `{source}` cannot be removed from relation `{name}` of definition `{definition}`: a \
                 relationship exists with it"
            ),
            details: details(
                "remove_allowed_type",
                &[("resource_type", definition.as_str()), ("relation", name.as_str()), ("allowed_type", &source)],
            ),
        });
    }
}

/// Tuples with and without a caveat, or an expiration, are allowed apart from each other.
fn traits_of(allowed: &Allowed) -> TraitFilter {
    let caveat = allowed.caveat.as_ref().map(CaveatName::as_str).map(str::to_owned);
    TraitFilter { caveat, expires: allowed.expires }
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
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::caveat::{Caveat, ParameterType};
    use crate::model::{CaveatUse, ObjectRef, Qualifiers, SubjectRef, TimestampMs, Tuple, TupleKey};
    use crate::schema::spicedb;

    const OLD: &str = "
        use expiration
        caveat odd(num int, off bool) { off || num % 2 == 1 }
        definition user {}
        definition bot {}
        definition team {
            relation member: user
            permission everyone = member
        }
        definition doc {
            relation viewer: user | user:* | team#member | team#everyone
            relation owner: user
            relation guest: user | user with odd | user with expiration | user with odd and expiration
        }";

    fn guards(new: &str) -> Vec<Guard> {
        let parse = |text: &str| spicedb::parse(text).expect("a valid schema");
        orphaning(&parse(OLD), &parse(new))
    }

    fn tuple(relation: &str, subject: (&str, &str, &str)) -> Tuple {
        Tuple::unqualified(TupleKey {
            resource: ObjectRef::new("doc", "1").expect("valid"),
            relation: RelationName::new(relation).expect("valid"),
            subject: SubjectRef::new(subject.0, subject.1, subject.2).expect("valid"),
        })
    }

    fn matches(guard: &Guard, tuple: &Tuple) -> bool {
        guard.filter.matches_qualified(&tuple.key, &tuple.qualifiers)
    }

    fn qualifiers(caveat: Option<&str>, expires: bool) -> Qualifiers {
        Qualifiers {
            caveat: caveat.map(|name| CaveatUse { name: name.to_owned(), context_json: String::new() }),
            expires_at: expires.then_some(TimestampMs(1)),
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
        assert!(matches(&guards[0], &tuple("viewer", ("user", "ann", ""))));
        assert!(!matches(&guards[0], &tuple("viewer", ("user", "*", ""))));
        assert!(!matches(&guards[0], &tuple("viewer", ("team", "ann", "member"))));
        assert!(!matches(&guards[0], &tuple("owner", ("user", "ann", ""))));
    }

    #[test]
    fn each_kind_of_traits_has_a_guard_of_its_own() {
        let traits = [(None, false), (Some("odd"), false), (None, true), (Some("odd"), true)];
        let text = |(caveat, expires): (Option<&str>, bool)| match (caveat, expires) {
            (None, false) => "user",
            (Some(_), false) => "user with odd",
            (None, true) => "user with expiration",
            (Some(_), true) => "user with odd and expiration",
        };
        for removed in traits {
            let kept = traits.into_iter().filter(|other| *other != removed).map(text).collect::<Vec<_>>().join(" | ");
            let all = traits.map(text).join(" | ");
            let found = guards(&OLD.replace(&format!("guest: {all}"), &format!("guest: {kept}")));
            assert_eq!(found.len(), 1, "{removed:?}");
            for stored in traits {
                let tuple = Tuple { qualifiers: qualifiers(stored.0, stored.1), ..tuple("guest", ("user", "ann", "")) };
                assert_eq!(matches(&found[0], &tuple), stored == removed, "{removed:?} {stored:?}");
            }
            let allowed = found[0].details.iter().find(|(name, _)| *name == "allowed_type");
            assert_eq!(allowed.map(|(_, value)| value.as_str()), Some(text(removed)));
        }
    }

    #[test]
    fn a_caveat_that_stays_keeps_its_parameters() {
        let parse = |text: &str| spicedb::parse(text).expect("a valid schema");
        let cases = [
            ("num int, off bool", "num int, off bool, more bool", "off ||", "more || off ||", None),
            ("off || num", "num > 0 || off || num", "", "", None),
            ("num int, off bool", "num int", "off || ", "", Some("`off` of caveat `odd` cannot be removed")),
            ("num int,", "num uint,", "", "", Some("`num` of caveat `odd` cannot change its type")),
        ];
        for (from, to, also_from, also_to, expected) in cases {
            let found = never_allowed(&parse(OLD), &parse(&OLD.replace(from, to).replace(also_from, also_to)));
            let found: Vec<_> = found.iter().map(|refused| refused.what.as_str()).collect();
            match expected {
                None => assert_eq!(found, Vec::<&str>::new(), "{to}"),
                Some(text) => assert!(found.len() == 1 && found[0].contains(text), "{to}: {found:?}"),
            }
        }
        let gone = "definition user {}";
        assert_eq!(never_allowed(&parse(OLD), &parse(gone)), [], "who uses it is what the guards are for");
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
    const CAVEATS: [&str; 2] = ["odd", "even"];

    fn caveat_of(name: &str) -> (CaveatName, Arc<Caveat>) {
        let name = CaveatName::new(name).expect("valid");
        let parameters = [("num".to_owned(), ParameterType::Int)].into();
        let caveat = Caveat::compile(&name, &parameters, "num == 1").expect("valid");
        (name, Arc::new(caveat))
    }

    /// Schemas over a few names, not all of them valid in every respect: guards must not depend on that.
    fn any_schema() -> impl Strategy<Value = Schema> {
        let type_name = || prop::sample::select(&TYPES[..]).prop_map(|t| TypeName::new(t).expect("valid"));
        let member_name = || prop::sample::select(&MEMBERS[..]).prop_map(|r| RelationName::new(r).expect("valid"));
        let kind = prop_oneof![
            type_name().prop_map(AllowedSubject::Direct),
            type_name().prop_map(AllowedSubject::Wildcard),
            (type_name(), member_name()).prop_map(|(t, r)| AllowedSubject::Userset(t, r)),
        ];
        let caveat = prop::option::of(prop::sample::select(&CAVEATS[..]));
        let allowed = (kind, caveat, any::<bool>()).prop_map(|(subject, caveat, expires)| {
            let caveat = caveat.map(|name| CaveatName::new(name).expect("valid"));
            Allowed { subject, caveat, expires }
        });
        let member = prop_oneof![
            4 => prop::collection::btree_set(allowed, 1..8)
                .prop_map(|allowed| Member::Relation(Relation { allowed: allowed.into_iter().collect() })),
            1 => Just(Member::Permission(crate::schema::Permission { rewrite: crate::schema::Rewrite::Nil })),
        ];
        let members = prop::collection::btree_map(member_name(), member, 0..4);
        prop::collection::btree_map(type_name(), members, 0..4).prop_map(|definitions| Schema {
            definitions: definitions
                .into_iter()
                .map(|(name, members)| (name.clone(), Definition { name, members }))
                .collect(),
            caveats: CAVEATS.into_iter().map(caveat_of).collect(),
            ..Schema::default()
        })
    }

    fn every_tuple() -> Vec<Tuple> {
        let mut all = Vec::new();
        for resource in TYPES {
            for relation in MEMBERS {
                for subject in TYPES {
                    for (id, subject_relation) in [("x", ""), ("*", ""), ("x", "rel"), ("x", "sub"), ("x", "top")] {
                        let key = TupleKey {
                            resource: ObjectRef::new(resource, "1").expect("valid"),
                            relation: RelationName::new(relation).expect("valid"),
                            subject: SubjectRef::new(subject, id, subject_relation).expect("valid"),
                        };
                        for caveat in [None, Some("odd"), Some("even")] {
                            for expires in [false, true] {
                                all.push(Tuple { key: key.clone(), qualifiers: qualifiers(caveat, expires) });
                            }
                        }
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
            for tuple in every_tuple().iter().filter(|tuple| old.check_tuple(tuple).is_ok()) {
                let guarded = guards.iter().any(|guard| matches(guard, tuple));
                prop_assert_eq!(guarded, new.check_tuple(tuple).is_err(), "{:?}", tuple);
            }
        }
    }
}
