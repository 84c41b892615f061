//! Numbers of a run: operations by outcome, faults by kind, elections, snapshots, recovery.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::check::Record;
use crate::history::{Answer, FaultKind, Outcome, Request, Update, Workload, to_edn};

/// Operations of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Outcomes {
    pub(super) ok: u64,
    pub(super) fail: u64,
    pub(super) info: u64,
}

/// Faults of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Faults {
    pub(super) made: u64,
    pub(super) bit: u64,
    pub(super) on_leader: u64,
    pub(super) recovery_ms: Vec<u64>,
}

/// What one node took up, over all of its processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Taken {
    pub(super) processes: u64,
    pub(super) most_kib: u64,
    pub(super) last_kib: u64,
    pub(super) most_files: u64,
    pub(super) last_files: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) operations: BTreeMap<String, Outcomes>,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) faults: BTreeMap<FaultKind, Faults>,
    pub(super) footprints: BTreeMap<usize, Taken>,
    pub(super) leaderships: u64,
    pub(super) snapshots: u64,
    pub(super) purges: u64,
    pub(super) log_entries: u64,
}

pub(super) fn summary(record: &Record) -> Summary {
    let mut operations: BTreeMap<String, Outcomes> = BTreeMap::new();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for operation in &record.operations {
        let mode = operation.request.mode().map(|mode| format!(" {}", mode.name())).unwrap_or_default();
        let name = format!("{}: {}{mode}", operation.workload.name(), operation.request.name());
        let outcomes = operations.entry(name).or_default();
        match &operation.outcome {
            Outcome::Ok(_) => outcomes.ok += 1,
            Outcome::Fail(failure) => {
                outcomes.fail += 1;
                *reasons.entry(format!("fail: {}", failure.reason)).or_default() += 1;
            }
            Outcome::Info(failure) => {
                outcomes.info += 1;
                *reasons.entry(format!("unknown: {}", failure.reason)).or_default() += 1;
            }
        }
    }
    let mut faults: BTreeMap<FaultKind, Faults> = BTreeMap::new();
    for fault in &record.faults {
        let entry = faults.entry(fault.kind).or_default();
        entry.made += 1;
        entry.bit += u64::from(fault.effective == Some(true));
        entry.on_leader += u64::from(fault.leader.is_some_and(|leader| fault.nodes.contains(&leader)));
        entry.recovery_ms.extend(fault.recovered_after.map(|ns| ns / 1_000_000));
    }
    let leaders: std::collections::BTreeSet<(u64, usize)> =
        record.chain.iter().filter(|sample| sample.leads).map(|sample| (sample.term, sample.node)).collect();
    let distinct = |of: fn(&crate::history::ChainSample) -> u64| {
        let seen: std::collections::BTreeSet<(usize, u64)> =
            record.chain.iter().map(|sample| (sample.node, of(sample))).filter(|(_, index)| *index > 0).collect();
        seen.len() as u64
    };
    Summary {
        operations,
        reasons,
        faults,
        footprints: taken(record),
        leaderships: leaders.len() as u64,
        snapshots: distinct(|sample| sample.snapshot),
        purges: distinct(|sample| sample.purged),
        log_entries: record.log.len() as u64,
    }
}

fn taken(record: &Record) -> BTreeMap<usize, Taken> {
    let mut nodes: BTreeMap<usize, (u32, Taken)> = BTreeMap::new();
    for footprint in &record.footprints {
        let (process, taken) = nodes.entry(footprint.node).or_default();
        taken.processes += u64::from(*process != footprint.process);
        *process = footprint.process;
        (taken.last_kib, taken.last_files) = (footprint.resident_kib, footprint.files);
        taken.most_kib = taken.most_kib.max(footprint.resident_kib);
        taken.most_files = taken.most_files.max(footprint.files);
    }
    nodes.into_iter().map(|(node, (_, taken))| (node, taken)).collect()
}

/// Each register's history alone, in the form of Knossos' `cas-register`: `:read`, `:write` and `:cas` of plain values.
pub(super) fn registers(record: &Record) -> BTreeMap<String, String> {
    let mut lines: BTreeMap<String, Vec<(u64, serde_json::Value)>> = BTreeMap::new();
    for operation in record.operations.iter().filter(|o| matches!(o.workload, Workload::Register | Workload::Setup)) {
        let (kind, answered) = match &operation.outcome {
            Outcome::Ok(answer) => ("ok", Some(answer)),
            Outcome::Fail(_) => ("fail", None),
            Outcome::Info(_) => ("info", None),
        };
        let mut add = |register: &str, f: &str, asked: serde_json::Value, told: serde_json::Value| {
            let process = operation.process;
            let event = |kind: &str, time: u64, value| json!({"type": kind, "process": process, "time": time, "f": f, "value": value});
            let of_register = lines.entry(register.to_owned()).or_default();
            of_register.push((operation.start, event("invoke", operation.start, asked)));
            if operation.end != u64::MAX {
                of_register.push((operation.end, event(kind, operation.end, told)));
            }
        };
        match &operation.request {
            Request::Write(write) => {
                let from = write.only_if.first().map(|expected| &expected.subject.id);
                for update in &write.updates {
                    let Update::Touch(touched) = update else { continue };
                    if touched.kind == "register" {
                        let to = &touched.subject.id;
                        let (f, value) = from.map_or(("write", json!(to)), |from| ("cas", json!([from, to])));
                        add(&touched.id, f, value.clone(), value);
                    }
                }
            }
            Request::List { kind, id: Some(id), .. } if kind == "register" => {
                let value = if let Some(Answer::Listed { relationships, .. }) = answered {
                    json!(relationships.first().map(|found| &found.subject.id))
                } else {
                    json!(null)
                };
                add(id, "read", json!(null), value);
            }
            Request::List { .. }
            | Request::Check { .. }
            | Request::ContentCheck { .. }
            | Request::Resources { .. }
            | Request::Subjects { .. }
            | Request::Expand { .. }
            | Request::Schema { .. }
            | Request::Floors { .. } => {}
        }
    }
    // Those that were only set up say nothing.
    lines.retain(|_, events| events.len() > 2);
    let text = |mut events: Vec<(u64, serde_json::Value)>| {
        events.sort_by_key(|(time, _)| *time);
        events.iter().map(|(_, event)| to_edn(event) + "\n").collect()
    };
    lines.into_iter().map(|(register, events)| (register, text(events))).collect()
}
