//! Idempotency keys: however often a write is sent under one key, wherever and after whatever, it has one effect, every answer
//! names it, and nothing else is done under the key.

use std::collections::{BTreeMap, BTreeSet};

use super::{Property, Record, Verdict};
use crate::history::{Answer, Failure, Operation, Outcome, Write};

/// All that was sent under one key, with what was sent.
type Attempts<'a> = Vec<(&'a Operation, &'a Write)>;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Keys);
    let mut by_key: BTreeMap<&str, Attempts> = BTreeMap::new();
    for operation in &record.operations {
        if let Some(write) = operation.request.write()
            && let Some(key) = &write.idempotency_key
        {
            by_key.entry(key).or_default().push((operation, write));
        }
    }
    let mut logged: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for entry in record.known_log().unwrap_or_default() {
        if let Some(op) = &entry.op {
            logged.entry(op).or_default().insert(entry.index);
        }
    }
    for (key, attempts) in by_key {
        one_effect(&mut verdict, key, &attempts, &logged);
        other_content(&mut verdict, key, &attempts);
    }
    verdict
}

/// Each answered attempt but the first could have told of a second effect.
fn one_effect(verdict: &mut Verdict, key: &str, attempts: &Attempts, logged: &BTreeMap<&str, BTreeSet<u64>>) {
    let names: BTreeSet<&str> = attempts.iter().map(|(_, write)| write.op.as_str()).collect();
    let effects: BTreeSet<u64> = names.iter().filter_map(|op| logged.get(op)).flatten().copied().collect();
    let answers: BTreeSet<u64> = attempts.iter().filter_map(|(operation, _)| operation.answered_at()).collect();
    let operations: Vec<u64> = attempts.iter().map(|(operation, _)| operation.index).collect();
    let together: BTreeSet<u64> = effects.union(&answers).copied().collect();
    let answered = attempts.iter().filter(|(operation, _)| operation.answer().is_some()).count() as u64;
    verdict.opportunities += answered.saturating_sub(1);
    if together.len() > 1 {
        let what = format!("under key {key} the log has {effects:?}, and answers named {answers:?}");
        verdict.violation(&operations, what);
    }
    let first = |operation: &&Operation| matches!(operation.answer(), Some(Answer::Written { replayed: false, .. }));
    let firsts: Vec<u64> = attempts.iter().map(|(operation, _)| *operation).filter(first).map(|o| o.index).collect();
    if firsts.len() > 1 {
        let count = firsts.len();
        verdict.violation(&firsts, format!("under key {key}, {count} answers say that theirs is the first effect"));
    }
}

/// What is acknowledged under a key is one content; another one is refused, and the same one never for being another.
fn other_content(verdict: &mut Verdict, key: &str, attempts: &Attempts) {
    let acknowledged = attempts.iter().filter(|(operation, _)| operation.answer().is_some());
    let Some((first, own)) = acknowledged.clone().min_by_key(|(operation, _)| operation.end) else { return };
    for (operation, write) in attempts.iter().filter(|(operation, _)| operation.index != first.index) {
        let operations = [first.index, operation.index];
        match &operation.outcome {
            Outcome::Ok(_) => verdict.expect(write == own, &operations, || {
                format!("under key {key}, {} was acknowledged, and so was {}", own.op, write.op)
            }),
            Outcome::Fail(failure) if failure.reason == Failure::KEY_REUSED => {
                verdict.expect(write != own, &operations, || {
                    format!("{} was refused for being something else than what it repeats under key {key}", write.op)
                });
            }
            Outcome::Fail(_) | Outcome::Info(_) => {}
        }
    }
}
