//! Nodes run until somebody ends them, and do not panic. Only harm to its disk may make a node give up.

use super::{Property, Record, Verdict};
use crate::history::{Ended, Ending, FaultKind};

/// After a disk was whole again, what it had refused may still end a node for so long.
const AFTERMATH_NS: u64 = 10_000_000_000;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Processes);
    // Each sample is a node that was looked at, and answered.
    verdict.opportunities = record.chain.len() as u64;
    for ending in record.settings.endings.iter().filter(|ending| !is_by_design(record, ending)) {
        let how = match ending.how {
            Ended::Stopped => "ended by itself",
            Ended::Panicked => "panicked",
        };
        let second = ending.time / 1_000_000_000;
        verdict.violation(&[], format!("node {} {how}, as seen in second {second}: {}", ending.node, ending.words));
    }
    verdict
}

fn is_by_design(record: &Record, ending: &Ending) -> bool {
    record.faults.iter().any(|fault| {
        let of_disk = matches!(fault.kind, FaultKind::DiskFull | FaultKind::Freeze | FaultKind::BitFlip);
        let meanwhile = (fault.from..=fault.until.saturating_add(AFTERMATH_NS)).contains(&ending.time);
        of_disk && meanwhile && fault.nodes.contains(&ending.node)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::history::FaultRecord;
    use crate::specimen;

    #[test]
    fn only_harm_to_its_disk_excuses_a_node_that_ends() {
        let cases = [
            (FaultKind::DiskFull, 2, 20, Ended::Stopped, 0),
            (FaultKind::Freeze, 2, 35, Ended::Stopped, 0),
            (FaultKind::BitFlip, 2, 25, Ended::Panicked, 0),
            (FaultKind::BitFlip, 2, 9, Ended::Panicked, 1),
            (FaultKind::DiskFull, 2, 41, Ended::Stopped, 1),
            (FaultKind::DiskFull, 1, 20, Ended::Stopped, 1),
            (FaultKind::Pause, 2, 20, Ended::Panicked, 1),
        ];
        for (kind, node, second, how, expected) in cases {
            let ns = |seconds: u64| seconds * 1_000_000_000;
            let mut record = specimen::clean(1, 1);
            record.faults = vec![FaultRecord {
                kind,
                nodes: vec![2],
                leader: None,
                from: ns(10),
                until: ns(30),
                effective: Some(true),
                recovered_after: None,
                detail: Value::Null,
            }];
            record.settings.endings = vec![Ending { time: ns(second), node, how, words: String::new() }];
            assert_eq!(check(&record).violations, expected, "{kind:?} {node} {second} {how:?}");
        }
    }
}
