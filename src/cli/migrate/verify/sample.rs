//! A sample of relationships, each as likely as any other, and the same ones each time that the same are offered.

use std::collections::BinaryHeap;

use crate::wire::authzed::v1::Relationship;

/// Those with the smallest hashes.
pub(super) struct Sample {
    size: usize,
    kept: BinaryHeap<Kept>,
}

struct Kept {
    hash: u128,
    relationship: Relationship,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.hash.cmp(&other.hash)
    }
}

impl Sample {
    /// At most `size` of what is offered.
    pub(super) fn new(size: usize) -> Self {
        Self { size, kept: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, hash: u128, relationship: &Relationship) {
        let is_wanted = self.kept.len() < self.size || self.kept.peek().is_some_and(|largest| hash < largest.hash);
        if !is_wanted || self.size == 0 {
            return;
        }
        self.kept.push(Kept { hash, relationship: relationship.clone() });
        if self.kept.len() > self.size {
            self.kept.pop();
        }
    }

    /// What was kept, in the order of their hashes.
    pub(super) fn into_vec(self) -> Vec<Relationship> {
        self.kept.into_sorted_vec().into_iter().map(|kept| kept.relationship).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_are_kept_whatever_the_order() {
        let relationship = |n: u128| Relationship { relation: n.to_string(), ..Relationship::default() };
        for order in [[5, 1, 4, 2, 3], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] {
            let mut sample = Sample::new(3);
            for n in order {
                sample.offer(n, &relationship(n));
            }
            let kept: Vec<String> = sample.into_vec().into_iter().map(|it| it.relation).collect();
            assert_eq!(kept, ["1", "2", "3"]);
        }
        let mut none = Sample::new(0);
        none.offer(1, &relationship(1));
        assert!(none.into_vec().is_empty());
    }
}
