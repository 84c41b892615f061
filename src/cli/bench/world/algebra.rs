//! Documents whose permissions are an intersection and an exclusion.

use rand::RngExt;
use rand::rngs::StdRng;

use super::question::Question;
use super::relationships::edge;
use crate::wire::authzed::v1::Relationship;

const PER_DOCUMENT: u64 = 6;
/// Of the world, as a divisor.
const SHARE: u64 = 60;
const MOST_ORGS: u64 = 100;

/// The part with set algebra.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli::bench) struct Algebra {
    documents: u64,
    orgs: u64,
}

impl Algebra {
    pub(super) fn new(tuples: u64) -> Self {
        let documents = (tuples / SHARE).clamp(4, 100_000);
        Self { documents, orgs: documents.min(MOST_ORGS) }
    }

    pub(super) fn size(&self) -> u64 {
        self.documents * PER_DOCUMENT + self.orgs
    }

    pub(super) fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        let orgs = self.orgs;
        let members = (0..orgs).map(|org| edge("org", format!("s{org}"), "member", "user", format!("so{org}"), ""));
        members.chain((0..self.documents).flat_map(move |at| {
            let (id, org) = (|| format!("s{at}"), at % orgs);
            [
                edge("doc", id(), "org", "org", format!("s{org}"), ""),
                edge("doc", id(), "editor", "user", format!("so{org}"), ""),
                edge("doc", id(), "editor", "user", format!("sx{at}"), ""),
                edge("doc", id(), "viewer", "user", format!("sv{at}"), ""),
                edge("doc", id(), "viewer", "user", format!("sb{at}"), ""),
                edge("doc", id(), "banned", "user", format!("sb{at}"), ""),
            ]
        }))
    }

    /// One of: an editor of the organisation, one from outside, a viewer, one who is banned.
    pub(in crate::cli::bench) fn question(&self, random: &mut StdRng) -> Question {
        let at = random.random_range(0..self.documents);
        let (permission, user, allowed) = match random.random_range(0..4) {
            0 => ("edit", format!("so{}", at % self.orgs), true),
            1 => ("edit", format!("sx{at}"), false),
            2 => ("read", format!("sv{at}"), true),
            _ => ("read", format!("sb{at}"), false),
        };
        Question::new(format!("s{at}"), permission, user, allowed)
    }
}
