//! The reference evaluator: for every relation and permission of every object, the whole set of its subjects, each with its
//! value in Kleene's three-valued logic.
//!
//! It shares no code and no idea with the engine: sets instead of questions, iteration instead of search, three values
//! instead of two questions. A set says of each subject in it whether it is in it for sure or hangs on conditions; values are
//! ordered (out, open, in), union takes the greater, intersection the lesser, and without exclusion the sets grow from
//! nothing to the least fixpoint. Exclusion is read by the well-founded semantics, computed by the alternating fixpoint (van
//! Gelder, 1989): with an overestimate of what is excluded one gets an underestimate of all sets, and the other way round,
//! until neither moves. Where both then differ, the value is undefined: it would follow from its own opposite. Beside that,
//! [`Reference::stratified`] says whether a node can meet an exclusion in a cycle at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ObjectId, ObjectRef, RelationName, SubjectRef, TupleKey, TypeName};
use crate::schema::{AllowedSubject, ArrowKind, Definition, Member, Permission, Rewrite, Schema};

/// An object and one of its members.
pub(super) type Spot = (ObjectRef, RelationName);

/// Whether a tuple counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It hangs on these parameters; [`FAILED`] is among them where its caveat fails.
    Open(BTreeSet<String>),
}

/// Stands among the names that a value hangs on for a caveat that fails.
pub(super) const FAILED: &str = "!";

/// How surely a subject is in a set; out of it where it is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Open,
    In,
}

type Subjects = BTreeMap<SubjectRef, Value>;
type Sets = BTreeMap<Spot, Subjects>;
type Names = BTreeMap<(Spot, SubjectRef), BTreeSet<String>>;

/// What the reference says of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// It hangs on these names.
    Open(BTreeSet<String>),
    Undefined,
}

/// Every answer over one schema and one set of tuples.
pub(super) struct Reference {
    least: Sets,
    greatest: Sets,
    names: Names,
    unstratified: BTreeSet<Spot>,
}

impl Reference {
    /// Over the objects of `universe`, which holds every object that a tuple or a question names. Tuples that have expired
    /// are not among `tuples`.
    pub(super) fn new(schema: &Schema, tuples: &[(TupleKey, Holds)], universe: &BTreeSet<ObjectRef>) -> Self {
        let schema = &with_named_right_sides(schema);
        let world = World { schema, tuples, universe };
        let mut least = Sets::new();
        loop {
            let greatest = world.grow(&least);
            let next = world.grow(&greatest);
            if next == least {
                let (unstratified, names) = (world.unstratified(), world.names(&least));
                return Self { least, greatest, names, unstratified };
            }
            least = next;
        }
    }

    pub(super) fn truth(&self, spot: &Spot, subject: &SubjectRef) -> Truth {
        match (value(&self.least, spot, subject), value(&self.greatest, spot, subject)) {
            (Some(Value::In), Some(Value::In)) => Truth::True,
            (Some(Value::Open), Some(Value::Open)) => {
                Truth::Open(self.names.get(&(spot.clone(), subject.clone())).cloned().unwrap_or_default())
            }
            (None, None) => Truth::False,
            _ => Truth::Undefined,
        }
    }

    /// Whether no exclusion that `spot` depends on, however remotely, stands in a cycle with its right side.
    pub(super) fn stratified(&self, spot: &Spot) -> bool {
        !self.unstratified.contains(spot)
    }
}

fn value(sets: &Sets, spot: &Spot, subject: &SubjectRef) -> Option<Value> {
    sets.get(spot)?.get(subject).copied()
}

fn unite(into: &mut Subjects, other: Subjects) {
    for (subject, value) in other {
        let held = into.entry(subject).or_insert(value);
        *held = value.max(*held);
    }
}

fn intersect(left: Subjects, right: &Subjects) -> Subjects {
    let both = |(subject, value): (SubjectRef, Value)| right.get(&subject).map(|other| (subject, value.min(*other)));
    left.into_iter().filter_map(both).collect()
}

