//! What a side holds, in a small space: how many relationships of each type, and sums of hashes over all of them.
//!
//! The order in which a side tells them does not matter to a sum. Two sides whose sums are equal hold the same, but for a
//! chance of one in 2^128 that a hash of this kind leaves.

use std::collections::BTreeMap;

use crate::cli::reference::{Shown, wire_subject_to_text};
use crate::wire::authzed::v1::Relationship;

/// Sums of which each stands for a part of the relationships.
pub(super) const BUCKETS: usize = 1 << 14;

/// The relationship as one text; equal for what is the same to a check.
pub(super) fn text(relationship: &Relationship) -> String {
    let mut relationship = relationship.clone();
    if let Some(at) = &mut relationship.optional_expires_at {
        // What is kept here.
        at.nanos = at.nanos.div_euclid(1_000_000) * 1_000_000;
    }
    if let Some(subject) = &mut relationship.subject
        && subject.optional_relation == "..."
    {
        subject.optional_relation.clear();
    }
    Shown::of(relationship).to_string()
}

/// What a check could be asked about.
pub(super) fn subject_text(relationship: &Relationship) -> String {
    wire_subject_to_text(relationship.subject.clone().unwrap_or_default())
}

/// The hash of a text.
pub(super) fn hash(text: &str) -> u128 {
    let hash = blake3::hash(text.as_bytes());
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("a hash is longer than that"))
}

/// The part that a hash belongs to.
pub(super) fn bucket(hash: u128) -> usize {
    usize::try_from(hash % BUCKETS as u128).expect("below the number of buckets")
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    hashes: u128,
}

/// What a side holds.
#[derive(Debug)]
pub(super) struct Fingerprint {
    counts: BTreeMap<String, u64>,
    sums: Vec<Sum>,
}

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self { counts: BTreeMap::new(), sums: vec![Sum::default(); BUCKETS] }
    }

    /// One more relationship; its hash.
    pub(super) fn add(&mut self, relationship: &Relationship) -> u128 {
        let hash = hash(&text(relationship));
        let sum = &mut self.sums[bucket(hash)];
        *sum = Sum { count: sum.count + 1, hashes: sum.hashes.wrapping_add(hash) };
        let name = relationship.resource.as_ref().map(|it| it.object_type.as_str()).unwrap_or_default();
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name.to_owned(), 1);
            }
        }
        hash
    }

    /// The parts in which the other one differs.
    pub(super) fn differing(&self, other: &Self) -> Vec<usize> {
        (0..BUCKETS).filter(|at| self.sums[*at] != other.sums[*at]).collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &String> {
        self.counts.keys()
    }

    pub(super) fn count_of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reference::{parse_tuple, relationship_to_wire};

    fn of(texts: &[&str]) -> Fingerprint {
        let mut fingerprint = Fingerprint::new();
        for text in texts {
            fingerprint.add(&relationship_to_wire(&parse_tuple(text).expect("a relationship")));
        }
        fingerprint
    }

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let (one, two) = ("doc:1#viewer@user:a[cave:{\"x\":1}]", "team:1#member@user:a");
        assert_eq!(of(&[one, two]).differing(&of(&[two, one])), [0usize; 0]);
        assert_eq!((of(&[one, two]).count(), of(&[one, two]).count_of("doc")), (2, 1));
        for other in [
            "doc:1#viewer@user:a[cave:{\"x\":2}]",
            "doc:1#viewer@user:a[cave]",
            "doc:1#viewer@user:a",
            "doc:1#viewer@user:a[cave:{\"x\":1}][expiration:2030-01-01T00:00:00Z]",
            "doc:1#viewer@user:a#member[cave:{\"x\":1}]",
        ] {
            assert!(!of(&[one, two]).differing(&of(&[other, two])).is_empty(), "{other}");
        }
        // The same text twice is not the same as twice another.
        assert!(!of(&[one, one]).differing(&of(&[two, two])).is_empty());
        assert!(!of(&[one]).differing(&of(&[one, one])).is_empty());
    }

    #[test]
    fn what_is_the_same_to_a_check_is_the_same_here() {
        let mut relationship = relationship_to_wire(&parse_tuple("doc:1#viewer@user:a").expect("a relationship"));
        let plain = text(&relationship);
        relationship.subject.as_mut().expect("one").optional_relation = "...".to_owned();
        assert_eq!(text(&relationship), plain);
        relationship.optional_expires_at = Some(prost_types::Timestamp { seconds: 9, nanos: 123_456_789 });
        assert!(text(&relationship).ends_with("[expiration:1970-01-01T00:00:09.123Z]"), "{}", text(&relationship));
    }
}
