//! The data that is measured on: a set of relationships of a given size in which the answer to every question is known by
//! arithmetic, without a search. It is the same for the same size and seed, wherever it is made.
//!
//! It consists of parts that share no object, one for each kind of question; what the others leave of the size is the flat
//! part's. So one loaded world serves every workload.

mod algebra;
mod chains;
mod fan_out;
mod flat;
mod lists;
mod question;
mod relationships;

pub(super) use chains::DEEPEST;
pub(super) use fan_out::Shape;
pub(super) use flat::{Pick, Picker};
pub(super) use lists::{LIST_SIZES, List};
pub(super) use question::Question;
pub(super) use relationships::edge;

use algebra::Algebra;
use chains::{Chains, Link};
use fan_out::FanOut;
use flat::Flat;
use lists::Lists;

use crate::wire::authzed::v1::Relationship;

/// Fewest relationships that have room for every part.
pub(super) const SMALLEST: u64 = 1000;

/// The schema of the world.
pub(super) const SCHEMA: &str = include_str!("../schema.zed");

/// All parts of a world.
#[derive(Debug, Clone)]
pub(super) struct World {
    seed: u64,
    pub(super) flat: Flat,
    pub(super) nested: Chains,
    pub(super) arrows: Chains,
    pub(super) fan_out: FanOut,
    pub(super) algebra: Algebra,
    pub(super) lists: Lists,
}

impl World {
    /// A world of about `tuples` relationships, at least [`SMALLEST`].
    pub(super) fn new(tuples: u64, seed: u64) -> Self {
        let tuples = tuples.max(SMALLEST);
        let nested = Chains::new(Link::Groups, tuples);
        let arrows = Chains::new(Link::Parents, tuples);
        let fan_out = FanOut::new(tuples);
        let algebra = Algebra::new(tuples);
        let lists = Lists::new(tuples);
        let others = nested.size() + arrows.size() + fan_out.size() + algebra.size() + lists.size() + 1;
        let flat = Flat::new(tuples.saturating_sub(others), seed);
        Self { seed, flat, nested, arrows, fan_out, algebra, lists }
    }

    /// How many relationships it has.
    pub(super) fn size(&self) -> u64 {
        self.flat.size()
            + self.nested.size()
            + self.arrows.size()
            + self.fan_out.size()
            + self.algebra.size()
            + self.lists.size()
            + 1
    }

    /// All relationships but the last one, which is [`World::mark`].
    pub(super) fn relationships(&self) -> impl Iterator<Item = Relationship> + Send + use<> {
        let parts: [Box<dyn Iterator<Item = Relationship> + Send>; 6] = [
            Box::new(self.flat.clone().relationships()),
            Box::new(self.nested.relationships()),
            Box::new(self.arrows.relationships()),
            Box::new(self.fan_out.relationships()),
            Box::new(self.algebra.relationships()),
            Box::new(self.lists.clone().relationships()),
        ];
        parts.into_iter().flatten()
    }

    /// Written when all others are in: where it is, the world is whole.
    pub(super) fn mark(&self) -> Relationship {
        edge("doc", format!("loaded-{}-{}", self.size(), self.seed), "viewer", "user", "loader".to_owned(), "")
    }

