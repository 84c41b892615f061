//! No new enemy: an answer is that of the state that it names, by the schema of that state and a time that its node may have
//! had; and that state is never older than the request demanded.
//!
//! | mode | the index named |
//! |---|---|
//! | fully consistent | at least that of every write and every fully consistent answer that had ended when it began |
//! | at least as fresh | at least the token's |
//! | exact | the token's |
//!
//! The bounds on staleness have a file of their own.

use super::floors::Floors;
use crate::history::{Did, Mode, Op};
use crate::model::Model;

pub fn broken(history: &[Op], model: &Model) -> Vec<String> {
    let floors = Floors::of(history);
    let mut broken = Vec::new();
    for op in history {
        let Did::Check { mode, question, found: Ok((index, verdict)) } = &op.did else { continue };
        let least = match mode {
            Mode::Full => floors.before(op.seen.begun.number),
            Mode::AtLeast(token) | Mode::Exact(token) => *token,
            Mode::Within(_) | Mode::Lag(_) | Mode::Latency => 0,
        };
        if *index < least {
            broken.push(format!("{least} was demanded: {op:?}"));
        }
        if matches!(mode, Mode::Exact(token) if index != token) {
            broken.push(format!("not the exact state: {op:?}"));
        }
        let times = model.times(*index, &op.seen);
        let may_be = model.verdicts(question, *index, times);
        if !may_be.contains(verdict) {
            broken.push(format!("the state at {index} says {may_be:?} at {times:?}: {op:?}"));
        }
    }
    broken
}
