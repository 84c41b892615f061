//! Annotations of permissions: which types of subject a permission says that it can end at, and which of those that it really
//! can end at it leaves out.
//!
//! What it can end at is found without looking at data: every type that an object, or everybody of a type, can be a subject of
//! by way of relations, permissions and arrows. As in SpiceDB, `self` adds nothing, and operators do not matter: what is
//! excluded counts like what is included.

use std::collections::{BTreeMap, BTreeSet};

use super::validate::Fault;
use super::{AllowedSubject, Member, Relation, Rewrite, Schema};
use crate::model::{RelationName, TypeName, limits};

/// The types that permissions are annotated with, as written: they need not exist.
pub(super) type Annotations = BTreeMap<(TypeName, RelationName), Vec<String>>;

/// Tells `report` of each annotation that leaves out a type, with the first that it leaves out.
pub(super) fn incomplete_annotations(schema: &Schema, annotations: &Annotations, report: &mut dyn FnMut(Fault)) {
    let mut steps = limits::TYPE_CHECK_STEPS;
    for ((definition, member), types) in annotations {
        let fault = |message: String| Fault {
            definition: definition.clone(),
            member: member.clone(),
            part: None,
            message,
            source_code: member.to_string(),
            details: Vec::new(),
        };
        match left_out(schema, (definition, member), types, &mut steps) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let listed = types.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" | ");
                report(fault(format!(
                    "permission `{member}` of definition `{definition}` can end at `{found}`, which its annotation {listed} \
                     leaves out"
                )));
            }
            Err(TooManySteps) => {
                let message = "the annotations of this schema take too long to check; annotate fewer permissions";
                report(fault(message.to_owned()));
                return;
            }
        }
    }
}

struct TooManySteps;

type Node<'a> = (&'a TypeName, &'a RelationName);

/// The first type by name at which `start` can end and that `types` does not have.
fn left_out<'a>(
    schema: &'a Schema,
    start: Node<'a>,
    types: &[String],
    steps: &mut usize,
) -> Result<Option<&'a TypeName>, TooManySteps> {
    let known: BTreeSet<&str> = types.iter().map(String::as_str).collect();
    let mut first: Option<&TypeName> = None;
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some((definition, name)) = open.pop() {
        // A name that is not there contributes nothing, or is reported by the rules that every schema must keep.
        let Some(found) = schema.definitions.get(definition) else { continue };
        let mut next: Vec<Node<'_>> = Vec::new();
        match found.members.get(name) {
            None => continue,
            Some(Member::Relation(relation)) => {
                for allowed in &relation.allowed {
                    match &allowed.subject {
                        AllowedSubject::Direct(end) | AllowedSubject::Wildcard(end) => {
                            if !known.contains(end.as_str()) && first.is_none_or(|earlier| end < earlier) {
                                first = Some(end);
                            }
                        }
                        AllowedSubject::Userset(t, r) => next.push((t, r)),
                    }
                }
                *steps = steps.checked_sub(relation.allowed.len()).ok_or(TooManySteps)?;
            }
            Some(Member::Permission(permission)) => {
                for leaf in permission.rewrite.leaves() {
                    match leaf {
                        Rewrite::Computed(name) => next.push((&found.name, name)),
                        Rewrite::Arrow { tupleset, target, .. } => {
                            if let Some(Member::Relation(Relation { allowed })) = found.members.get(tupleset) {
                                next.extend(allowed.iter().map(|allowed| (allowed.subject.subject_type(), target)));
                            }
                        }
                        Rewrite::Nil
                        | Rewrite::Itself
                        | Rewrite::Union(_)
                        | Rewrite::Intersection(_)
                        | Rewrite::Exclusion(..) => {}
                    }
                }
            }
        }
        *steps = steps.checked_sub(1 + next.len()).ok_or(TooManySteps)?;
        open.extend(next.into_iter().filter(|node| seen.insert(*node)));
    }
    Ok(first)
}
