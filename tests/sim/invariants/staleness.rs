//! Staleness: a bounded answer is of a state that has everything that was known to a client before the bound.
//!
//! | mode | the index named |
//! |---|---|
//! | within Δ | at least that of everything that had ended Δ before it began, by the clock of the node that answered |
//! | lag of n | at least that of everything that had ended when it began, less n |
//! | minimize latency | as within the node's ceiling |

use std::collections::BTreeMap;

use super::floors::Floors;
use crate::history::{Did, Mode, Op};
use crate::node::CEILING;

/// The simulation's step, and the rounding of timers.
const STEP_MS: u64 = 10;

/// `rates` says for each node how many milliseconds its monotonic clock goes in a true second.
pub fn broken(history: &[Op], rates: &BTreeMap<usize, u64>) -> Vec<String> {
    let floors = Floors::of(history);
    let mut broken = Vec::new();
    for op in history {
        let Did::Check { mode, found: Ok((index, _)), .. } = &op.did else { continue };
        let begun = op.seen.begun;
        let within = |ms: u64| {
            let age = (ms * 1000).div_ceil(rates[&op.seen.node]) + STEP_MS;
            begun.ms.checked_sub(age).map_or(0, |ms| floors.by_clock(ms))
        };
        let least = match mode {
            Mode::Within(ms) => within(*ms),
            Mode::Lag(entries) => floors.before(begun.number).saturating_sub(*entries),
            Mode::Latency => within(u64::try_from(CEILING.as_millis()).expect("small")),
            Mode::Full | Mode::AtLeast(_) | Mode::Exact(_) => 0,
        };
        if *index < least {
            broken.push(format!("{least} was known within the bound: {op:?}"));
        }
    }
    broken
}
