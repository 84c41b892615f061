//! What must hold in a schema, whichever language it was written in.
//!
//! The rules are those of SpiceDB when a schema is written:
//! - every type and every relation that is referred to exists; what an arrow leads to is the exception, since types on the
//!   way that lack the target contribute nothing;
//! - a relation allows at least one kind of subject, and none twice with the same caveat and expiration; the caveats that it
//!   names exist;
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
    /// The piece of text to blame, as a program would show it.
    pub(super) source_code: String,
    /// The names that the message speaks of.
    pub(super) details: Details,
}

/// Names for programs.
type Details = Vec<(&'static str, String)>;

/// What is wrong with a part, before it is known which.
struct Finding {
    message: String,
    source_code: String,
    details: Details,
}

impl Finding {
    fn new(message: String, source_code: impl ToString, details: Details) -> Self {
        Self { message, source_code: source_code.to_string(), details }
    }
}

/// Tells `report` of every broken rule. Nothing is collected: a hostile text can break a rule with every few bytes.
pub(super) fn find_faults(schema: &Schema, report: &mut dyn FnMut(Fault)) {
    let wildcards = wildcard_reach(schema);
    let mut arrow_targets = 0;
    for definition in schema.definitions.values() {
        for (name, member) in &definition.members {
            let mut report_part = |part: Option<usize>, Finding { message, source_code, details }: Finding| {
                let (definition, member) = (definition.name.clone(), name.clone());
                report(Fault { definition, member, part, message, source_code, details });
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
                            report_part(Some(index), Finding::new(message, "", Vec::new()));
                        }
                        if let Some(finding) = leaf_fault(&wildcards, definition, name, leaf) {
                            report_part(Some(index), finding);
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
    report: &mut dyn FnMut(Option<usize>, Finding),
) {
    let about = |name: &str| vec![("definition_name", definition.name.to_string()), ("relation_name", name.to_owned())];
    if relation.allowed.is_empty() {
        let message = format!("relation `{name}` must allow at least one type of subject");
        report(None, Finding::new(message, name, about(name.as_str())));
    }
    let mut seen = BTreeSet::new();
    for (index, allowed) in relation.allowed.iter().enumerate() {
        if !seen.insert(allowed) {
            let message = format!(
                "subject type `{allowed}` is allowed twice on relation `{name}` under definition `{}`",
                definition.name
            );
            let mut details = about(name.as_str());
            details.push(("allowed_relation", allowed.to_string()));
            report(Some(index), Finding::new(message, allowed, details));
        }
        if let Some(finding) = subject_fault(schema, wildcards, definition, name, &allowed.subject) {
            report(Some(index), finding);
        }
        if let Some(caveat) = allowed.caveat.as_ref().filter(|caveat| !schema.caveats.contains_key(*caveat)) {
            let message = format!("caveat `{caveat}` not found: relation `{name}` allows `{allowed}`");
            report(Some(index), Finding::new(message, allowed, vec![("caveat_name", caveat.to_string())]));
        }
    }
}

fn subject_fault(
    schema: &Schema,
    wildcards: &BTreeMap<RelationRef<'_>, RelationRef<'_>>,
    definition: &Definition,
    relation: &RelationName,
    subject: &AllowedSubject,
) -> Option<Finding> {
    let subject_type = subject.subject_type();
    let Some(target) = schema.definitions.get(subject_type) else {
        let message =
            format!("object definition `{subject_type}` not found: relation `{relation}` allows it as a subject");
        return Some(Finding::new(message, subject_type, vec![("definition_name", subject_type.to_string())]));
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
            let (via_type, via_relation) = wildcards.get(&(t, r))?;
            let message = format!(
                "relation `{relation}` allows `{subject}`, which includes a wildcard by way of `{via_type}#{via_relation}`: \
                 wildcards cannot be included transitively"
            );
            let details =
                vec![("definition_name", definition.name.to_string()), ("relation_name", relation.to_string())];
            Some(Finding::new(message, subject, details))
        }
    }
}

fn leaf_fault(
    wildcards: &BTreeMap<RelationRef<'_>, RelationRef<'_>>,
    definition: &Definition,
    permission: &RelationName,
    leaf: &Rewrite,
) -> Option<Finding> {
    let about = |name, value: &RelationName| {
        let (definition, permission) = (definition.name.to_string(), permission.to_string());
        vec![("definition_name", definition), ("permission_name", permission), (name, value.to_string())]
    };
    match leaf {
        Rewrite::Computed(name) if !definition.members.contains_key(name) => Some(not_found(&definition.name, name)),
        Rewrite::Arrow { tupleset, .. } => match definition.members.get(tupleset) {
            None => Some(not_found(&definition.name, tupleset)),
            Some(Member::Permission(_)) => {
                let message =
                    format!("permission `{tupleset}` is on the left of an arrow: only a relation can be followed");
                Some(Finding::new(message, tupleset, about("used_permission_name", tupleset)))
            }
            Some(Member::Relation(_)) => {
                let (via_type, via_relation) = wildcards.get(&(&definition.name, tupleset))?;
                let message = format!(
                    "relation `{tupleset}` is on the left of an arrow and includes a wildcard by way of \
                     `{via_type}#{via_relation}`: a wildcard cannot be followed"
                );
                Some(Finding::new(message, tupleset, about("accessed_relation_name", tupleset)))
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

fn not_found(definition: &TypeName, name: &RelationName) -> Finding {
    Finding::new(
        format!("relation/permission `{name}` not found under definition `{definition}`"),
        name,
        vec![("definition_name", definition.to_string()), ("relation_or_permission_name", name.to_string())],
    )
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
        let details = vec![
            ("definition_name", definition.name.to_string()),
            ("permission_names", circle.clone().take(SHOWN).map(|name| name.as_str()).collect::<Vec<_>>().join(",")),
        ];
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
            source_code: current.to_string(),
            details,
        });
    }
}
