//! Monotonic zookies: a write that began after another write or a fully consistent answer had ended has a later index, and no
//! two writes share one. And one node never goes back: what it answers from its own latest state is no older than any answer
//! that it gave before, whatever happened to it between.

use std::collections::BTreeMap;

use crate::history::{Did, Mode, Op};

/// What happened, in the order in which it did.
enum Event<'a> {
    Begun(&'a Op),
    Ended(&'a Op),
}

pub fn broken(history: &[Op]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut owners: BTreeMap<u64, u64> = BTreeMap::new();
    let mut events: BTreeMap<u64, Event<'_>> = BTreeMap::new();
    for op in history {
        let Some(index) = op.index() else { continue };
        if let Did::Change { op: number, .. } = &op.did
            && let Some(other) = owners.insert(index, *number)
        {
            broken.push(format!("changes {other} and {number} both have index {index}"));
        }
        events.insert(op.seen.begun.number, Event::Begun(op));
        events.insert(op.seen.ended.number, Event::Ended(op));
    }
    // What was known to anybody of all nodes, and of each, when an operation began.
    let (mut highest, mut of_nodes) = (0, BTreeMap::new());
    let mut begun: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for event in events.values() {
        match event {
            Event::Begun(op) => {
                let of_node = of_nodes.get(&op.seen.node).copied().unwrap_or(0);
                begun.insert(op.seen.begun.number, (highest, of_node));
            }
            Event::Ended(op) => {
                let index = op.index().expect("the others were left out");
                let (known, known_of_node) = begun[&op.seen.begun.number];
                if matches!(op.did, Did::Change { .. }) && index <= known {
                    broken.push(format!("{known} was known before this write began: {op:?}"));
                }
                if is_latest(&op.did) && index < known_of_node {
                    broken.push(format!("this node had answered at {known_of_node} before: {op:?}"));
                }
                if is_write_or_full(&op.did) {
                    highest = highest.max(index);
                }
                if matches!(op.did, Did::Check { .. }) {
                    let of_node = of_nodes.entry(op.seen.node).or_insert(0);
                    *of_node = index.max(*of_node);
                }
            }
        }
    }
    broken
}

fn is_write_or_full(did: &Did) -> bool {
    matches!(did, Did::Change { .. } | Did::Check { mode: Mode::Full, .. })
}

/// Whether the answer is of the node's latest state, of which it is sure how old it is.
fn is_latest(did: &Did) -> bool {
    matches!(did, Did::Check { mode: Mode::Full | Mode::Within(_) | Mode::Latency, .. })
}
