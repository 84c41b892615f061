//! What lookups find: users who may view many documents, and documents that many users may view. Every second one by a group
//! in a group in a group.

use super::relationships::edge;
use crate::wire::authzed::v1::Relationship;

/// Lengths of the lists, and the least size of a world that has them.
pub(in crate::cli::bench) const LIST_SIZES: [(u64, u64); 3] = [(10, 0), (1000, 100_000), (10_000, 1_000_000)];
/// Of every length, so that a repeated question is not the only one.
const COPIES: u64 = 4;
const GROUPS: u64 = 3;

/// One list in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bench) struct List {
    pub(in crate::cli::bench) hits: u64,
    pub(in crate::cli::bench) copy: u64,
}

impl List {
    fn name(self) -> String {
        format!("{}-{}", self.hits, self.copy)
    }

    /// Who may view the documents.
    pub(in crate::cli::bench) fn user(self) -> String {
        format!("lr{}", self.name())
    }

    /// What the ids of the documents that the user may view begin with; a number below `hits` follows.
    pub(in crate::cli::bench) fn documents(self) -> String {
        format!("lr{}-", self.name())
    }

    /// What the users may view.
    pub(in crate::cli::bench) fn document(self) -> String {
        format!("ls{}", self.name())
    }

    /// What the ids of the users who may view the document begin with; a number below `hits` follows.
    pub(in crate::cli::bench) fn users(self) -> String {
        format!("ls{}-", self.name())
    }

    fn size(self) -> u64 {
        2 * self.hits + 2 * GROUPS
    }

    fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        let group = |user_or_document: String, level: u64| format!("{user_or_document}-{level}");
        let nested = move |of: String| {
            (1..GROUPS).map(move |level| {
                let (inner, outer) = (group(of.clone(), level), group(of.clone(), level - 1));
                edge("group", outer, "member", "group", inner, "member")
            })
        };
        let documents = (0..self.hits).map(move |at| {
            let document = format!("{}{at}", self.documents());
            match at % 2 {
                0 => edge("doc", document, "viewer", "user", self.user(), ""),
                _ => edge("doc", document, "viewer", "group", group(self.user(), 0), "member"),
            }
        });
        let users = (0..self.hits).map(move |at| {
            let user = format!("{}{at}", self.users());
            match at % 2 {
                0 => edge("doc", self.document(), "viewer", "user", user, ""),
                _ => edge("group", group(self.document(), GROUPS - 1), "member", "user", user, ""),
            }
        });
        let ends = [
            edge("group", group(self.user(), GROUPS - 1), "member", "user", self.user(), ""),
            edge("doc", self.document(), "viewer", "group", group(self.document(), 0), "member"),
        ];
        nested(self.user()).chain(nested(self.document())).chain(ends).chain(documents).chain(users)
    }
}

/// All lists.
#[derive(Debug, Clone)]
pub(in crate::cli::bench) struct Lists {
    lists: Vec<List>,
}

impl Lists {
    pub(super) fn new(tuples: u64) -> Self {
        let lengths = LIST_SIZES.into_iter().filter(|(_, least)| tuples >= *least).map(|(hits, _)| hits);
        Self { lists: lengths.flat_map(|hits| (0..COPIES).map(move |copy| List { hits, copy })).collect() }
    }

    pub(super) fn size(&self) -> u64 {
        self.lists.iter().map(|list| list.size()).sum()
    }

    pub(super) fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        self.lists.into_iter().flat_map(List::relationships)
    }

    /// The lists of this length; none where the world is too small for them.
    pub(in crate::cli::bench) fn of_length(&self, hits: u64) -> Vec<List> {
        self.lists.iter().copied().filter(|list| list.hits == hits).collect()
    }
}
