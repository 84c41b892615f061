//! Against tests that pass because nothing happened: what a run must have seen before "no violation" means anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Property, Record, Verdict};
use crate::history::{Answer, FaultKind, FaultRecord, Mode, Operation, Outcome, Request, Workload};

/// The least that a run must have seen. Zero asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Acknowledged writes.
    pub writes: u64,
    /// Decisions.
    pub checks: u64,
    /// Lookups and expansions.
    pub lookups: u64,
    /// Whole chains of the two new-enemy workloads: a reader got an answer.
    pub chains: u64,
    /// Reads whose node had not yet applied their zookie when they arrived.
    pub waits: u64,
    /// Entries told to watchers at work.
    pub watch_entries: u64,
    /// Repetitions under an idempotency key that were answered.
    pub replays: u64,
    /// Reads that a floor raised.
    pub raised: u64,
    /// Answers of learners.
    pub by_learners: u64,
    /// Opportunities to break each property, but for what only a long life of a node can show.
    pub opportunities: u64,
    /// Looks at whether a node that stayed up for long grew.
    #[serde(default)]
    pub footprints: u64,
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

const CHECKS: &str = "checks";
const LOOKUPS: &str = "lookups";
const CHAINS: &str = "chains";
const WAITS: &str = "waits";
const WRITES: &str = "writes";
const WATCH_ENTRIES: &str = "watch entries";
const REPLAYS: &str = "replays";
const RAISED: &str = "raised reads";
const BY_LEARNERS: &str = "answers of learners";
const FAULTS: &str = "faults";
const PARTITIONS: &str = "partitions";
const MINORITY: &str = "partitions with the leader in the minority";

/// Everything that is counted, by name.
pub(super) fn counts(record: &Record) -> BTreeMap<String, u64> {
    let all = [
        WRITES,
        CHECKS,
        LOOKUPS,
        CHAINS,
        WAITS,
        WATCH_ENTRIES,
        REPLAYS,
        RAISED,
        BY_LEARNERS,
        FAULTS,
        PARTITIONS,
        MINORITY,
    ];
    let mut counts: BTreeMap<String, u64> = all.map(|what| (what.to_owned(), 0)).into();
    let mut add = |what: &str, more: u64| *counts.entry(what.to_owned()).or_default() += more;
    let mut chains = BTreeSet::new();
    for operation in &record.operations {
        if let Outcome::Ok(answer) = &operation.outcome {
            let (what, count) = kind_of(&operation.request);
            add(what, count);
            add(BY_LEARNERS, u64::from(operation.node > record.settings.voters));
            add(REPLAYS, u64::from(matches!(answer, Answer::Written { replayed: true, .. })));
            add(RAISED, u64::from(answer.beside().is_some_and(|beside| beside.raised.is_some())));
            add(WAITS, u64::from(has_waited(operation, answer)));
            chains.extend(chain_of(operation));
        }
    }
    add(CHAINS, chains.len() as u64);
    let at_work = record.watches.iter().filter(|session| !session.whole);
    add(WATCH_ENTRIES, at_work.map(|session| session.entries.len() as u64).sum());
    let bit = |fault: &&FaultRecord| fault.effective == Some(true);
    for fault in record.faults.iter().filter(bit) {
        add(FAULTS, 1);
        add(&format!("fault {}", fault.kind.name()), 1);
        add(PARTITIONS, u64::from(fault.kind.is_partition()));
        let led_apart = fault.leader.is_some_and(|leader| fault.nodes.contains(&leader));
        add(MINORITY, u64::from(fault.kind.makes_minority() && led_apart));
    }
    counts
}

fn kind_of(request: &Request) -> (&'static str, u64) {
    match request {
        Request::Write(_) => (WRITES, 1),
        Request::Schema { .. } => ("schema changes", 1),
        Request::Floors { .. } => ("changes of floors", 1),
        Request::Check { questions, .. } => (CHECKS, questions.len() as u64),
        Request::ContentCheck { .. } => ("content checks", 1),
        Request::List { .. } => ("listings", 1),
        Request::Resources { .. } | Request::Subjects { .. } | Request::Expand { .. } => (LOOKUPS, 1),
    }
}

/// Whether the node had not applied the zookie yet that came with the request.
fn has_waited(operation: &Operation, answer: &Answer) -> bool {
    match operation.request.mode() {
        Some(Mode::Fresh(token) | Mode::Exact(token)) => answer.applied().is_some_and(|applied| applied < token.index),
        Some(Mode::Full | Mode::Stale(_) | Mode::Lag(_) | Mode::Minimal) | None => false,
    }
}

/// The chain of the new-enemy workloads of which it is the last link: by where its zookie is from.
fn chain_of(operation: &Operation) -> Option<u64> {
    let is_enemy = matches!(operation.workload, Workload::EnemyA | Workload::EnemyB);
    let token = if let Some(Mode::Fresh(token)) = operation.request.mode() { Some(token.from) } else { None };
    token.filter(|_| is_enemy)
}

impl Thresholds {
    /// What was missing.
    pub(super) fn shortfalls(&self, counts: &BTreeMap<String, u64>, verdicts: &[Verdict]) -> Vec<Shortfall> {
        let mut wanted: Vec<(String, u64)> = [
            (WRITES, self.writes),
            (CHECKS, self.checks),
            (LOOKUPS, self.lookups),
            (CHAINS, self.chains),
            (WAITS, self.waits),
            (WATCH_ENTRIES, self.watch_entries),
            (REPLAYS, self.replays),
            (RAISED, self.raised),
            (BY_LEARNERS, self.by_learners),
            (FAULTS, self.faults),
            (PARTITIONS, self.partitions),
            (MINORITY, self.leader_in_minority),
        ]
        .map(|(what, needed)| (what.to_owned(), needed))
        .into();
        wanted.extend(self.by_kind.iter().map(|(kind, needed)| (format!("fault {}", kind.name()), *needed)));
        let seen = wanted.into_iter().map(|(what, needed)| {
            let seen = counts.get(&what).copied().unwrap_or_default();
            (what, seen, needed)
        });
        let opportunities = verdicts.iter().map(|verdict| {
            let needed = if verdict.property == Property::Footprint { self.footprints } else { self.opportunities };
            (format!("opportunities of {}", verdict.property.name()), verdict.opportunities, needed)
        });
        seen.chain(opportunities)
            .filter(|(_, seen, needed)| seen < needed)
            .map(|(what, seen, needed)| Shortfall { what, seen, needed })
            .collect()
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
        let short: Vec<String> = demanded.shortfalls(&counts, &[]).into_iter().map(|short| short.what).collect();
        assert_eq!(short, [MINORITY, "fault install"]);
    }
}
