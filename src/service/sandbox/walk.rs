//! Every subject that relationships name on the way down from one relation or permission, and on which relations of which
//! objects. Whether such a subject really belongs to it is not asked here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use super::{Facts, Place};
use crate::model::{Error, ErrorCode, ObjectRef, RelationName, SubjectRef};
use crate::schema::{Member, Rewrite};

/// Places that one walk may visit.
const MOST_PLACES: usize = 100_000;

/// The subjects, each with the places that name it. Those that stand only where something is taken away have no place.
pub(super) type Named = BTreeMap<SubjectRef, BTreeSet<Place>>;

/// All subjects named below `start`.
pub(super) fn named_below(facts: &Facts, start: &Place) -> Result<Named, Error> {
    let mut walk = Walk { facts, named: Named::new(), seen: HashSet::new(), waiting: Vec::new() };
    walk.visit(start.clone(), Side::Given);
    while let Some((place, side)) = walk.waiting.pop() {
        walk.member(&place, side)?;
    }
    Ok(walk.named)
}

/// Whether what is found adds to the whole or is taken away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Given,
    TakenAway,
}

struct Walk<'a> {
    facts: &'a Facts,
    named: Named,
    seen: HashSet<(Place, Side)>,
    waiting: Vec<(Place, Side)>,
}

impl Walk<'_> {
    fn visit(&mut self, place: Place, side: Side) {
        if self.seen.insert((place.clone(), side)) {
            self.waiting.push((place, side));
        }
    }

    fn member(&mut self, place: &Place, side: Side) -> Result<(), Error> {
        if self.seen.len() > MOST_PLACES {
            let message = format!("more than {MOST_PLACES} relations of objects contribute; ask for less at once");
            return Err(Error::new(ErrorCode::ResourceExhausted, message));
        }
        let facts = self.facts;
        let definition = facts.plan.schema().definitions.get(&place.object.object_type);
        match definition.and_then(|definition| definition.members.get(&place.relation)) {
            // Types on the way that lack it contribute nothing.
            None => Ok(()),
            Some(Member::Relation(_)) => self.relation(place, side),
            Some(Member::Permission(permission)) => self.rewrite(&place.object, place, &permission.rewrite, side),
        }
    }

    fn relation(&mut self, place: &Place, side: Side) -> Result<(), Error> {
        for subject in self.subjects(&place.object, &place.relation)? {
            self.name(subject.clone(), place, side);
            if let Some(relation) = subject.relation {
                self.visit(Place { object: subject.object, relation }, side);
            }
        }
        Ok(())
    }

    fn name(&mut self, subject: SubjectRef, place: &Place, side: Side) {
        let places = self.named.entry(subject).or_default();
        if side == Side::Given {
            places.insert(place.clone());
        }
    }

    /// The recursion is as deep as the operators of a permission nest, which reading the schema bounds.
    fn rewrite(&mut self, object: &ObjectRef, place: &Place, rewrite: &Rewrite, side: Side) -> Result<(), Error> {
        match rewrite {
            Rewrite::Nil => Ok(()),
            Rewrite::Itself => {
                self.name(SubjectRef::direct(object.clone()), place, side);
                Ok(())
            }
            Rewrite::Computed(relation) => {
                self.visit(Place { object: object.clone(), relation: relation.clone() }, side);
                Ok(())
            }
            Rewrite::Arrow { tupleset, target, kind: _ } => {
                for subject in self.subjects(object, tupleset)? {
                    self.visit(Place { object: subject.object, relation: target.clone() }, side);
                }
                Ok(())
            }
            Rewrite::Union(operands) | Rewrite::Intersection(operands) => {
                operands.iter().try_for_each(|operand| self.rewrite(object, place, operand, side))
            }
            Rewrite::Exclusion(kept, taken_away) => {
                self.rewrite(object, place, kept, side)?;
                self.rewrite(object, place, taken_away, Side::TakenAway)
            }
        }
    }

    /// Those of the relationships that have not expired.
    fn subjects(&self, object: &ObjectRef, relation: &RelationName) -> Result<Vec<SubjectRef>, Error> {
        let mut found = Vec::new();
        self.facts.view.subjects(object, relation, &mut |row| {
            if !row.qualifiers.expired(self.facts.now) {
                found.push(SubjectRef::new(row.subject_type, row.subject_id, row.subject_relation.unwrap_or_default()));
            }
            ControlFlow::Continue(())
        })?;
        let broken = |error| Error::new(ErrorCode::Internal, format!("a stored name: {error}"));
        found.into_iter().collect::<Result<_, _>>().map_err(broken)
    }
}
