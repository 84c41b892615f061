//! The bugs that can be built into the binary: what brings each of them out, and who is meant to catch it.

use quorate_jepsen::check::Property;
use quorate_jepsen::history::FaultKind;

/// Log entries between snapshots, unless a plan says otherwise.
const SNAPSHOT_AFTER: u64 = 1_000;

/// How a run is made in which something shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) faults: &'static [FaultKind],
    pub(super) seconds: u64,
    pub(super) snapshot_after: u64,
}

/// A bug on purpose.
pub(super) struct Mutant {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) bug: &'static str,
    pub(super) plan: Plan,
    /// The properties that it breaks, any of which must be seen broken.
    pub(super) meant: &'static [Property],
    /// Whether it is among those that every change is tested with.
    pub(super) is_quick: bool,
}

const CALM: Plan = Plan { faults: &[], seconds: 20, snapshot_after: SNAPSHOT_AFTER };
const LAGGING: Plan = Plan { faults: &[FaultKind::Lagging], seconds: 20, ..CALM };
const POWER_CUTS: Plan = Plan { faults: &[FaultKind::PowerCut], seconds: 25, ..CALM };
const CHANGES_OF_LEADER: Plan = Plan { faults: &[FaultKind::Kill, FaultKind::Pause], seconds: 30, ..CALM };
const LEFT_ALONE: Plan = Plan { faults: &[FaultKind::LeaderAlone, FaultKind::Pause], seconds: 25, ..CALM };
/// Whoever is away for a moment needs a snapshot, since the log that it missed is gone.
const SNAPSHOTS: Plan = Plan { faults: &[FaultKind::Install], seconds: 30, snapshot_after: 40 };

pub(super) const MUTANTS: [Mutant; 12] = [
    Mutant {
        id: "M1",
        name: "skip-wait",
        bug: "a read with a zookie does not wait for it",
        plan: LAGGING,
        meant: &[Property::Freshness],
        is_quick: true,
    },
    Mutant {
        id: "M2",
        name: "local-token",
        bug: "a content check answers from what the node has",
        plan: LAGGING,
        meant: &[Property::ContentTokens, Property::RealTime, Property::NeverRegranted],
        is_quick: true,
    },
    Mutant {
        id: "M3",
        name: "cache-without-index",
        bug: "decisions are remembered, and the key lacks the index",
        plan: CALM,
        meant: &[Property::NeverRegranted, Property::Answers],
        is_quick: false,
    },
    Mutant {
        id: "M4",
        name: "mixed-snapshots",
        bug: "each question of a bulk check is answered from a snapshot of its own",
        plan: CALM,
        meant: &[Property::Answers, Property::Atomic, Property::Order],
        is_quick: false,
    },
    Mutant {
        id: "M5",
        name: "ack-before-fsync",
        bug: "writes are acknowledged before they are on disk",
        plan: POWER_CUTS,
        meant: &[Property::ExactlyOnce, Property::WriteOrder],
        is_quick: true,
    },
    Mutant {
        id: "M6",
        name: "index-before-data",
        bug: "how far a node has applied is safe before what it applied",
        plan: CHANGES_OF_LEADER,
        meant: &[Property::Answers, Property::Watch, Property::Exact],
        is_quick: false,
    },
    Mutant {
        id: "M7",
        name: "no-quorum",
        bug: "a leader does not ask whether it still leads",
        plan: LEFT_ALONE,
        meant: &[Property::RealTime, Property::Registers],
        is_quick: true,
    },
    Mutant {
        id: "M8",
        name: "watch-off-by-one",
        bug: "a watch that goes on leaves out one index",
        plan: CALM,
        meant: &[Property::Watch],
        is_quick: false,
    },
    Mutant {
        id: "M9",
        name: "dedupe-in-memory",
        bug: "which requests took effect is known to the leader's process alone",
        plan: CHANGES_OF_LEADER,
        meant: &[Property::Keys],
        is_quick: false,
    },
    Mutant {
        id: "M10",
        name: "judged-at-propose",
        bug: "preconditions are judged where a write is proposed, and not where it is applied",
        plan: CALM,
        meant: &[Property::ExactlyOnce, Property::Registers],
        is_quick: false,
    },
    Mutant {
        id: "M11",
        name: "stale-schema",
        bug: "a check takes the schema that was used last, whichever is in force",
        plan: CALM,
        meant: &[Property::Answers],
        is_quick: false,
    },
    Mutant {
        id: "M12",
        name: "snapshot-without-keys",
        bug: "a snapshot that is installed lacks the requests that are remembered",
        plan: SNAPSHOTS,
        meant: &[Property::HashChain, Property::Keys],
        is_quick: false,
    },
];
