//! What the clients did and were told: all that the invariants are judged on, beside the log.

use std::collections::BTreeMap;

use quorate::model::ErrorCode;

use crate::model::Change;
use crate::workload::Question;

/// When something happened, in the order of this one process, and by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub number: u64,
    pub ms: u64,
}

/// Where and when an answer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub node: usize,
    pub begun: Moment,
    pub ended: Moment,
    /// The highest index that any node had applied when it ended.
    pub highest: u64,
}

/// What a check demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Full,
    AtLeast(u64),
    Exact(u64),
    Within(u64),
    Lag(u64),
    Latency,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
    Conditional,
}

/// What was acknowledged of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    pub index: u64,
    /// Whether it is said to be a repetition.
    pub replayed: bool,
    /// How many tuples a removal by filter took.
    pub count: Option<u64>,
}

#[derive(Debug, Clone)]
pub enum Did {
    /// One try of a change. The tries of one have the same number.
    Change {
        op: u64,
        key: Option<String>,
        outcome: Result<Acknowledged, ErrorCode>,
    },
    Check {
        mode: Mode,
        question: Question,
        found: Result<(u64, Verdict), ErrorCode>,
    },
}

/// One request and what came of it; nothing where no answer came.
#[derive(Debug, Clone)]
pub struct Op {
    pub seen: Seen,
    pub answered: bool,
    pub did: Did,
}

impl Op {
    /// The index that was read at, or written to by this very request.
    pub fn index(&self) -> Option<u64> {
        match &self.did {
            Did::Change { outcome: Ok(acknowledged), .. } if !acknowledged.replayed => Some(acknowledged.index),
            Did::Check { found: Ok((index, _)), .. } => Some(*index),
            Did::Change { .. } | Did::Check { .. } => None,
        }
    }
}

/// What a watcher was told.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The one relation whose tuples it asked for, if it did not ask for all.
    pub only: Option<&'static str>,
    /// The tuples of the snapshot that it began with, if it began with one.
    pub snapshot: Option<Vec<String>>,
    pub snapshot_seen: Option<Seen>,
    /// After which index the changes begin.
    pub start: u64,
    pub told: Vec<(u64, Vec<Change>)>,
    /// Up to where it was told everything.
    pub through: u64,
    pub streams: u64,
}

/// What the wall clocks of the nodes are at the beginning of a run, in milliseconds.
pub const EPOCH: u64 = 1_000_000_000;

/// How far the wall clock of each node was off, and from when on.
#[derive(Debug, Clone, Default)]
pub struct WallClocks(BTreeMap<usize, Vec<(u64, i64)>>);

impl WallClocks {
    pub fn moved(&mut self, node: usize, now: u64, off: i64) {
        self.0.entry(node).or_default().push((now, off));
    }

    /// The earliest and the latest that a node's clock can have said in this time.
    pub fn range(&self, node: usize, (from, to): (u64, u64)) -> (u64, u64) {
        let moves = self.0.get(&node).map_or(&[][..], Vec::as_slice);
        let before = moves.iter().rev().find(|(at, _)| *at < from).map_or(0, |(_, off)| *off);
        let meanwhile = moves.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, off)| *off);
        let offs: Vec<i64> = meanwhile.chain([before]).collect();
        let (least, most) = (offs.iter().min().copied(), offs.iter().max().copied());
        let at = |ms: u64, off: Option<i64>| (EPOCH + ms).saturating_add_signed(off.expect("there is one"));
        (at(from, least), at(to, most))
    }
}
