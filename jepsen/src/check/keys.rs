//! Idempotency keys: however often a write is sent under one key, it has one effect, and every answer names the same index.

use std::collections::{BTreeMap, BTreeSet};

use super::{Property, Record, Verdict};
use crate::history::{Operation, Request};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Keys);
    let mut by_key: BTreeMap<&str, Vec<(&Operation, &str)>> = BTreeMap::new();
    for operation in &record.operations {
        if let Request::Write(write) = &operation.request
            && let Some(key) = &write.idempotency_key
        {
            by_key.entry(key).or_default().push((operation, &write.op));
        }
    }
    let mut logged: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for entry in &record.log {
        if let Some(op) = &entry.op {
            logged.entry(op).or_default().insert(entry.index);
        }
    }
    for (key, attempts) in by_key {
        let names: BTreeSet<&str> = attempts.iter().map(|(_, op)| *op).collect();
        let effects: BTreeSet<u64> = names.iter().filter_map(|op| logged.get(op)).flatten().copied().collect();
        let answers: BTreeSet<u64> = attempts.iter().filter_map(|(operation, _)| operation.answered_at()).collect();
        let operations: Vec<u64> = attempts.iter().map(|(operation, _)| operation.index).collect();
        let together: BTreeSet<u64> = effects.union(&answers).copied().collect();
        verdict.expect(together.len() <= 1, &operations, || {
            format!("under key {key} the log has {effects:?}, and answers named {answers:?}")
        });
    }
    verdict
}
