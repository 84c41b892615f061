//! The reference evaluator: for every relation and permission of every object, the whole set of its subjects.
//!
//! It shares no code and no idea with the engine: sets instead of questions, iteration instead of search. Without exclusion
//! the sets grow from nothing to the least fixpoint. Exclusion is read by the well-founded semantics, computed by the
//! alternating fixpoint (van Gelder, 1989): with an overestimate of what is excluded one gets an underestimate of all sets,
//! and the other way round, until neither moves. What is in the overestimate only is undefined: its truth would follow from
//! its own falsehood. Beside that, [`Reference::stratified`] says whether a node can meet an exclusion in a cycle at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ObjectId, ObjectRef, RelationName, SubjectRef, TupleKey, TypeName};
use crate::schema::{AllowedSubject, ArrowKind, Definition, Member, Permission, Rewrite, Schema};

/// An object and one of its members.
pub(super) type Spot = (ObjectRef, RelationName);

type Subjects = BTreeSet<SubjectRef>;
type Sets = BTreeMap<Spot, Subjects>;

/// What the reference says of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Undefined,
}

/// Every answer over one schema and one set of tuples.
pub(super) struct Reference {
    certain: Sets,
    possible: Sets,
    unstratified: BTreeSet<Spot>,
}

impl Reference {
    /// Over the objects of `universe`, which holds every object that a tuple or a question names.
    pub(super) fn new(schema: &Schema, tuples: &[TupleKey], universe: &BTreeSet<ObjectRef>) -> Self {
        let schema = &with_named_right_sides(schema);
        let world = World { schema, tuples, universe };
        let mut certain = Sets::new();
        loop {
            let possible = world.grow(&certain);
            let next = world.grow(&possible);
            if next == certain {
                let unstratified = world.unstratified();
                return Self { certain, possible, unstratified };
            }
            certain = next;
        }
    }

    pub(super) fn truth(&self, spot: &Spot, subject: &SubjectRef) -> Truth {
        let within = |sets: &Sets| sets.get(spot).is_some_and(|subjects| subjects.contains(subject));
        match (within(&self.certain), within(&self.possible)) {
            (true, _) => Truth::True,
            (false, true) => Truth::Undefined,
            (false, false) => Truth::False,
        }
    }

    /// Whether no exclusion that `spot` depends on, however remotely, stands in a cycle with its right side.
    pub(super) fn stratified(&self, spot: &Spot) -> bool {
        !self.unstratified.contains(spot)
    }
}

/// Gives the right side of every exclusion a permission of its own, so that negation applies to names only.
fn with_named_right_sides(schema: &Schema) -> Schema {
    let mut definitions = BTreeMap::new();
    for (name, definition) in &schema.definitions {
        let mut members = definition.members.clone();
        let mut fresh = BTreeMap::new();
        for member in members.values_mut() {
            if let Member::Permission(permission) = member {
                permission.rewrite = name_right_sides(&permission.rewrite, &mut fresh);
            }
        }
        members.extend(fresh);
        definitions.insert(name.clone(), Definition { name: name.clone(), members });
    }
    Schema { definitions, ..Schema::default() }
}

fn name_right_sides(rewrite: &Rewrite, fresh: &mut BTreeMap<RelationName, Member>) -> Rewrite {
    let mut each = |operands: &[Rewrite]| operands.iter().map(|operand| name_right_sides(operand, fresh)).collect();
    match rewrite {
        Rewrite::Nil | Rewrite::Itself | Rewrite::Computed(_) | Rewrite::Arrow { .. } => rewrite.clone(),
        Rewrite::Union(operands) => Rewrite::Union(each(operands)),
        Rewrite::Intersection(operands) => Rewrite::Intersection(each(operands)),
        Rewrite::Exclusion(left, right) => {
            let left = name_right_sides(left, fresh);
            let right = name_right_sides(right, fresh);
            let name = RelationName::new(&format!("right_side{}", fresh.len())).unwrap();
            fresh.insert(name.clone(), Member::Permission(Permission { rewrite: right }));
            Rewrite::Exclusion(Box::new(left), Box::new(Rewrite::Computed(name)))
        }
    }
}

