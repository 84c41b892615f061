//! Exactly once: what was acknowledged is in the log once, at the index that was named, and took effect; what was refused took
//! no effect; of what is unknown there is at most one.

use std::collections::BTreeMap;

use quorate::model::ErrorCode;

use crate::client::{Did, Op};
use crate::model::{Effect, Model};

pub fn broken(history: &[Op], model: &Model) -> Vec<String> {
    let mut broken = Vec::new();
    let mut effects: BTreeMap<u64, Vec<&Effect>> = BTreeMap::new();
    for effect in model.effects.iter().filter(|effect| effect.done) {
        effects.entry(effect.op.expect("the workload numbers its writes")).or_default().push(effect);
    }
    for op in history {
        let Did::Write { op: number, index } = &op.did else { continue };
        let found: Vec<u64> = effects.get(number).into_iter().flatten().map(|effect| effect.index).collect();
        match index {
            Ok(index) if found != [*index] => broken.push(format!("acknowledged, and in effect at {found:?}: {op:?}")),
            Err(ErrorCode::OutcomeUnknown) if found.len() > 1 => {
                broken.push(format!("unknown, and in effect at {found:?}: {op:?}"));
            }
            Err(code) if *code != ErrorCode::OutcomeUnknown && !found.is_empty() => {
                broken.push(format!("refused, and in effect at {found:?}: {op:?}"));
            }
            Ok(_) | Err(_) => {}
        }
    }
    broken
}
