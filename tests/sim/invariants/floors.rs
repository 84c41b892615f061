//! What was known when: the index that an answer to a later request must not be below.

use crate::history::{Did, Mode, Op};

/// The highest index that was known to a client by some moment: of writes, and of fully consistent answers.
pub struct Floors {
    /// By the order of events and by the clock: when an operation ended, and the highest index up to then.
    by_number: Vec<(u64, u64)>,
    by_ms: Vec<(u64, u64)>,
}

impl Floors {
    pub fn of(history: &[Op]) -> Self {
        let known = |op: &Op| match &op.did {
            Did::Change { outcome: Ok(acknowledged), .. } => Some(acknowledged.index),
            Did::Check { mode: Mode::Full, found: Ok((index, _)), .. } => Some(*index),
            Did::Change { .. } | Did::Check { .. } => None,
        };
        let ended = history.iter().filter_map(|op| Some((op.seen.ended, known(op)?)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        let mut highest = 0;
        let (mut by_number, mut by_ms) = (Vec::new(), Vec::new());
        for (moment, index) in ended {
            highest = highest.max(index);
            by_number.push((moment.number, highest));
            by_ms.push((moment.ms, highest));
        }
        Self { by_number, by_ms }
    }

    pub fn before(&self, number: u64) -> u64 {
        let upto = self.by_number.partition_point(|(ended, _)| *ended < number);
        upto.checked_sub(1).map_or(0, |last| self.by_number[last].1)
    }

    pub fn by_clock(&self, ms: u64) -> u64 {
        let upto = self.by_ms.partition_point(|(ended, _)| *ended < ms);
        upto.checked_sub(1).map_or(0, |last| self.by_ms[last].1)
    }
}