struct World<'a> {
    schema: &'a Schema,
    tuples: &'a [TupleKey],
    universe: &'a BTreeSet<ObjectRef>,
}

impl World<'_> {
    fn spots(&self) -> impl Iterator<Item = (Spot, &Member)> {
        self.universe.iter().flat_map(|object| {
            let members = self.schema.definitions.get(&object.object_type).into_iter().flat_map(|d| &d.members);
            members.map(|(name, member)| ((object.clone(), name.clone()), member))
        })
    }

    /// The least sets, where what `excluded` holds is excluded.
    fn grow(&self, excluded: &Sets) -> Sets {
        let mut sets = Sets::new();
        loop {
            let mut next = Sets::new();
            for (spot, member) in self.spots() {
                let mut subjects = match member {
                    Member::Relation(_) => self.relation(&spot, &sets),
                    Member::Permission(permission) => self.rewrite(&spot.0, &permission.rewrite, &sets, excluded),
                };
                let (object, name) = spot.clone();
                subjects.insert(SubjectRef { object, relation: Some(name) });
                next.insert(spot, subjects);
            }
            if next == sets {
                return sets;
            }
            sets = next;
        }
    }

    fn relation(&self, spot: &Spot, sets: &Sets) -> Subjects {
        let mut subjects = Subjects::new();
        for subject in self.admitted(spot) {
            if subject.is_wildcard() {
                let of_type = self.universe.iter().filter(|o| o.object_type == subject.object.object_type);
                subjects.extend(of_type.cloned().map(SubjectRef::direct));
            } else {
                subjects.insert(subject.clone());
            }
            if let Some(relation) = &subject.relation {
                subjects.extend(set(sets, &subject.object, relation));
            }
        }
        subjects
    }

    fn rewrite(&self, object: &ObjectRef, rewrite: &Rewrite, sets: &Sets, excluded: &Sets) -> Subjects {
        match rewrite {
            Rewrite::Nil => Subjects::new(),
            Rewrite::Itself => Subjects::from([SubjectRef::direct(object.clone())]),
            Rewrite::Computed(name) => set(sets, object, name),
            Rewrite::Arrow { tupleset, target, kind } => {
                let mut each = self
                    .objects_of(&(object.clone(), tupleset.clone()))
                    .map(|object| set(sets, &object, target))
                    .collect::<Vec<_>>()
                    .into_iter();
                match kind {
                    ArrowKind::Any => each.flatten().collect(),
                    ArrowKind::All => each.next().map_or_else(Subjects::new, |first| each.fold(first, |a, b| &a & &b)),
                }
            }
            Rewrite::Union(operands) => {
                operands.iter().flat_map(|operand| self.rewrite(object, operand, sets, excluded)).collect()
            }
            Rewrite::Intersection(operands) => {
                let mut each = operands.iter().map(|operand| self.rewrite(object, operand, sets, excluded));
                each.next().map_or_else(Subjects::new, |first| each.fold(first, |a, b| &a & &b))
            }
            Rewrite::Exclusion(left, right) => {
                let left = self.rewrite(object, left, sets, excluded);
                &left - &self.rewrite(object, right, excluded, excluded)
            }
        }
    }

    /// The subjects of a relation's tuples, as far as the relation admits them.
    fn admitted(&self, (object, relation): &Spot) -> impl Iterator<Item = &SubjectRef> {
        let member = self.schema.member(object.object_type.as_str(), relation.as_str());
        self.tuples.iter().filter(move |key| key.resource == *object && key.relation == *relation).filter_map(
            move |key| match member {
                Some(Member::Relation(relation)) => relation.allows(&kind(&key.subject)).then_some(&key.subject),
                Some(Member::Permission(_)) | None => None,
            },
        )
    }

    fn objects_of(&self, spot: &Spot) -> impl Iterator<Item = ObjectRef> {
        self.admitted(spot).filter(|subject| !subject.is_wildcard()).map(|subject| subject.object.clone())
    }

    /// What a member depends on; `true` marks the right side of an exclusion.
    fn dependencies(&self, spot: &Spot, member: &Member) -> Vec<(Spot, bool)> {
        match member {
            Member::Relation(_) => self
                .admitted(spot)
                .filter_map(|subject| Some(((subject.object.clone(), subject.relation.clone()?), false)))
                .collect(),
            Member::Permission(permission) => {
                let mut found = Vec::new();
                self.mentioned(&spot.0, &permission.rewrite, false, &mut found);
                found
            }
        }
    }

    fn mentioned(&self, object: &ObjectRef, rewrite: &Rewrite, negated: bool, found: &mut Vec<(Spot, bool)>) {
        match rewrite {
            Rewrite::Nil | Rewrite::Itself => {}
            Rewrite::Computed(name) => found.push(((object.clone(), name.clone()), negated)),
            Rewrite::Arrow { tupleset, target, kind: _ } => {
                let spot = (object.clone(), tupleset.clone());
                let objects = self.objects_of(&spot);
                found.extend(objects.map(|object| ((object, target.clone()), negated)));
            }
            Rewrite::Union(operands) | Rewrite::Intersection(operands) => {
                operands.iter().for_each(|operand| self.mentioned(object, operand, negated, found));
            }
            Rewrite::Exclusion(left, right) => {
                self.mentioned(object, left, negated, found);
                self.mentioned(object, right, true, found);
            }
        }
    }

    /// Every spot from which an exclusion in a cycle with its right side can be reached.
    fn unstratified(&self) -> BTreeSet<Spot> {
        let edges: BTreeMap<Spot, Vec<(Spot, bool)>> =
            self.spots().map(|(spot, member)| (spot.clone(), self.dependencies(&spot, member))).collect();
        let reached: BTreeMap<&Spot, BTreeSet<&Spot>> =
            edges.keys().map(|spot| (spot, reachable(&edges, spot))).collect();
        let guilty: BTreeSet<&Spot> = edges
            .iter()
            .filter(|(spot, out)| {
                out.iter().any(|(to, negated)| {
                    *negated && (to == *spot || reached.get(to).is_some_and(|back| back.contains(spot)))
                })
            })
            .map(|(spot, _)| spot)
            .collect();
        let tainted = |spot: &Spot| guilty.contains(spot) || reached[spot].iter().any(|to| guilty.contains(to));
        edges.keys().filter(|spot| tainted(spot)).cloned().collect()
    }
}

fn reachable<'a>(edges: &'a BTreeMap<Spot, Vec<(Spot, bool)>>, from: &Spot) -> BTreeSet<&'a Spot> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&Spot> = edges.get(from).into_iter().flatten().map(|(to, _)| to).collect();
    while let Some(spot) = queue.pop() {
        if seen.insert(spot) {
            queue.extend(edges.get(spot).into_iter().flatten().map(|(to, _)| to));
        }
    }
    seen
}

fn set(sets: &Sets, object: &ObjectRef, member: &RelationName) -> Subjects {
    sets.get(&(object.clone(), member.clone())).cloned().unwrap_or_default()
}

fn kind(subject: &SubjectRef) -> AllowedSubject {
    let object_type: TypeName = subject.object.object_type.clone();
    match &subject.relation {
        Some(relation) => AllowedSubject::Userset(object_type, relation.clone()),
        None if subject.object.object_id.as_str() == ObjectId::WILDCARD => AllowedSubject::Wildcard(object_type),
        None => AllowedSubject::Direct(object_type),
    }
}
