//! Properties, and what became of them.

use serde::{Deserialize, Serialize};

/// Violations of one property that are shown; the others are counted.
const SHOWN: usize = 20;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// a
    RealTime,
    /// a, by search
    Registers,
    /// a to g
    Answers,
    /// b
    Freshness,
    /// b and c, without trust in an index
    NeverRegranted,
    /// c
    ContentTokens,
    /// d
    WriteOrder,
    /// e
    Exact,
    /// f
    Staleness,
    /// f, by type
    Floors,
    /// g
    Atomic,
    /// g, without trust in an index
    Order,
    /// h
    Watch,
    /// i
    ExactlyOnce,
    /// k
    Keys,
    /// beside the letters
    HashChain,
    /// beside the letters
    Processes,
    /// beside the letters
    Footprint,
}

impl Property {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 18] = [
        Self::RealTime,
        Self::Registers,
        Self::Answers,
        Self::Freshness,
        Self::NeverRegranted,
        Self::ContentTokens,
        Self::WriteOrder,
        Self::Exact,
        Self::Staleness,
        Self::Floors,
        Self::Atomic,
        Self::Order,
        Self::Watch,
        Self::ExactlyOnce,
        Self::Keys,
        Self::HashChain,
        Self::Processes,
        Self::Footprint,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RealTime => "real-time",
            Self::Registers => "registers",
            Self::Answers => "answers",
            Self::Freshness => "freshness",
            Self::NeverRegranted => "never-regranted",
            Self::ContentTokens => "content-tokens",
            Self::WriteOrder => "write-order",
            Self::Exact => "exact",
            Self::Staleness => "staleness",
            Self::Floors => "floors",
            Self::Atomic => "atomic",
            Self::Order => "order",
            Self::Watch => "watch",
            Self::ExactlyOnce => "exactly-once",
            Self::Keys => "keys",
            Self::HashChain => "hash-chain",
            Self::Processes => "processes",
            Self::Footprint => "footprint",
        }
    }

    /// Whether it is judged by the indexes that the cluster names.
    #[must_use]
    pub fn trusts_indexes(self) -> bool {
        match self {
            Self::Registers
            | Self::NeverRegranted
            | Self::Exact
            | Self::Atomic
            | Self::Order
            | Self::Processes
            | Self::Footprint => false,
            Self::RealTime
            | Self::Answers
            | Self::Freshness
            | Self::ContentTokens
            | Self::WriteOrder
            | Self::Staleness
            | Self::Floors
            | Self::Watch
            | Self::ExactlyOnce
            | Self::Keys
            | Self::HashChain => true,
        }
    }

    /// Whether it cannot be judged without the whole log.
    #[must_use]
    pub fn needs_log(self) -> bool {
        matches!(self, Self::Answers | Self::Watch | Self::ExactlyOnce)
    }

    /// What it says, in a line.
    #[must_use]
    pub fn statement(self) -> &'static str {
        match self {
            Self::RealTime => "a fully consistent read is not older than anything that was answered before it began",
            Self::Registers => "each register is linearizable, by search over its operations alone",
            Self::Answers => "each answer is the oracle's answer on the state and under the schema of its index",
            Self::Freshness => "a read with a zookie is at least as fresh as the zookie",
            Self::NeverRegranted => {
                "nobody is let in after a revocation that comes before the content, whatever indexes say"
            }
            Self::ContentTokens => "the zookie of a content check is not older than anything answered before it began",
            Self::WriteOrder => "writes have indexes of their own, in the order of real time",
            Self::Exact => "a zookie names one state: the same answers, on every node, every time",
            Self::Staleness => "a bounded read is no older than its bound, in time or in entries, nor than the ceiling",
            Self::Floors => {
                "an answer about a type with a floor is as fresh as the floor, and says where it was raised"
            }
            Self::Atomic => "no reader sees half of a write, in whatever way it looks",
            Self::Order => "no reader sees a write without those before it, and no two see writes in different orders",
            Self::Watch => "a watch tells the log: all of it, once, in order, in whole transactions",
            Self::ExactlyOnce => "what is acknowledged is in the log once, at its index; what failed is not",
            Self::Keys => {
                "one idempotency key has one effect, all its answers name it, and nothing else is done under it"
            }
            Self::HashChain => "nodes that have applied the same have the same state",
            Self::Processes => "no node ends by itself or panics, unless its disk was harmed",
            Self::Footprint => "memory and open files of a node that stays up come to rest",
        }
    }
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What is wrong.
    pub what: String,
    /// The operations in it, by the indexes of their invocations.
    pub operations: Vec<u64>,
}

/// What became of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub property: Property,
    /// How often it could have been broken.
    pub opportunities: u64,
    /// How often it was.
    pub violations: u64,
    /// The first of them.
    pub examples: Vec<Anomaly>,
    /// What could not be decided.
    pub undecided: u64,
}

impl Verdict {
    /// Nothing was looked at yet.
    pub(super) fn new(property: Property) -> Self {
        Self { property, opportunities: 0, violations: 0, examples: Vec::new(), undecided: 0 }
    }

    /// One opportunity; a violation unless it holds.
    pub(super) fn expect(&mut self, holds: bool, operations: &[u64], what: impl FnOnce() -> String) {
        self.opportunities += 1;
        if !holds {
            self.violation(operations, what());
        }
    }

    /// A violation, of an opportunity that was counted or is none of its own.
    pub(super) fn violation(&mut self, operations: &[u64], what: String) {
        self.violations += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(Anomaly { what, operations: operations.to_vec() });
        }
    }

    /// With 95 % confidence, violations are no more frequent than this. `None` if there were any, or no opportunity.
    #[must_use]
    pub fn upper_bound(&self) -> Option<f64> {
        // The rule of three.
        (self.violations == 0 && self.opportunities > 0).then(|| (3.0 / self.opportunities as f64).min(1.0))
    }
}