fn subtract(left: Subjects, right: &Subjects) -> Subjects {
    let rest = |(subject, value): (SubjectRef, Value)| match right.get(&subject) {
        None => Some((subject, value)),
        Some(Value::Open) => Some((subject, Value::Open)),
        Some(Value::In) => None,
    };
    left.into_iter().filter_map(rest).collect()
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
    Schema { definitions, caveats: schema.caveats.clone(), ..Schema::default() }
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
    tuples: &'a [(TupleKey, Holds)],
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
                subjects.insert(SubjectRef { object, relation: Some(name) }, Value::In);
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
        for (subject, holds) in self.admitted(spot) {
            let led = self.led_to(subject, sets);
            unite(&mut subjects, limited(led, holds));
        }
        subjects
    }

    /// Everyone whom a tuple's subject means.
    fn led_to(&self, subject: &SubjectRef, sets: &Sets) -> Subjects {
        if subject.is_wildcard() {
            return self.everyone(&subject.object.object_type);
        }
        let mut subjects = Subjects::from([(subject.clone(), Value::In)]);
        if let Some(relation) = &subject.relation {
            unite(&mut subjects, set(sets, &subject.object, relation));
        }
        subjects
    }

    /// All objects of a type and all of their usersets.
    fn everyone(&self, object_type: &TypeName) -> Subjects {
        let members = &self.schema.definitions[object_type].members;
        let of_type = self.universe.iter().filter(|object| object.object_type == *object_type);
        let subjects = of_type.flat_map(|object| {
            let usersets =
                members.keys().map(|name| SubjectRef { object: object.clone(), relation: Some(name.clone()) });
            usersets.chain([SubjectRef::direct(object.clone())])
        });
        subjects.map(|subject| (subject, Value::In)).collect()
    }

    fn rewrite(&self, object: &ObjectRef, rewrite: &Rewrite, sets: &Sets, excluded: &Sets) -> Subjects {
        match rewrite {
            Rewrite::Nil => Subjects::new(),
            Rewrite::Itself => Subjects::from([(SubjectRef::direct(object.clone()), Value::In)]),
            Rewrite::Computed(name) => set(sets, object, name),
            Rewrite::Arrow { tupleset, target, kind } => {
                let spot = (object.clone(), tupleset.clone());
                let mut each = self.hops(&spot).map(|(to, holds)| limited(set(sets, to, target), holds));
                match kind {
                    ArrowKind::Any => each.fold(Subjects::new(), union),
                    ArrowKind::All => {
                        each.next().map_or_else(Subjects::new, |first| each.fold(first, |a, b| intersect(a, &b)))
                    }
                }
            }
            Rewrite::Union(operands) => {
                operands.iter().map(|it| self.rewrite(object, it, sets, excluded)).fold(Subjects::new(), union)
            }
            Rewrite::Intersection(operands) => {
                let mut each = operands.iter().map(|operand| self.rewrite(object, operand, sets, excluded));
                each.next().map_or_else(Subjects::new, |first| each.fold(first, |a, b| intersect(a, &b)))
            }
            Rewrite::Exclusion(left, right) => {
                let left = self.rewrite(object, left, sets, excluded);
                subtract(left, &self.rewrite(object, right, excluded, excluded))
            }
        }
    }

    /// What each open value hangs on, given all values: the names of a part count where the part is open itself.
    fn names(&self, sets: &Sets) -> Names {
        let mut names = Names::new();
        loop {
            let mut next = Names::new();
            for (spot, member) in self.spots() {
                let open = sets[&spot].iter().filter(|(_, value)| **value == Value::Open);
                for (subject, _) in open {
                    let given = Given { sets, names: &names, subject };
                    let found = match member {
                        Member::Relation(_) => self.names_of_relation(&spot, &given),
                        Member::Permission(permission) => self.names_of_rewrite(&spot.0, &permission.rewrite, &given),
                    };
                    next.insert((spot.clone(), subject.clone()), found);
                }
            }
            if next == names {
                return names;
            }
            names = next;
        }
    }

    fn names_of_relation(&self, spot: &Spot, given: &Given<'_>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (subject, holds) in self.admitted(spot) {
            let led = self.led_to(subject, given.sets).get(given.subject).copied();
            let below = subject.relation.as_ref().map(|relation| (subject.object.clone(), relation.clone()));
            found.extend(given.names_of_tuple(holds, led, below));
        }
        found
    }

    fn names_of_rewrite(&self, object: &ObjectRef, rewrite: &Rewrite, given: &Given<'_>) -> BTreeSet<String> {
        let here = self.rewrite(object, rewrite, given.sets, given.sets).get(given.subject).copied();
        if here != Some(Value::Open) {
            return BTreeSet::new();
        }
        match rewrite {
            Rewrite::Nil | Rewrite::Itself => BTreeSet::new(),
            Rewrite::Computed(name) => given.names_at((object.clone(), name.clone())),
            Rewrite::Arrow { tupleset, target, kind: _ } => {
                let spot = (object.clone(), tupleset.clone());
                let each = self.hops(&spot).map(|(to, holds)| {
                    let below = (to.clone(), target.clone());
                    given.names_of_tuple(holds, value(given.sets, &below, given.subject), Some(below))
                });
                each.flatten().collect()
            }
            Rewrite::Union(operands) | Rewrite::Intersection(operands) => {
                operands.iter().flat_map(|operand| self.names_of_rewrite(object, operand, given)).collect()
            }
            Rewrite::Exclusion(left, right) => {
                let mut found = self.names_of_rewrite(object, left, given);
                found.extend(self.names_of_rewrite(object, right, given));
                found
            }
        }
    }

    /// The subjects of a relation's tuples, as far as the relation admits them.
    fn admitted(&self, (object, relation): &Spot) -> impl Iterator<Item = (&SubjectRef, &Holds)> {
        let member = self.schema.member(object.object_type.as_str(), relation.as_str());
        let here = self.tuples.iter().filter(move |(key, _)| key.resource == *object && key.relation == *relation);
        here.filter_map(move |(key, holds)| match member {
            Some(Member::Relation(relation)) => relation.allows(&kind(&key.subject)).then_some((&key.subject, holds)),
            Some(Member::Permission(_)) | None => None,
        })
    }

    fn hops(&self, spot: &Spot) -> impl Iterator<Item = (&ObjectRef, &Holds)> {
        self.admitted(spot)
            .filter(|(subject, _)| !subject.is_wildcard())
            .map(|(subject, holds)| (&subject.object, holds))
    }

    /// What a member depends on; `true` marks the right side of an exclusion.
    fn dependencies(&self, spot: &Spot, member: &Member) -> Vec<(Spot, bool)> {
        match member {
            Member::Relation(_) => self
                .admitted(spot)
                .filter(|(_, holds)| **holds != Holds::No)
                .filter_map(|(subject, _)| Some(((subject.object.clone(), subject.relation.clone()?), false)))
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
                let followed = self.hops(&spot).filter(|(_, holds)| **holds != Holds::No);
                found.extend(followed.map(|(object, _)| ((object.clone(), target.clone()), negated)));
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

/// One subject's values and names so far.
struct Given<'g> {
    sets: &'g Sets,
    names: &'g Names,
    subject: &'g SubjectRef,
}

impl Given<'_> {
    fn names_at(&self, spot: Spot) -> BTreeSet<String> {
        self.names.get(&(spot, self.subject.clone())).cloned().unwrap_or_default()
    }

    /// Of a tuple that leads to a set in which the subject has the value `led`; `below` says which set.
    fn names_of_tuple(&self, holds: &Holds, led: Option<Value>, below: Option<Spot>) -> BTreeSet<String> {
        let (Some(led), true) = (led, *holds != Holds::No) else { return BTreeSet::new() };
        let mut found = BTreeSet::new();
        if let Holds::Open(names) = holds {
            found.extend(names.iter().cloned());
        }
        if let (Value::Open, Some(below)) = (led, below) {
            found.extend(self.names_at(below));
        }
        found
    }
}

fn limited(subjects: Subjects, holds: &Holds) -> Subjects {
    match holds {
        Holds::Yes => subjects,
        Holds::No => Subjects::new(),
        Holds::Open(_) => subjects.into_keys().map(|subject| (subject, Value::Open)).collect(),
    }
}

fn union(mut left: Subjects, right: Subjects) -> Subjects {
    unite(&mut left, right);
    left
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
