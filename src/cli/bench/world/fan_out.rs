//! Documents that very much hangs on, in four shapes.

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::StdRng;

use super::question::Question;
use super::relationships::edge;
use crate::wire::authzed::v1::Relationship;

/// From this size of the world on, the shapes have their full width.
const FULL_SIZE: u64 = 100_000;

/// How a document fans out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli::bench) enum Shape {
    /// 9,000 users view it directly
    Direct,
    /// A group of 81 groups views it
    Subgroups,
    /// 30 groups of 20 users view it
    Groups,
    /// It has 999 parents
    Parents,
}

impl Shape {
    pub(in crate::cli::bench) const ALL: [Self; 4] = [Self::Direct, Self::Subgroups, Self::Groups, Self::Parents];
}

/// One document of each shape.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli::bench) struct FanOut {
    direct: u64,
    subgroups: u64,
    groups: u64,
    members: u64,
    parents: u64,
}

impl FanOut {
    pub(super) fn new(tuples: u64) -> Self {
        let part = |full: u64| (full * tuples.min(FULL_SIZE) / FULL_SIZE).max(2);
        Self { direct: part(9000), subgroups: part(81), groups: part(30), members: part(20), parents: part(999) }
    }

    pub(super) fn size(&self) -> u64 {
        self.direct + (1 + 2 * self.subgroups) + self.groups * (1 + self.members) + 2 * self.parents
    }

    pub(super) fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        let id = |text: &str| text.to_owned();
        let direct =
            (0..self.direct).map(move |at| edge("doc", id("x-direct"), "viewer", "user", format!("xd{at}"), ""));
        let top = [edge("doc", id("x-subgroups"), "viewer", "group", id("xs"), "member")];
        let subgroups = (0..self.subgroups).flat_map(move |at| {
            [
                edge("group", id("xs"), "member", "group", format!("xs{at}"), "member"),
                edge("group", format!("xs{at}"), "member", "user", format!("xs{at}"), ""),
            ]
        });
        let groups =
            (0..self.groups).flat_map(move |at| {
                let held = [edge("doc", id("x-groups"), "viewer", "group", format!("xg{at}"), "member")];
                held.into_iter().chain((0..self.members).map(move |member| {
                    edge("group", format!("xg{at}"), "member", "user", format!("xg{at}-{member}"), "")
                }))
            });
        let parents = (0..self.parents).flat_map(move |at| {
            [
                edge("doc", id("x-parents"), "parent", "folder", format!("xp{at}"), ""),
                edge("folder", format!("xp{at}"), "viewer", "user", format!("xp{at}"), ""),
            ]
        });
        direct.chain(top).chain(subgroups).chain(groups).chain(parents)
    }

    /// Whether somebody at the end of `shape` may view its document.
    pub(in crate::cli::bench) fn hit(&self, shape: Shape, random: &mut StdRng) -> Question {
        let mut below = |bound: u64| random.random_range(0..bound);
        let (document, user) = match shape {
            Shape::Direct => ("x-direct", format!("xd{}", below(self.direct))),
            Shape::Subgroups => ("x-subgroups", format!("xs{}", below(self.subgroups))),
            Shape::Groups => ("x-groups", format!("xg{}-{}", below(self.groups), below(self.members))),
            Shape::Parents => ("x-parents", format!("xp{}", below(self.parents))),
        };
        Question::new(document.to_owned(), "view", user, true)
    }
}
