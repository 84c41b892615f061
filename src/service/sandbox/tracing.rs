//! Through which relationships one subject belongs to a relation or permission: the branches of the permission in which it
//! takes part, down to the relations whose tuples name it.
//!
//! Whether it belongs to a relation or permission is decided by the engine, as for any check. Only the operators between two
//! of them are looked at here, to tell the branches that count from those that do not.

use std::collections::{BTreeSet, HashMap};

use super::{Facts, Place};
use crate::model::{Decision, Error, ObjectRef, SubjectRef};
use crate::schema::{ArrowKind, Member, Rewrite};

/// Whom is asked about.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// This one.
    One(SubjectRef),
    /// Everyone of a type; `someone` is one of them whom no tuple names.
    Everyone { wildcard: SubjectRef, someone: SubjectRef },
}

impl Who {
    fn asked(&self) -> &SubjectRef {
        match self {
            Self::One(subject) => subject,
            Self::Everyone { wildcard: _, someone } => someone,
        }
    }

    fn named(&self) -> &SubjectRef {
        match self {
            Self::One(subject) => subject,
            Self::Everyone { wildcard, someone: _ } => wildcard,
        }
    }
}

/// Whether it holds; under conditions is between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    No,
    Perhaps,
    Yes,
}

/// What is known of the subject in one branch.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) holds: Holds,
    /// Whether tuples name the subject. Else, if it holds, a wildcard stands for it.
    pub(super) named: bool,
    pub(super) places: BTreeSet<Place>,
    /// Where the subject does not hold although everyone else does: the places that take it out by name. Where all of this is
    /// taken away from something, it is these that leave the subject in.
    spared: BTreeSet<Place>,
}

impl Trace {
    fn nothing(holds: Holds) -> Self {
        Self { holds, named: false, places: BTreeSet::new(), spared: BTreeSet::new() }
    }

    fn here(place: &Place, named: bool) -> Self {
        Self { named, places: BTreeSet::from([place.clone()]), ..Self::nothing(Holds::Yes) }
    }

    /// Several branches that come to `holds`. Those count in which the subject is; by name before by a wildcard.
    fn join(holds: Holds, branches: Vec<Self>) -> Self {
        let mut joined = Self::nothing(holds);
        joined.named = branches.iter().any(|branch| branch.holds > Holds::No && branch.named);
        for branch in branches {
            if holds == Holds::No {
                joined.spared.extend(branch.spared);
            } else if branch.holds > Holds::No && branch.named == joined.named {
                joined.places.extend(branch.places);
            }
        }
        joined
    }

    /// Branches of which one suffices.
    fn any_of(branches: Vec<Self>) -> Self {
        Self::join(branches.iter().map(|branch| branch.holds).max().unwrap_or(Holds::No), branches)
    }

    /// Branches that must all hold.
    fn all_of(branches: Vec<Self>) -> Self {
        Self::join(branches.iter().map(|branch| branch.holds).min().unwrap_or(Holds::No), branches)
    }

    fn except(self, taken_away: Self) -> Self {
        match taken_away.holds {
            // It is in what everyone has, and left there by name.
            Holds::No if self.holds > Holds::No && !self.named && !taken_away.spared.is_empty() => {
                Self { named: true, places: taken_away.spared, ..self }
            }
            Holds::No => self,
            Holds::Perhaps if taken_away.named => {
                let mut left = Self { holds: self.holds.min(Holds::Perhaps), ..self };
                left.places.extend(taken_away.places);
                left
            }
            Holds::Perhaps => Self { holds: self.holds.min(Holds::Perhaps), ..self },
            Holds::Yes if self.holds > Holds::No && !self.named && taken_away.named => {
                Self { spared: taken_away.places, ..Self::nothing(Holds::No) }
            }
            Holds::Yes => Self::nothing(Holds::No),
        }
    }
}

/// Follows one subject.
pub(super) struct Tracing<'a> {
    facts: &'a Facts,
    who: &'a Who,
    /// What is known of a place; one that is just being followed contributes nothing more.
    known: HashMap<Place, Trace>,
}

impl<'a> Tracing<'a> {
    pub(super) fn new(facts: &'a Facts, who: &'a Who) -> Self {
        Self { facts, who, known: HashMap::new() }
    }

    /// What is known of the subject at `place`.
    ///
    /// The recursion is as deep as the places are far apart; the stack of an evaluation is made for that.
    pub(super) fn at(&mut self, place: &Place) -> Result<Trace, Error> {
        if let Some(known) = self.known.get(place) {
            return Ok(known.clone());
        }
        let facts = self.facts;
        let Some(member) = facts.member(place) else { return Ok(Trace::nothing(Holds::No)) };
        let holds = match facts.decide(place, self.who.asked())? {
            Decision::Denied => Holds::No,
            Decision::Conditional { .. } => Holds::Perhaps,
            Decision::Allowed => Holds::Yes,
        };
        self.known.insert(place.clone(), Trace::nothing(holds));
        let found = match member {
            Member::Relation(_) => self.relation(place)?,
            Member::Permission(permission) => self.rewrite(place, &permission.rewrite)?,
        };
        let found = Trace { holds, ..found };
        self.known.insert(place.clone(), found.clone());
        Ok(found)
    }

    fn relation(&mut self, place: &Place) -> Result<Trace, Error> {
        let mut branches = Vec::new();
        for subject in self.facts.subjects(place)? {
            if subject == *self.who.named() {
                branches.push(Trace::here(place, true));
            } else if let Some(relation) = subject.relation {
                branches.push(self.at(&Place { object: subject.object, relation })?);
            } else if subject.is_wildcard() && self.is_object_of_type(&subject.object) {
                branches.push(Trace::here(place, false));
            }
        }
        Ok(Trace::any_of(branches))
    }

    fn is_object_of_type(&self, wildcard: &ObjectRef) -> bool {
        let named = self.who.named();
        named.relation.is_none() && named.object.object_type == wildcard.object_type
    }

    fn rewrite(&mut self, place: &Place, rewrite: &Rewrite) -> Result<Trace, Error> {
        match rewrite {
            Rewrite::Nil => Ok(Trace::nothing(Holds::No)),
            Rewrite::Itself if *self.who.named() == SubjectRef::direct(place.object.clone()) => {
                Ok(Trace::here(place, true))
            }
            Rewrite::Itself => Ok(Trace::nothing(Holds::No)),
            Rewrite::Computed(relation) => self.at(&Place { object: place.object.clone(), relation: relation.clone() }),
            Rewrite::Arrow { tupleset, target, kind } => {
                let through = Place { object: place.object.clone(), relation: tupleset.clone() };
                let subjects = self.facts.subjects(&through)?;
                let targets = subjects.into_iter().map(|s| Place { object: s.object, relation: target.clone() });
                let branches = targets.map(|target| self.at(&target)).collect::<Result<Vec<_>, _>>()?;
                Ok(match kind {
                    ArrowKind::Any => Trace::any_of(branches),
                    ArrowKind::All => Trace::all_of(branches),
                })
            }
            Rewrite::Union(operands) => Ok(Trace::any_of(self.rewrites(place, operands)?)),
            Rewrite::Intersection(operands) => Ok(Trace::all_of(self.rewrites(place, operands)?)),
            Rewrite::Exclusion(kept, taken_away) => {
                Ok(self.rewrite(place, kept)?.except(self.rewrite(place, taken_away)?))
            }
        }
    }

    fn rewrites(&mut self, place: &Place, operands: &[Rewrite]) -> Result<Vec<Trace>, Error> {
        operands.iter().map(|operand| self.rewrite(place, operand)).collect()
    }
}
