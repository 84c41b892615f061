//! Election safety (Raft paper, figure 3): at most one leader in a term.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Elections {
    leaders: BTreeMap<u64, usize>,
    broken: Vec<String>,
}

impl Elections {
    pub fn leads(&mut self, node: usize, term: u64) {
        let first = *self.leaders.entry(term).or_insert(node);
        if first != node {
            self.broken.push(format!("nodes {first} and {node} both lead in term {term}"));
        }
    }

    /// Terms that had a leader.
    pub fn terms(&self) -> u64 {
        self.leaders.len() as u64
    }

    pub fn broken(&self) -> &[String] {
        &self.broken
    }
}
