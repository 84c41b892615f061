//! Which faults, in which order, how long, how far apart: all of it from the seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::cluster::Ground;
use crate::history::FaultKind;

/// One fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How long to wait for it after the one before.
    pub pause: Duration,
    /// What.
    pub kind: FaultKind,
    /// How long it lasts.
    pub lasts: Duration,
}

/// Faults of the network, by weight. A node that is cut off from the leader and still serves its clients is the most telling.
const NETWORK: [FaultKind; 7] = [
    FaultKind::Lagging,
    FaultKind::LeaderAlone,
    FaultKind::Split,
    FaultKind::OneWay,
    FaultKind::Lagging,
    FaultKind::Flapping,
    FaultKind::Loss,
];

/// Faults of processes and disks, by weight.
const NODES: [FaultKind; 10] = [
    FaultKind::Pause,
    FaultKind::Kill,
    FaultKind::PowerCut,
    FaultKind::Pause,
    FaultKind::Snapshot,
    FaultKind::Freeze,
    FaultKind::Kill,
    FaultKind::Pause,
    FaultKind::Restart,
    FaultKind::DiskFull,
];

/// Whether a fault needs namespaces and disks.
fn needs_root(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Kill | FaultKind::Pause | FaultKind::Restart | FaultKind::Snapshot => false,
        FaultKind::LeaderAlone
        | FaultKind::Split
        | FaultKind::OneWay
        | FaultKind::Lagging
        | FaultKind::Flapping
        | FaultKind::Loss
        | FaultKind::PowerCut
        | FaultKind::Freeze
        | FaultKind::DiskFull => true,
    }
}

/// Whether a fault can be made on this ground.
#[must_use]
pub fn possible(kind: FaultKind, ground: &Ground) -> bool {
    match ground {
        Ground::Namespaces => true,
        Ground::Loopback { .. } => !needs_root(kind),
    }
}

/// The tracks of a run: each long enough for `seconds`, every kind before any comes again.
#[must_use]
pub fn schedule(seed: u64, seconds: u64, ground: &Ground, wanted: &[FaultKind]) -> Vec<Vec<Step>> {
    let mut random = StdRng::seed_from_u64(seed);
    [NETWORK.as_slice(), NODES.as_slice()]
        .into_iter()
        .map(|kinds| {
            let kinds: Vec<FaultKind> =
                kinds.iter().copied().filter(|kind| possible(*kind, ground) && wanted.contains(kind)).collect();
            track(&mut random, seconds, &kinds)
        })
        .filter(|track| !track.is_empty())
        .collect()
}

fn track(random: &mut StdRng, seconds: u64, kinds: &[FaultKind]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut time = Duration::ZERO;
    while time < Duration::from_secs(seconds) && !kinds.is_empty() {
        let mut round = kinds.to_vec();
        round.shuffle(random);
        for kind in round {
            let pause = Duration::from_millis(random.random_range(1_000..4_000));
            let lasts = Duration::from_millis(random.random_range(1_500..5_000));
            time += pause + lasts;
            if time >= Duration::from_secs(seconds) {
                break;
            }
            steps.push(Step { pause, kind, lasts });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_follows_from_its_seed_and_leaves_nothing_out() {
        let all = FaultKind::ALL;
        let first = schedule(7, 120, &Ground::Namespaces, &all);
        assert_eq!(first, schedule(7, 120, &Ground::Namespaces, &all));
        assert_ne!(first, schedule(8, 120, &Ground::Namespaces, &all));
        for kind in all {
            assert!(first.iter().flatten().any(|step| step.kind == kind), "{kind:?} is in no track of {first:?}");
        }
        let ground = Ground::Loopback { because: String::new() };
        let plain = schedule(7, 120, &ground, &all);
        assert!(plain.iter().flatten().all(|step| !needs_root(step.kind)) && !plain.is_empty());
        assert!(schedule(7, 120, &Ground::Namespaces, &[]).is_empty());
    }
}
