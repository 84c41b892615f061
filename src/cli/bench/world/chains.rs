//! Documents that a user may view at the end of a chain: of groups in groups, or of folders in folders.

use rand::RngExt;
use rand::rngs::StdRng;

use super::question::Question;
use super::relationships::edge;
use crate::wire::authzed::v1::Relationship;

/// Links of a chain. A document hangs at every distance from its end.
pub(in crate::cli::bench) const DEEPEST: u64 = 24;
const MOST_CHAINS: u64 = 1000;

/// What a chain is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    /// Groups whose members are members of the one before.
    Groups,
    /// Folders, each the parent of the one before.
    Parents,
}

/// Chains of one kind.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli::bench) struct Chains {
    link: Link,
    count: u64,
}

impl Chains {
    pub(super) fn new(link: Link, tuples: u64) -> Self {
        Self { link, count: (tuples / 1000).clamp(2, MOST_CHAINS) }
    }

    pub(super) fn size(&self) -> u64 {
        self.count * 2 * DEEPEST
    }

    pub(super) fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        (0..self.count).flat_map(move |chain| {
            let links = (0..DEEPEST).map(move |level| self.hold(chain, level));
            links.chain((1..=DEEPEST).map(move |depth| self.hang(chain, depth)))
        })
    }

    fn letter(&self) -> char {
        match self.link {
            Link::Groups => 'g',
            Link::Parents => 'a',
        }
    }

    fn id(&self, chain: u64, number: u64) -> String {
        format!("{}{chain}-{number}", self.letter())
    }

    fn user(&self, chain: u64) -> String {
        format!("{}{chain}", self.letter())
    }

    /// What link `level` leads to: the next one, or from the last the user.
    fn hold(&self, chain: u64, level: u64) -> Relationship {
        let (from, is_last) = (self.id(chain, level), level + 1 == DEEPEST);
        let next = || self.id(chain, level + 1);
        match (self.link, is_last) {
            (Link::Groups, false) => edge("group", from, "member", "group", next(), "member"),
            (Link::Groups, true) => edge("group", from, "member", "user", self.user(chain), ""),
            (Link::Parents, false) => edge("folder", from, "parent", "folder", next(), ""),
            (Link::Parents, true) => edge("folder", from, "viewer", "user", self.user(chain), ""),
        }
    }

    /// The document that is `depth` links away from the user.
    fn hang(&self, chain: u64, depth: u64) -> Relationship {
        let (document, to) = (self.id(chain, depth), self.id(chain, DEEPEST - depth));
        match self.link {
            Link::Groups => edge("doc", document, "viewer", "group", to, "member"),
            Link::Parents => edge("doc", document, "parent", "folder", to, ""),
        }
    }

    /// Whether the user at the end of a chain may view the document `depth` links away: 1 to [`DEEPEST`].
    pub(in crate::cli::bench) fn hit(&self, depth: u64, random: &mut StdRng) -> Question {
        let chain = random.random_range(0..self.count);
        Question::new(self.id(chain, depth), "view", self.user(chain), true)
    }

    /// Whether the user at the end of another chain may.
    pub(in crate::cli::bench) fn miss(&self, depth: u64, random: &mut StdRng) -> Question {
        let chain = random.random_range(0..self.count);
        Question::new(self.id(chain, depth), "view", self.user((chain + 1) % self.count), false)
    }
}
