//! What was done to a cluster, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be done to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `kill -9` and a restart.
    Kill,
    /// A process stands still for longer than an election takes.
    Pause,
    /// A clean stop and a restart.
    Restart,
    /// A clean stop and a restart of every node, one after another.
    Rolling,
    /// The leader is alone.
    LeaderAlone,
    /// A minority is apart from the rest.
    Split,
    /// Packets pass in one direction only.
    OneWay,
    /// A node does not hear of the leader and still serves clients.
    Lagging,
    /// Two halves that do not hear each other, and one node that hears both.
    Bridge,
    /// Each node hears its two neighbours only.
    Ring,
    /// Nodes are cut off one by one, and come back in another order.
    Swizzle,
    /// Cut and healed, again and again.
    Flapping,
    /// Part of the packets is lost.
    Loss,
    /// Packets are late, and overtake each other.
    Delay,
    /// Wall clocks jump, or go too fast or too slowly.
    Clock,
    /// What was not flushed to the disks is gone.
    PowerCut,
    /// A disk takes no flush for a while.
    Freeze,
    /// A disk has no room.
    DiskFull,
    /// Bytes of a node's files are wrong, or their end is missing.
    BitFlip,
    /// A snapshot is written and the log before it purged.
    Snapshot,
    /// The leader hands over to another node.
    Transfer,
    /// A voter loses its vote, and gets it back.
    Membership,
    /// A node comes back after the log that it lacks was purged everywhere.
    Install,
}

impl FaultKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 23] = [
        Self::Kill,
        Self::Pause,
        Self::Restart,
        Self::Rolling,
        Self::LeaderAlone,
        Self::Split,
        Self::OneWay,
        Self::Lagging,
        Self::Bridge,
        Self::Ring,
        Self::Swizzle,
        Self::Flapping,
        Self::Loss,
        Self::Delay,
        Self::Clock,
        Self::PowerCut,
        Self::Freeze,
        Self::DiskFull,
        Self::BitFlip,
        Self::Snapshot,
        Self::Transfer,
        Self::Membership,
        Self::Install,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Rolling => "rolling",
            Self::LeaderAlone => "leader-alone",
            Self::Split => "split",
            Self::OneWay => "one-way",
            Self::Lagging => "lagging",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::Swizzle => "swizzle",
            Self::Flapping => "flapping",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Clock => "clock",
            Self::PowerCut => "power-cut",
            Self::Freeze => "freeze",
            Self::DiskFull => "disk-full",
            Self::BitFlip => "bit-flip",
            Self::Snapshot => "snapshot",
            Self::Transfer => "transfer",
            Self::Membership => "membership",
            Self::Install => "install",
        }
    }

    /// Whether it is one of the network that keeps some nodes from hearing others.
    #[must_use]
    pub fn is_partition(self) -> bool {
        matches!(
            self,
            Self::LeaderAlone
                | Self::Split
                | Self::OneWay
                | Self::Lagging
                | Self::Bridge
                | Self::Ring
                | Self::Swizzle
                | Self::Flapping
        )
    }

    /// Whether it parts the nodes that it hits from a majority, in both directions.
    #[must_use]
    pub fn makes_minority(self) -> bool {
        matches!(self, Self::LeaderAlone | Self::Split | Self::Flapping)
    }
}

/// One fault, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// What.
    pub kind: FaultKind,
    /// To which nodes, counted from 1.
    pub nodes: Vec<usize>,
    /// Which node led when it began, as far as it was known.
    pub leader: Option<usize>,
    /// When it began, in nanoseconds since the beginning.
    pub from: u64,
    /// When it was over.
    pub until: u64,
    /// Whether it bit: packets were dropped, a process was ended, unflushed bytes were lost. `None`: nobody can tell.
    pub effective: Option<bool>,
    /// How long the cluster took from the end of the fault until a write was acknowledged again, in nanoseconds.
    pub recovered_after: Option<u64>,
    /// More of it, for the report.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}