    /// Whether the mark is there, as a check.
    pub(super) fn mark_question(&self) -> Question {
        Question::new(format!("loaded-{}-{}", self.size(), self.seed), "view", "loader", true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::wire::authzed::v1::ObjectReference;

    /// The relationship as people write it.
    fn text(edge: &Relationship) -> String {
        let object = |object: Option<&ObjectReference>| {
            object.map(|object| format!("{}:{}", object.object_type, object.object_id)).unwrap_or_default()
        };
        let subject = edge.subject.clone().unwrap_or_default();
        let of = if subject.optional_relation.is_empty() { "" } else { "#" };
        let (resource, user) = (object(edge.resource.as_ref()), object(subject.object.as_ref()));
        format!("{resource}#{}@{user}{of}{}", edge.relation, subject.optional_relation)
    }

    #[test]
    fn a_world_has_its_size_and_no_relationship_twice() {
        for tuples in [1000, 5000, 120_000] {
            let world = World::new(tuples, 7);
            let all: HashSet<String> = world.relationships().map(|edge| text(&edge)).collect();
            assert_eq!(all.len() as u64 + 1, world.size(), "{tuples}");
            let size = world.size();
            assert!(size.abs_diff(tuples) < 10, "{size} for {tuples}");
        }
    }

    /// The sets that `relation` of `object` names: users, and for `set`, who belongs to it.
    struct Naive {
        edges: HashMap<String, Vec<(String, String)>>,
    }

    impl Naive {
        fn new(world: &World) -> Self {
            let mut edges: HashMap<String, Vec<(String, String)>> = HashMap::new();
            for edge in world.relationships() {
                let (resource, subject) = (edge.resource.unwrap(), edge.subject.unwrap());
                let object = subject.object.unwrap();
                let left = format!("{}:{}#{}", resource.object_type, resource.object_id, edge.relation);
                let right = format!("{}:{}", object.object_type, object.object_id);
                edges.entry(left).or_default().push((right, subject.optional_relation));
            }
            Self { edges }
        }

        fn of(&self, object: &str, relation: &str) -> &[(String, String)] {
            self.edges.get(&format!("{object}#{relation}")).map_or(&[], Vec::as_slice)
        }

        fn holds(&self, object: &str, name: &str, user: &str) -> bool {
            let relation = |name: &str| {
                self.of(object, name).iter().any(|(subject, relation)| {
                    if relation.is_empty() { subject == user } else { self.holds(subject, relation, user) }
                })
            };
            let arrow = |left: &str, right: &str| {
                self.of(object, left).iter().any(|(target, _)| self.holds(target, right, user))
            };
            match (object.split(':').next().unwrap(), name) {
                ("doc", "view") => relation("viewer") || relation("editor") || arrow("parent", "view"),
                ("folder", "view") => relation("viewer") || arrow("parent", "view"),
                ("doc", "edit") => relation("editor") && arrow("org", "member"),
                ("doc", "read") => self.holds(object, "view", user) && !relation("banned"),
                (_, name) => relation(name),
            }
        }
    }

    #[test]
    fn every_question_knows_its_answer() {
        let world = World::new(2000, 3);
        let naive = Naive::new(&world);
        let mut random = StdRng::seed_from_u64(1);
        let picker = Picker::new(Pick::Uniform, world.flat.documents());
        let mut answers = HashSet::new();
        for _ in 0..200 {
            let mut questions = vec![
                world.flat.hit(picker.pick(&mut random), &mut random),
                world.flat.miss(picker.pick(&mut random), &mut random),
                world.algebra.question(&mut random),
            ];
            for depth in [1, 4, DEEPEST] {
                for part in [&world.nested, &world.arrows] {
                    questions.extend([part.hit(depth, &mut random), part.miss(depth, &mut random)]);
                }
            }
            for shape in [Shape::Direct, Shape::Subgroups, Shape::Groups, Shape::Parents] {
                questions.push(world.fan_out.hit(shape, &mut random));
            }
            for question in questions {
                let [object, user] = [format!("doc:{}", question.document), format!("user:{}", question.user)];
                assert_eq!(naive.holds(&object, question.permission, &user), question.allowed, "{question:?}");
                answers.insert((question.permission, question.allowed));
            }
        }
        assert_eq!(answers.len(), 6, "{answers:?}");
    }

    #[test]
    fn lists_hold_what_they_say() {
        let world = World::new(2000, 3);
        let naive = Naive::new(&world);
        let list = List { hits: 10, copy: 1 };
        for at in 0..10 {
            assert!(naive.holds(&format!("doc:{}{at}", list.documents()), "view", &format!("user:{}", list.user())));
            assert!(naive.holds(&format!("doc:{}", list.document()), "view", &format!("user:{}{at}", list.users())));
        }
        let found =
            world.relationships().filter(|edge| text(edge).contains(&format!("@user:{}", list.users()))).count();
        assert_eq!(found, 10, "nobody else is in the list");
    }
}
