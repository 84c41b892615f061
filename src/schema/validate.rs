//! What must hold in a schema, whichever language it was written in.
//!
//! The rules are those of SpiceDB when a schema is written:
//! - every type and every relation that is referred to exists; what an arrow leads to is the exception, since types on the
//!   way that lack the target contribute nothing;
//! - a relation allows at least one kind of subject, and none twice;
//! - no wildcard is reached through another type's relation, and none is on the left of an arrow;
//! - the left of an arrow is a relation;
//! - permissions that are only other names for each other do not form a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{RelationName, TypeName, limits};

use super::{AllowedSubject, Definition, Member, Relation, Rewrite, Schema};

/// One broken rule, and which part of which member breaks it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) definition: TypeName,
    pub(super) member: RelationName,
    /// The index of the allowed subject, or of the expression's leaf from left to right; `None` for the member as a whole.
    pub(super) part: Option<usize>,
    pub(super) message: String,
}

/// Tells `report` of every broken rule. Nothing is collected: a hostile text can break a rule with every few bytes.
pub(super) fn find_faults(schema: &Schema, report: &mut dyn FnMut(Fault)) {
    let wildcards = wildcard_reach(schema);
    let mut arrow_targets = 0;
    for definition in schema.definitions.values() {
        for (name, member) in &definition.members {
            let mut report_part = |part: Option<usize>, message: String| {
                report(Fault { definition: definition.name.clone(), member: name.clone(), part, message });
            };
            match member {
                Member::Relation(relation) => {
                    check_relation(schema, &wildcards, definition, name, relation, &mut report_part);
                }
                Member::Permission(permission) => {
                    for (index, leaf) in permission.rewrite.leaves().into_iter().enumerate() {
                        let within = arrow_targets <= limits::ARROW_TARGETS;
                        arrow_targets += targets_of(definition, leaf);
                        if within && arrow_targets > limits::ARROW_TARGETS {
                            let most = limits::ARROW_TARGETS;
                            let message = format!(
                                "the arrows of this schema lead more than {most} ways; let relations on the left of arrows \
                                 allow fewer kinds of subject"
                            );
                            report_part(Some(index), message);
                        }
                        if let Some(message) = leaf_fault(&wildcards, definition, leaf) {
                            report_part(Some(index), message);
                        }
                    }
                }
            }
        }
        alias_circles(definition, report);
    }
}

/// How many kinds of subject an arrow has on its left.
fn targets_of(definition: &Definition, leaf: &Rewrite) -> usize {
    let Rewrite::Arrow { tupleset, .. } = leaf else { return 0 };
    match definition.members.get(tupleset) {
        Some(Member::Relation(relation)) => relation.allowed.len(),
        Some(Member::Permission(_)) | None => 0,
    }
}

type RelationRef<'a> = (&'a TypeName, &'a RelationName);

/// For each relation from which a wildcard can be reached by following allowed subject relations: the relation that allows
/// the wildcard itself. Permissions are not followed.
fn wildcard_reach(schema: &Schema) -> BTreeMap<RelationRef<'_>, RelationRef<'_>> {
    let mut reach = BTreeMap::new();
    let mut referrers: BTreeMap<RelationRef<'_>, Vec<RelationRef<'_>>> = BTreeMap::new();
    let mut open = Vec::new();
    for definition in schema.definitions.values() {
        for (name, member) in &definition.members {
            let Member::Relation(relation) = member else { continue };
            let this = (&definition.name, name);
            for subject in &relation.allowed {
                match &subject.subject {
                    AllowedSubject::Direct(_) => {}
                    AllowedSubject::Wildcard(_) => open.push((this, this)),
                    AllowedSubject::Userset(t, r) => referrers.entry((t, r)).or_default().push(this),
                }
            }
        }
    }
    while let Some((relation, origin)) = open.pop() {
        if reach.contains_key(&relation) {
            continue;
        }
        reach.insert(relation, origin);
        open.extend(referrers.get(&relation).into_iter().flatten().map(|referrer| (*referrer, origin)));
    }
    reach
}

fn check_relation(
    schema: &Schema,
    wildcards: &BTreeMap<RelationRef<'_>, RelationRef<'_>>,
    definition: &Definition,
    name: &RelationName,
    relation: &Relation,
    report: &mut dyn FnMut(Option<usize>, String),
) {
    if relation.allowed.is_empty() {
        report(None, format!("relation `{name}` must allow at least one type of subject"));
    }
    let mut seen = BTreeSet::new();
    for (index, subject) in relation.allowed.iter().enumerate() {
        if !seen.insert(subject) {
            let message = format!(
                "subject type `{subject}` is allowed twice on relation `{name}` under definition `{}`",
                definition.name
            );
            report(Some(index), message);
        }
        if let Some(message) = subject_fault(schema, wildcards, definition, name, &subject.subject) {
            report(Some(index), message);
        }
    }
}

