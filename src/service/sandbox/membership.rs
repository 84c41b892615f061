//! Who belongs to a relation or permission, and through which relationships.

use std::collections::BTreeSet;
use std::fmt;

use super::Facts;
use super::walk::{Named, named_below};
use crate::caveat::Context;
use crate::engine::CheckItem;
use crate::model::{Decision, Error, ObjectId, ObjectRef, RelationName, SubjectRef, TupleFilter};

/// A relation or permission of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Of what.
    pub object: ObjectRef,
    /// Which.
    pub relation: RelationName,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.object, self.relation)
    }
}

/// Someone who belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who: an object, the holders of a relation, or everyone of a type.
    pub subject: SubjectRef,
    /// Whether that hangs on parameters of caveats.
    pub conditional: bool,
    /// Whom "everyone" does not stand for.
    pub excluded: Vec<WithoutSubject>,
    /// The places whose relationships name the subject.
    pub places: BTreeSet<Place>,
}

/// Someone whom "everyone" does not stand for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WithoutSubject {
    /// Who.
    pub subject: SubjectRef,
    /// Whether the exclusion hangs on parameters of caveats.
    pub conditional: bool,
}

/// All who belong to `place`, in the order of their names.
pub(super) fn members(facts: &Facts, place: &Place) -> Result<Vec<Membership>, Error> {
    let (resource_type, relation) = (Some(place.object.object_type.clone()), Some(place.relation.clone()));
    facts.plan.schema().check_filter(&TupleFilter { resource_type, relation, ..TupleFilter::default() })?;
    let named = named_below(facts, place)?;
    let mut members = Vec::new();
    for (subject, places) in &named {
        if places.is_empty() {
            continue;
        }
        let asked = if subject.is_wildcard() { anyone_else(&named, subject) } else { subject.clone() };
        let conditional = match facts.decide(place, asked)? {
            Decision::Denied => continue,
            Decision::Allowed => false,
            Decision::Conditional { .. } => true,
        };
        let excluded = if subject.is_wildcard() { excluded(facts, place, &named, subject)? } else { Vec::new() };
        members.push(Membership { subject: subject.clone(), conditional, excluded, places: places.clone() });
    }
    Ok(members)
}

impl Facts {
    fn decide(&self, place: &Place, subject: SubjectRef) -> Result<Decision, Error> {
        let Place { object, relation } = place.clone();
        self.check(&CheckItem { resource: object, permission: relation, subject, context: Context::new() })
    }
}

/// Someone of the type of `everyone` whom no relationship names: such a subject has exactly what wildcards give.
fn anyone_else(named: &Named, everyone: &SubjectRef) -> SubjectRef {
    let of_id = |number: usize| {
        let object_id = ObjectId::new(&format!("someone_else_{number}")).expect("letters and digits are an id");
        SubjectRef::direct(ObjectRef { object_type: everyone.object.object_type.clone(), object_id })
    };
    // One of them is free, since there are more of them than names.
    (0..=named.len()).map(of_id).find(|subject| !named.contains_key(subject)).unwrap_or_else(|| of_id(named.len()))
}

/// Those who are named somewhere and do not have what everyone has.
fn excluded(facts: &Facts, place: &Place, named: &Named, everyone: &SubjectRef) -> Result<Vec<WithoutSubject>, Error> {
    let general = facts.decide(place, anyone_else(named, everyone))?;
    let same_type = named.keys().filter(|subject| {
        !subject.is_wildcard()
            && subject.relation.is_none()
            && subject.object.object_type == everyone.object.object_type
    });
    let mut excluded = Vec::new();
    for subject in same_type {
        let conditional = match facts.decide(place, subject.clone())? {
            Decision::Allowed => continue,
            Decision::Conditional { .. } if matches!(general, Decision::Conditional { .. }) => continue,
            Decision::Conditional { .. } => true,
            Decision::Denied => false,
        };
        excluded.push(WithoutSubject { subject: subject.clone(), conditional });
    }
    Ok(excluded)
}
