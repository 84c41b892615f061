//! What is seen of the nodes while they run, and what must hold of it at every moment.

use std::collections::BTreeMap;

use quorate::raft::simulation::LoggedEntry;
use quorate::raft::{ReplicaStatus, Role};

use crate::disk::Disk;
use crate::history::WallClocks;
use crate::invariants::election_safety::Elections;
use crate::invariants::log_matching::LogMatching;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

#[derive(Default)]
pub struct Observer {
    pub elections: Elections,
    pub log_matching: LogMatching,
    /// What was applied somewhere, by index: the log of the cluster.
    committed: BTreeMap<u64, Vec<u8>>,
    /// The hash chains that nodes had at an index.
    chains: BTreeMap<u64, [u8; 32]>,
    /// Up to where each node was looked at; nothing for one whose state was replaced, by a start or a snapshot.
    seen: BTreeMap<usize, Option<u64>>,
    /// The highest index that any node has applied, and the latest time of the cluster that it knows.
    highest: u64,
    cluster_time: u64,
    pub clocks: WallClocks,
    violations: Vec<Violation>,
}

impl Observer {
    pub fn violation(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// A node's state is not what its log made of the state before.
    pub fn replaced(&mut self, node: usize) {
        self.seen.insert(node, None);
    }

    /// What a node had applied when it last ran.
    pub fn applied(&self, node: usize) -> u64 {
        self.seen.get(&node).copied().flatten().unwrap_or(0)
    }

    /// The highest index that any node has applied.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The latest time of the cluster that any node knows.
    pub fn cluster_time(&self) -> u64 {
        self.cluster_time
    }

    /// Looks at a node that has just run.
    pub fn look(&mut self, node: usize, status: &ReplicaStatus, log: &Disk) {
        if status.role == Role::Leader {
            self.elections.leads(node, status.term);
        }
        let applied = status.applied.revision.index();
        self.highest = self.highest.max(applied);
        self.cluster_time = self.cluster_time.max(status.applied.cluster_time.0);
        let seen = self.seen.insert(node, Some(applied));
        if seen == Some(Some(applied)) {
            return;
        }
        if let Some(Some(seen)) = seen.filter(|seen| Some(applied) < *seen) {
            self.violation("state machine safety", format!("node {node} went back from {seen} to {applied}"));
        }
        let chain = *self.chains.entry(applied).or_insert(status.applied.chain);
        if chain != status.applied.chain {
            self.violation("state machine safety", format!("node {node} has another state at {applied}"));
        }
        let first = seen.map_or(0, |seen| seen.unwrap_or(applied) + 1);
        for index in first..=applied {
            let Some(entry) = log.entry(index) else { continue };
            let known = self.committed.entry(index).or_insert_with(|| entry.clone());
            if *known != entry {
                self.violation("state machine safety", format!("node {node} applied another entry at {index}"));
            }
        }
    }

    /// The committed log, which must be whole by now.
    pub fn committed(&self) -> Vec<LoggedEntry> {
        let decode = |bytes: &Vec<u8>| LoggedEntry::decode(bytes).expect("the log decodes");
        self.committed.values().map(decode).collect()
    }

    pub fn violations(&self) -> Vec<Violation> {
        let mut all = self.violations.clone();
        let of = |invariant, broken: &[String]| {
            broken.iter().map(|what| Violation { invariant, what: what.clone() }).collect::<Vec<_>>()
        };
        all.extend(of("election safety", self.elections.broken()));
        all.extend(of("log matching", self.log_matching.broken()));
        all
    }
}