fn subject_fault(
    schema: &Schema,
    wildcards: &BTreeMap<RelationRef<'_>, RelationRef<'_>>,
    definition: &Definition,
    relation: &RelationName,
    subject: &AllowedSubject,
) -> Option<String> {
    let subject_type = subject.subject_type();
    let Some(target) = schema.definitions.get(subject_type) else {
        return Some(format!(
            "object definition `{subject_type}` not found: relation `{relation}` allows it as a subject"
        ));
    };
    match subject {
        AllowedSubject::Direct(_) | AllowedSubject::Wildcard(_) => None,
        AllowedSubject::Userset(t, r) => {
            if !target.members.contains_key(r) {
                return Some(not_found(t, r));
            }
            // A type may refer to its own relations that allow wildcards, as in SpiceDB: `member: user:* | group#member`.
            if *t == definition.name {
                return None;
            }
            wildcards.get(&(t, r)).map(|(via_type, via_relation)| {
                format!(
                    "relation `{relation}` allows `{subject}`, which includes a wildcard by way of \
                     `{via_type}#{via_relation}`: wildcards cannot be included transitively"
                )
            })
        }
    }
}

fn leaf_fault(
    wildcards: &BTreeMap<RelationRef<'_>, RelationRef<'_>>,
    definition: &Definition,
    leaf: &Rewrite,
) -> Option<String> {
    match leaf {
        Rewrite::Computed(name) if !definition.members.contains_key(name) => Some(not_found(&definition.name, name)),
        Rewrite::Arrow { tupleset, .. } => match definition.members.get(tupleset) {
            None => Some(not_found(&definition.name, tupleset)),
            Some(Member::Permission(_)) => {
                Some(format!("permission `{tupleset}` is on the left of an arrow: only a relation can be followed"))
            }
            Some(Member::Relation(_)) => {
                wildcards.get(&(&definition.name, tupleset)).map(|(via_type, via_relation)| {
                    format!(
                        "relation `{tupleset}` is on the left of an arrow and includes a wildcard by way of \
                     `{via_type}#{via_relation}`: a wildcard cannot be followed"
                    )
                })
            }
        },
        Rewrite::Nil
        | Rewrite::Itself
        | Rewrite::Computed(_)
        | Rewrite::Union(_)
        | Rewrite::Intersection(_)
        | Rewrite::Exclusion(..) => None,
    }
}

fn not_found(definition: &TypeName, name: &RelationName) -> String {
    format!("relation/permission `{name}` not found under definition `{definition}`")
}

/// The permission that `name` is only another name for.
fn alias_target<'a>(definition: &'a Definition, name: &RelationName) -> Option<&'a RelationName> {
    match definition.members.get(name)? {
        Member::Relation(_) => None,
        Member::Permission(permission) => match &permission.rewrite {
            Rewrite::Computed(target) => Some(target),
            Rewrite::Nil
            | Rewrite::Itself
            | Rewrite::Arrow { .. }
            | Rewrite::Union(_)
            | Rewrite::Intersection(_)
            | Rewrite::Exclusion(..) => None,
        },
    }
}

/// Each permission has at most one alias target, so a walk ends at a relation or an expression, at ground walked before, or
/// where it has been itself: a circle.
fn alias_circles(definition: &Definition, report: &mut dyn FnMut(Fault)) {
    const SHOWN: usize = 10;
    let mut walked: BTreeSet<&RelationName> = BTreeSet::new();
    for start in definition.members.keys() {
        let mut path: Vec<&RelationName> = Vec::new();
        let mut on_path: BTreeSet<&RelationName> = BTreeSet::new();
        let mut current = start;
        while walked.insert(current) {
            path.push(current);
            on_path.insert(current);
            match alias_target(definition, current) {
                Some(next) => current = next,
                None => break,
            }
        }
        if !on_path.contains(current) || alias_target(definition, current).is_none() {
            continue;
        }
        let circle = path.iter().skip_while(|name| **name != current);
        let mut names = circle.clone().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if circle.count() > SHOWN {
            names.push_str(", …");
        }
        report(Fault {
            definition: definition.name.clone(),
            member: current.clone(),
            part: None,
            message: format!(
                "permissions under definition `{}` only stand for each other, in a cycle: {names}",
                definition.name
            ),
        });
    }
}
