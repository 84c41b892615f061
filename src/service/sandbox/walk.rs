//! Every subject that relationships name on the way down from one relation or permission. Whether such a subject belongs to
//! it is not asked here.

use std::collections::{BTreeSet, HashSet};

use super::{Facts, Place};
use crate::model::{Error, ErrorCode, ObjectRef, SubjectRef};
use crate::schema::{Member, Rewrite};

/// Places that one walk may visit.
const MOST_PLACES: usize = 100_000;

/// All subjects named below `start`.
pub(super) fn named_below(facts: &Facts, start: &Place) -> Result<BTreeSet<SubjectRef>, Error> {
    let mut walk = Walk { facts, named: BTreeSet::new(), seen: HashSet::new(), waiting: Vec::new() };
    walk.visit(start.clone());
    while let Some(place) = walk.waiting.pop() {
        walk.member(&place)?;
    }
    Ok(walk.named)
}

struct Walk<'a> {
    facts: &'a Facts,
    named: BTreeSet<SubjectRef>,
    seen: HashSet<Place>,
    waiting: Vec<Place>,
}

impl Walk<'_> {
    fn visit(&mut self, place: Place) {
        if self.seen.insert(place.clone()) {
            self.waiting.push(place);
        }
    }

    fn member(&mut self, place: &Place) -> Result<(), Error> {
        if self.seen.len() > MOST_PLACES {
            let message = format!("more than {MOST_PLACES} relations of objects contribute; ask for less at once");
            return Err(Error::new(ErrorCode::ResourceExhausted, message));
        }
        let facts = self.facts;
        match facts.member(place) {
            // Types on the way that lack it contribute nothing.
            None => Ok(()),
            Some(Member::Relation(_)) => self.relation(place),
            Some(Member::Permission(permission)) => self.rewrite(&place.object, &permission.rewrite),
        }
    }

    fn relation(&mut self, place: &Place) -> Result<(), Error> {
        for subject in self.facts.subjects(place)? {
            if let Some(relation) = &subject.relation {
                self.visit(Place { object: subject.object.clone(), relation: relation.clone() });
            }
            self.named.insert(subject);
        }
        Ok(())
    }

    /// The recursion is as deep as the operators of a permission nest, which reading the schema bounds.
    fn rewrite(&mut self, object: &ObjectRef, rewrite: &Rewrite) -> Result<(), Error> {
        match rewrite {
            Rewrite::Nil => Ok(()),
            Rewrite::Itself => {
                self.named.insert(SubjectRef::direct(object.clone()));
                Ok(())
            }
            Rewrite::Computed(relation) => {
                self.visit(Place { object: object.clone(), relation: relation.clone() });
                Ok(())
            }
            Rewrite::Arrow { tupleset, target, kind: _ } => {
                let through = Place { object: object.clone(), relation: tupleset.clone() };
                for subject in self.facts.subjects(&through)? {
                    self.visit(Place { object: subject.object, relation: target.clone() });
                }
                Ok(())
            }
            Rewrite::Union(operands) | Rewrite::Intersection(operands) => {
                operands.iter().try_for_each(|operand| self.rewrite(object, operand))
            }
            Rewrite::Exclusion(kept, taken_away) => {
                self.rewrite(object, kept)?;
                self.rewrite(object, taken_away)
            }
        }
    }
}
