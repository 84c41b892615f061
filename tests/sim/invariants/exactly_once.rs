//! Exactly once: what was acknowledged is in the log once, at the index that was named, and took effect; what was refused took
//! no effect; of what is unknown there is at most one.
//!
//! The tries of a change with a key are one change: they have one effect between them, and every answer names it. Another
//! change under the same key is refused.

use std::collections::BTreeMap;

use quorate::model::ErrorCode;

use crate::history::{Acknowledged, Did, Op};
use crate::model::{Effect, Model};

/// One try.
struct Try<'a> {
    op: &'a Op,
    key: Option<&'a str>,
    outcome: Result<Acknowledged, ErrorCode>,
}

pub fn broken(history: &[Op], model: &Model) -> Vec<String> {
    let mut broken = Vec::new();
    let mut effects: BTreeMap<u64, Vec<&Effect>> = BTreeMap::new();
    let mut owners: BTreeMap<&str, u64> = BTreeMap::new();
    for effect in model.effects.iter().filter(|effect| effect.done) {
        let number = effect.op.expect("the workload numbers its changes");
        effects.entry(number).or_default().push(effect);
        if let Some(key) = &effect.key {
            owners.insert(key, number);
        }
    }
    let mut changes: BTreeMap<u64, Vec<Try<'_>>> = BTreeMap::new();
    for op in history {
        if let Did::Change { op: number, key, outcome } = &op.did {
            changes.entry(*number).or_default().push(Try { op, key: key.as_deref(), outcome: *outcome });
        }
    }
    for (number, tries) in &changes {
        let found = effects.get(number).map_or(&[][..], Vec::as_slice);
        if let Some(what) = judge(tries, found) {
            let tries: Vec<&Op> = tries.iter().map(|one| one.op).collect();
            broken.push(format!("change {number} {what}; in effect at {:?}: {tries:?}", indexes(found)));
        }
        for one in tries.iter().filter(|one| one.outcome.err() == Some(ErrorCode::IdempotencyKeyReused)) {
            let owner = one.key.and_then(|key| owners.get(key));
            if owner.is_none_or(|owner| owner == number) {
                broken.push(format!("no other change has this key: {:?}", one.op));
            }
        }
    }
    broken
}

fn indexes(effects: &[&Effect]) -> Vec<u64> {
    effects.iter().map(|effect| effect.index).collect()
}

/// What is wrong with the tries of one change, if anything is.
fn judge(tries: &[Try<'_>], effects: &[&Effect]) -> Option<&'static str> {
    if effects.len() > 1 {
        return Some("took effect more than once");
    }
    let acknowledged: Vec<Acknowledged> = tries.iter().filter_map(|one| one.outcome.ok()).collect();
    let fits = |one: &Acknowledged| effects.iter().any(|effect| effect.index == one.index && effect.count == one.count);
    if !acknowledged.iter().all(fits) {
        return Some("was acknowledged for what it did not do");
    }
    if acknowledged.iter().filter(|one| !one.replayed).count() > 1 {
        return Some("was acknowledged twice as the first");
    }
    if acknowledged.iter().any(|one| one.replayed) && tries.len() == 1 {
        return Some("was sent once and acknowledged as a repetition");
    }
    if !effects.is_empty() && tries.iter().all(|one| is_refusal(&one.outcome)) {
        return Some("was refused and took effect");
    }
    let first = tries.iter().filter(|one| one.outcome.is_ok()).map(|one| one.op.seen.ended.number).min();
    let later = |one: &&Try<'_>| first.is_some_and(|first| first < one.op.seen.begun.number);
    tries.iter().filter(later).any(|one| is_judgement(&one.outcome)).then_some("was judged anew after it took effect")
}

/// It surely took no effect.
fn is_refusal(outcome: &Result<Acknowledged, ErrorCode>) -> bool {
    outcome.as_ref().is_err_and(|code| *code != ErrorCode::OutcomeUnknown)
}

/// Its content was looked at, and refused.
fn is_judgement(outcome: &Result<Acknowledged, ErrorCode>) -> bool {
    const NOT_LOOKED_AT: [ErrorCode; 5] = [
        ErrorCode::OutcomeUnknown,
        ErrorCode::Unavailable,
        ErrorCode::DeadlineExceeded,
        ErrorCode::ResourceExhausted,
        ErrorCode::Conflict,
    ];
    outcome.as_ref().is_err_and(|code| !NOT_LOOKED_AT.contains(code))
}
