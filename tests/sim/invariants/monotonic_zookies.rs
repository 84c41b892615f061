//! Monotonic zookies: a write that began after another write or a fully consistent answer had ended has a later index, and no
//! two writes share one.

use std::collections::BTreeMap;

use crate::client::{Did, Mode, Op};

pub fn broken(history: &[Op]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut owners: BTreeMap<u64, u64> = BTreeMap::new();
    // Ends and beginnings in the order in which they happened.
    let mut events: BTreeMap<u64, (Option<u64>, &Op)> = BTreeMap::new();
    for op in history {
        match &op.did {
            Did::Write { op: number, index: Ok(index) } => {
                if let Some(other) = owners.insert(*index, *number) {
                    broken.push(format!("writes {other} and {number} both have index {index}"));
                }
                events.insert(op.begun.number, (None, op));
                events.insert(op.ended.number, (Some(*index), op));
            }
            Did::Check { mode: Mode::Full, found: Ok((index, _)), .. } => {
                events.insert(op.ended.number, (Some(*index), op));
            }
            Did::Write { .. } | Did::Check { .. } => {}
        }
    }
    let mut highest = 0;
    for (ended, op) in events.values() {
        match (ended, &op.did) {
            (Some(index), _) => highest = highest.max(*index),
            (None, Did::Write { index: Ok(index), .. }) if *index <= highest => {
                broken.push(format!("{highest} was known before this write began: {op:?}"));
            }
            (None, _) => {}
        }
    }
    broken
}
