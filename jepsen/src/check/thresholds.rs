//! Against tests that pass because nothing happened: what a run must have seen before "no violation" means anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::history::{FaultKind, FaultRecord, Mode, Outcome, Request, Workload};

const PARTITIONS: &str = "partitions";
const MINORITY: &str = "partitions with the leader in the minority";

/// The least that a run must have seen. Zero asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Acknowledged writes.
    pub writes: u64,
    /// Decisions.
    pub checks: u64,
    /// Whole chains of the two new-enemy workloads: a reader got an answer.
    pub chains: u64,
    /// Reads whose node had not yet applied their zookie when they arrived.
    pub waits: u64,
    /// Entries told to watchers.
    pub watch_entries: u64,
    /// Faults that bit, of all kinds.
    pub faults: u64,
    /// Partitions that bit, of all kinds.
    #[serde(default)]
    pub partitions: u64,
    /// Partitions that bit and had the leader in the minority.
    #[serde(default)]
    pub leader_in_minority: u64,
    /// Faults that bit, by kind.
    pub by_kind: BTreeMap<FaultKind, u64>,
}

/// Less was seen than must have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Of what.
    pub what: String,
    /// How much was seen.
    pub seen: u64,
    /// How much must have been.
    pub needed: u64,
}

/// Everything that is counted, by name.
pub(super) fn counts(record: &Record) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut add = |what: &str, more: u64| *counts.entry(what.to_owned()).or_default() += more;
    for what in ["writes", "checks", "chains", "waits", "watch entries", "faults", PARTITIONS, MINORITY] {
        add(what, 0);
    }
    for operation in &record.operations {
        let Outcome::Ok(answer) = &operation.outcome else { continue };
        match &operation.request {
            Request::Write(_) => add("writes", 1),
            Request::Schema { .. } => add("schema changes", 1),
            Request::Check { questions, .. } => add("checks", questions.len() as u64),
            Request::List { .. } => add("listings", 1),
        }
        let enemy = matches!(operation.workload, Workload::EnemyA | Workload::EnemyB);
        if let Some(Mode::Fresh(token) | Mode::Exact(token)) = operation.request.mode() {
            if answer.applied().is_some_and(|applied| applied < token.index) {
                add("waits", 1);
            }
            if enemy {
                add("chains", 1);
            }
        }
    }
    add("watch entries", record.watches.iter().map(|session| session.entries.len() as u64).sum());
    let bit = |fault: &&FaultRecord| fault.effective == Some(true);
    for fault in record.faults.iter().filter(bit) {
        add("faults", 1);
        add(&format!("fault {}", fault.kind.name()), 1);
        add(PARTITIONS, u64::from(fault.kind.is_partition()));
        let led_apart = fault.leader.is_some_and(|leader| fault.nodes.contains(&leader));
        add(MINORITY, u64::from(fault.kind.makes_minority() && led_apart));
    }
    counts
}

impl Thresholds {
    /// What was missing.
    pub(super) fn shortfalls(&self, counts: &BTreeMap<String, u64>) -> Vec<Shortfall> {
        let mut wanted = vec![
            ("writes".to_owned(), self.writes),
            ("checks".to_owned(), self.checks),
            ("chains".to_owned(), self.chains),
            ("waits".to_owned(), self.waits),
            ("watch entries".to_owned(), self.watch_entries),
            ("faults".to_owned(), self.faults),
            (PARTITIONS.to_owned(), self.partitions),
            (MINORITY.to_owned(), self.leader_in_minority),
        ];
        wanted.extend(self.by_kind.iter().map(|(kind, needed)| (format!("fault {}", kind.name()), *needed)));
        let short = |(what, needed): (String, u64)| {
            let seen = counts.get(&what).copied().unwrap_or_default();
            (seen < needed).then_some(Shortfall { what, seen, needed })
        };
        wanted.into_iter().filter_map(short).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::specimen::clean;

    fn fault(kind: FaultKind, nodes: &[usize], effective: Option<bool>) -> FaultRecord {
        FaultRecord {
            kind,
            nodes: nodes.to_vec(),
            leader: Some(1),
            from: 0,
            until: 1,
            effective,
            recovered_after: None,
            detail: Value::Null,
        }
    }

    #[test]
    fn only_faults_that_bit_are_counted() {
        let mut record = clean(1, 5);
        record.faults = vec![
            fault(FaultKind::LeaderAlone, &[1], Some(true)),
            fault(FaultKind::LeaderAlone, &[1], Some(false)),
            fault(FaultKind::Split, &[2, 3], Some(true)),
            // The leader is heard by a majority, though by less than all.
            fault(FaultKind::Ring, &[1, 2, 3], Some(true)),
            fault(FaultKind::Install, &[2], None),
            fault(FaultKind::Delay, &[1], Some(true)),
        ];
        let counts = counts(&record);
        for (what, count) in
            [("faults", 4), (PARTITIONS, 3), (MINORITY, 1), ("fault leader-alone", 1), ("fault delay", 1)]
        {
            assert_eq!(counts[what], count, "{what}");
        }
        let demanded = Thresholds {
            partitions: 3,
            leader_in_minority: 2,
            by_kind: [(FaultKind::Install, 1), (FaultKind::Delay, 1)].into(),
            ..Thresholds::default()
        };
        let short: Vec<String> = demanded.shortfalls(&counts).into_iter().map(|short| short.what).collect();
        assert_eq!(short, [MINORITY, "fault install"]);
    }
}
