//! Who belongs to a relation or permission, and through which relationships.

use std::collections::BTreeSet;
use std::fmt;

use super::Facts;
use super::tracing::{Holds, Tracing, Who};
use super::walk::named_below;
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

/// All whom relationships name and who belong to `place`, in the order of their names. Caveats are left open.
pub(super) fn members(facts: &Facts, place: &Place) -> Result<Vec<Membership>, Error> {
    let (resource_type, relation) = (Some(place.object.object_type.clone()), Some(place.relation.clone()));
    facts.plan.schema().check_filter(&TupleFilter { resource_type, relation, ..TupleFilter::default() })?;
    let named = named_below(facts, place)?;
    let mut members = Vec::new();
    for subject in &named {
        let who = match subject.is_wildcard() {
            true => Who::Everyone { wildcard: subject.clone(), someone: anyone_else(&named, subject) },
            false => Who::One(subject.clone()),
        };
        let trace = Tracing::new(facts, &who).at(place)?;
        if trace.holds == Holds::No || !trace.named {
            continue;
        }
        let conditional = trace.holds == Holds::Perhaps;
        let excluded = match who {
            Who::Everyone { .. } => excluded(facts, place, &named, subject, conditional)?,
            Who::One(_) => Vec::new(),
        };
        members.push(Membership { subject: subject.clone(), conditional, excluded, places: trace.places });
    }
    Ok(members)
}

/// Someone of the type of `everyone` whom no relationship names: such a subject has exactly what wildcards give.
fn anyone_else(named: &BTreeSet<SubjectRef>, everyone: &SubjectRef) -> SubjectRef {
    let of_id = |number: usize| {
        let object_id = ObjectId::new(&format!("someone_else_{number}")).expect("letters and digits are an id");
        SubjectRef::direct(ObjectRef { object_type: everyone.object.object_type.clone(), object_id })
    };
    let free = (0..=named.len()).map(of_id).find(|subject| !named.contains(subject));
    free.expect("there is one more of these than there are names")
}

/// Those who are named somewhere and do not have what everyone has.
fn excluded(
    facts: &Facts,
    place: &Place,
    named: &BTreeSet<SubjectRef>,
    everyone: &SubjectRef,
    conditional_for_all: bool,
) -> Result<Vec<WithoutSubject>, Error> {
    let object_type = &everyone.object.object_type;
    let mut excluded = Vec::new();
    for subject in named {
        if subject.is_wildcard() || subject.relation.is_some() || subject.object.object_type != *object_type {
            continue;
        }
        let conditional = match facts.decide(place, subject)? {
            Decision::Allowed => continue,
            Decision::Conditional { .. } if conditional_for_all => continue,
            Decision::Conditional { .. } => true,
            Decision::Denied => false,
        };
        excluded.push(WithoutSubject { subject: subject.clone(), conditional });
    }
    Ok(excluded)
}
