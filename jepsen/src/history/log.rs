//! What the cluster says of itself beside its answers: its log, its hash chain; and what was done to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Update;

/// One committed change, as a watch told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Where in the log it stands.
    pub index: u64,
    /// The name of the operation that made it, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// What it changed. What it asked for and was so already is not among it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<Update>,
    /// Whether it replaced the schema.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schema: bool,
}

/// One watcher's life: what it was told, over all the streams that it resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSession {
    /// Its name.
    pub watcher: String,
    /// It began after this index.
    pub after: u64,
    /// It was told everything up to this index, as far as it knows.
    pub through: u64,
    /// How often it went on at another node, or at the same one again.
    pub resumed: u64,
    /// What it was told, in order of arrival.
    pub entries: Vec<LogEntry>,
}

/// One node's hash chain at one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSample {
    /// When, in nanoseconds since the beginning.
    pub time: u64,
    /// Which node, counted from 1.
    pub node: usize,
    /// What it has applied.
    pub applied: u64,
    /// The chain over all of it.
    pub hash: String,
    /// Its term.
    pub term: u64,
    /// Whether it says that it leads.
    pub leads: bool,
    /// What its last snapshot covers.
    pub snapshot: u64,
    /// What it has removed from its log.
    pub purged: u64,
}

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
    /// The leader is alone.
    LeaderAlone,
    /// A minority is apart from the rest.
    Split,
    /// Packets pass in one direction only.
    OneWay,
    /// A node does not hear of the leader and still serves clients.
    Lagging,
    /// Cut and healed, again and again.
    Flapping,
    /// Part of the packets is lost.
    Loss,
    /// What was not flushed to the disks is gone.
    PowerCut,
    /// A disk takes no flush for a while.
    Freeze,
    /// A disk has no room.
    DiskFull,
    /// A snapshot is written and the log before it purged.
    Snapshot,
}

impl FaultKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Pause,
        Self::Restart,
        Self::LeaderAlone,
        Self::Split,
        Self::OneWay,
        Self::Lagging,
        Self::Flapping,
        Self::Loss,
        Self::PowerCut,
        Self::Freeze,
        Self::DiskFull,
        Self::Snapshot,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::LeaderAlone => "leader-alone",
            Self::Split => "split",
            Self::OneWay => "one-way",
            Self::Lagging => "lagging",
            Self::Flapping => "flapping",
            Self::Loss => "loss",
            Self::PowerCut => "power-cut",
            Self::Freeze => "freeze",
            Self::DiskFull => "disk-full",
            Self::Snapshot => "snapshot",
        }
    }

    /// Whether it is one of the network.
    #[must_use]
    pub fn is_partition(self) -> bool {
        matches!(self, Self::LeaderAlone | Self::Split | Self::OneWay | Self::Lagging | Self::Flapping)
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
