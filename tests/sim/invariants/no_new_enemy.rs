//! No new enemy: an answer is that of the state that it names, and that state is never older than the request demanded.
//!
//! | mode | the index named |
//! |---|---|
//! | fully consistent | at least that of every write and every fully consistent answer that had ended when it began |
//! | at least as fresh | at least the token's |
//! | exact | the token's |
//! | within Δ | at least that of everything that had ended Δ before it began |
//! | lag of n | at least that of everything that had ended when it began, less n |
//! | minimize latency | as within the node's ceiling |

use crate::client::{Did, Mode, Op};
use crate::model::Model;
use crate::node::CEILING;

/// Clocks of nodes go slower than the true one by a tenth at the most.
const SLOWEST: (u64, u64) = (10, 9);
/// The simulation's step, and the rounding of timers.
const STEP_MS: u64 = 10;

pub fn broken(history: &[Op], model: &Model) -> Vec<String> {
    let floors = Floors::of(history);
    let mut broken = Vec::new();
    for op in history {
        let Did::Check { mode, tuple, found: Ok((index, allowed)) } = &op.did else { continue };
        let within = |ms: u64| floors.by_clock(op.begun.ms.saturating_sub(ms * SLOWEST.0 / SLOWEST.1 + STEP_MS));
        let before = floors.before(op.begun.number);
        let least = match mode {
            Mode::Full => before,
            Mode::AtLeast(token) | Mode::Exact(token) => *token,
            Mode::Within(ms) => within(*ms),
            Mode::Lag(entries) => before.saturating_sub(*entries),
            Mode::Latency => within(u64::try_from(CEILING.as_millis()).expect("small")),
        };
        if *index < least {
            broken.push(format!("at {}, {least} was demanded: {op:?}", index));
        }
        if matches!(mode, Mode::Exact(token) if index != token) {
            broken.push(format!("not the exact state: {op:?}"));
        }
        if model.holds(tuple, *index) != *allowed {
            broken.push(format!("the state at {index} says otherwise: {op:?}"));
        }
    }
    broken
}

/// The highest index that was known to a client by some moment.
struct Floors {
    /// By the order of events and by the clock: when an operation ended, and the highest index up to then.
    by_number: Vec<(u64, u64)>,
    by_ms: Vec<(u64, u64)>,
}

impl Floors {
    fn of(history: &[Op]) -> Self {
        let mut ended: Vec<(u64, u64, u64)> = history
            .iter()
            .filter_map(|op| match &op.did {
                Did::Write { index: Ok(index), .. } | Did::Check { mode: Mode::Full, found: Ok((index, _)), .. } => {
                    Some((op.ended.number, op.ended.ms, *index))
                }
                Did::Write { .. } | Did::Check { .. } => None,
            })
            .collect();
        ended.sort_unstable();
        let mut highest = 0;
        let (mut by_number, mut by_ms) = (Vec::new(), Vec::new());
        for (number, ms, index) in ended {
            highest = highest.max(index);
            by_number.push((number, highest));
            by_ms.push((ms, highest));
        }
        Self { by_number, by_ms }
    }

    fn before(&self, number: u64) -> u64 {
        let upto = self.by_number.partition_point(|(ended, _)| *ended < number);
        upto.checked_sub(1).map_or(0, |last| self.by_number[last].1)
    }

    fn by_clock(&self, ms: u64) -> u64 {
        let upto = self.by_ms.partition_point(|(ended, _)| *ended < ms);
        upto.checked_sub(1).map_or(0, |last| self.by_ms[last].1)
    }
}
