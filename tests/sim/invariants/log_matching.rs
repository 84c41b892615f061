//! Log matching (Raft paper, figure 3): two logs with the same entry at one index and term are the same up to there.
//!
//! By induction: all entries of one index and term have the same bytes, and come after an entry of the same term.

use std::collections::BTreeMap;

use quorate::raft::simulation::LoggedEntry;

#[derive(Default)]
pub struct LogMatching {
    /// By index and term: the entry's hash, and the term of the one before it, where somebody had that.
    entries: BTreeMap<(u64, u64), ([u8; 32], Option<u64>)>,
    broken: Vec<String>,
}

impl LogMatching {
    /// `node` wrote `entry`; `at` gives the others in its log.
    pub fn appended(&mut self, node: usize, entry: &[u8], at: impl Fn(u64) -> Option<Vec<u8>>) {
        let decode = |bytes: &[u8]| LoggedEntry::decode(bytes).expect("the log holds entries");
        let LoggedEntry { index, term, .. } = decode(entry);
        let before = index.checked_sub(1).and_then(at).map(|bytes| decode(&bytes).term);
        let hash = *blake3::hash(entry).as_bytes();
        let (known, known_before) = self.entries.entry((index, term)).or_insert((hash, before));
        if *known != hash {
            self.broken.push(format!("node {node} has another entry {index} of term {term}"));
        }
        match (*known_before, before) {
            (Some(known), Some(own)) if known != own => {
                self.broken
                    .push(format!("node {node} has entry {index} of term {term} after one of {own}, not {known}"));
            }
            (None, Some(_)) => *known_before = before,
            (_, None) | (Some(_), Some(_)) => {}
        }
    }

    pub fn broken(&self) -> &[String] {
        &self.broken
    }
}
