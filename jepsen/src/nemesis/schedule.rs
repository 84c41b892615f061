//! Which faults, in which order, how long, how far apart: all of it from the seed.
//!
//! A run is divided into rounds, a round into slots of the same length, one fault each. What a round has to have is a table; the
//! seed decides the order, not the amount. After each fault the cluster has the rest of its slot to itself, as far as this track
//! goes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::cluster::Ground;
use crate::history::FaultKind;

/// One fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, counted from the beginning of the run.
    pub at: Duration,
    /// What.
    pub kind: FaultKind,
    /// How long it lasts.
    pub lasts: Duration,
    /// Whether the leader is among those that it hits, where that can be chosen.
    pub on_leader: bool,
}

/// So many of a kind in a round.
type Round = &'static [(FaultKind, usize)];

/// Faults of the network. A node that is cut off from the leader and still serves its clients is the most telling.
const NETWORK: Round = &[
    (FaultKind::LeaderAlone, 2),
    (FaultKind::OneWay, 2),
    (FaultKind::Lagging, 2),
    (FaultKind::Delay, 2),
    (FaultKind::Split, 1),
    (FaultKind::Bridge, 1),
    (FaultKind::Ring, 1),
    (FaultKind::Swizzle, 1),
    (FaultKind::Flapping, 1),
    (FaultKind::Loss, 1),
];

/// Faults of processes and disks. Pauses have the top weight, with kills.
const NODES: Round = &[
    (FaultKind::Pause, 5),
    (FaultKind::Kill, 5),
    (FaultKind::PowerCut, 3),
    (FaultKind::Restart, 1),
    (FaultKind::Freeze, 1),
    (FaultKind::DiskFull, 1),
    (FaultKind::BitFlip, 1),
    (FaultKind::Install, 1),
    (FaultKind::Rolling, 1),
];

/// What goes on meanwhile and stops nobody.
const MEANWHILE: Round =
    &[(FaultKind::Clock, 2), (FaultKind::Transfer, 2), (FaultKind::Membership, 1), (FaultKind::Snapshot, 1)];

const TRACKS: [Round; 3] = [NETWORK, NODES, MEANWHILE];

/// How long a round is to take, about.
const ROUND: Duration = Duration::from_secs(150);
/// A shorter slot leaves the cluster no time to recover: rather fewer faults.
const SHORTEST_SLOT: Duration = Duration::from_secs(6);
/// With longer slots than this a track would be idle.
const LEISURELY_SLOT: Duration = Duration::from_millis(7_500);
/// The part of a run, in percent, in which faults begin: the rest is for those that took longer than their slots.
const BUSY_PERCENT: u32 = 92;

/// What a fault cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Namespaces,
    Queues,
    Clocks,
}

fn need(kind: FaultKind) -> Need {
    match kind {
        FaultKind::Kill
        | FaultKind::Pause
        | FaultKind::Restart
        | FaultKind::Rolling
        | FaultKind::BitFlip
        | FaultKind::Snapshot
        | FaultKind::Transfer
        | FaultKind::Membership
        | FaultKind::Install => Need::Nothing,
        FaultKind::LeaderAlone
        | FaultKind::Split
        | FaultKind::OneWay
        | FaultKind::Lagging
        | FaultKind::Bridge
        | FaultKind::Ring
        | FaultKind::Swizzle
        | FaultKind::Flapping
        | FaultKind::Loss
        | FaultKind::PowerCut
        | FaultKind::Freeze
        | FaultKind::DiskFull => Need::Namespaces,
        FaultKind::Delay => Need::Queues,
        FaultKind::Clock => Need::Clocks,
    }
}

/// Whether a fault can be made on this ground.
#[must_use]
pub fn possible(kind: FaultKind, ground: &Ground) -> bool {
    match need(kind) {
        Need::Nothing => true,
        Need::Namespaces => ground.namespaces.is_ok(),
        Need::Queues => ground.queues.is_ok(),
        Need::Clocks => ground.clocks.is_ok(),
    }
}

/// How many nodes a fault needs: a ring of three is whole, and of two voters none may be missing.
fn fewest_nodes(kind: FaultKind) -> usize {
    let four = matches!(kind, FaultKind::Ring | FaultKind::Membership);
    if four { 4 } else { 1 }
}

/// What a round has of each kind that can be made and is wanted, by track.
fn rounds(nodes: usize, ground: &Ground, wanted: &[FaultKind]) -> Vec<Vec<(FaultKind, usize)>> {
    let can = |kind: FaultKind| possible(kind, ground) && nodes >= fewest_nodes(kind) && wanted.contains(&kind);
    TRACKS.iter().map(|round| round.iter().copied().filter(|(kind, _)| can(*kind)).collect()).collect()
}

fn number_of_rounds(seconds: u64) -> u32 {
    u32::try_from(seconds / ROUND.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// The tracks of a run of so many seconds. Every kind comes as often as a round demands, where there is time for all of it.
#[must_use]
pub fn schedule(seed: u64, seconds: u64, nodes: usize, ground: &Ground, wanted: &[FaultKind]) -> Vec<Vec<Step>> {
    let mut random = StdRng::seed_from_u64(seed);
    let tracks = rounds(nodes, ground, wanted).into_iter().map(|round| track(&mut random, seconds, &round));
    tracks.filter(|track| !track.is_empty()).collect()
}

/// What must have come of a run of so many seconds, by kind: all that its schedule has if it is a long one; of a short one what
/// its tracks have time for, whatever the seed.
/// One in ten may have hit a node that was down, or a cluster without a leader.
#[must_use]
pub fn least(seconds: u64, nodes: usize, ground: &Ground, wanted: &[FaultKind]) -> BTreeMap<FaultKind, u64> {
    let whole = u64::from(number_of_rounds(seconds));
    let each =
        |(kind, planned): (FaultKind, u64)| (kind, planned - planned / 10 - u64::from(may_miss(kind) && planned > 0));
    let of_track = |round: Vec<(FaultKind, usize)>| -> Vec<(FaultKind, u64)> {
        if round.is_empty() || seconds >= ROUND.as_secs() {
            return round.into_iter().map(|(kind, count)| (kind, count as u64 * whole)).collect();
        }
        let busy = busy(seconds);
        let (smaller, times) = fill(&round, 1, busy);
        let slots: usize = smaller.iter().map(|(_, count)| count).sum();
        let has_room = slots_that_fit(busy / times) >= slots;
        let times = u64::from(times) * u64::from(has_room);
        smaller.into_iter().map(|(kind, count)| (kind, count as u64 * times)).collect()
    };
    rounds(nodes, ground, wanted).into_iter().flat_map(of_track).map(each).collect()
}

/// How many faults must have come of a run of so many seconds, of whatever kinds.
#[must_use]
pub fn least_faults(seconds: u64, nodes: usize, ground: &Ground, wanted: &[FaultKind]) -> u64 {
    let planned = schedule(0, seconds, nodes, ground, wanted).iter().flatten().count() as u64;
    let sure = least(seconds, nodes, ground, wanted).values().sum::<u64>();
    if seconds >= ROUND.as_secs() { sure } else { planned - planned.div_ceil(4) }
}

/// The same with at least so long between two faults of a track: what comes sooner is left out.
#[must_use]
pub fn spaced(mut tracks: Vec<Vec<Step>>, apart: Duration) -> Vec<Vec<Step>> {
    for track in &mut tracks {
        let mut last: Option<Duration> = None;
        track.retain(|step| {
            let is_due = step.at >= last.map_or(apart, |last| last + apart);
            last = if is_due { Some(step.at) } else { last };
            is_due
        });
    }
    tracks
}

/// Whether one of these may come to nothing in a good run: harm that no node happened to read.
fn may_miss(kind: FaultKind) -> bool {
    kind == FaultKind::BitFlip
}

/// Where a track has time for more, it has more: smaller rounds of the same proportions, and so many of them.
fn fill(round: &[(FaultKind, usize)], rounds: u32, busy: Duration) -> (Vec<(FaultKind, usize)>, u32) {
    let common = round.iter().map(|(_, count)| *count).fold(0, divisor).max(1);
    let smaller: Vec<(FaultKind, usize)> = round.iter().map(|(kind, count)| (*kind, count / common)).collect();
    let slots: usize = smaller.iter().map(|(_, count)| count).sum();
    let least = rounds.saturating_mul(u32::try_from(common).unwrap_or(u32::MAX));
    let fit = busy.as_millis() / (LEISURELY_SLOT.as_millis() * slots as u128);
    (smaller, least.max(u32::try_from(fit).unwrap_or(u32::MAX)).max(1))
}

/// The part of a run in which faults begin.
fn busy(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * BUSY_PERCENT / 100
}

/// How many faults a round of this length has time for.
fn slots_that_fit(length: Duration) -> usize {
    usize::try_from(length.as_millis() / SHORTEST_SLOT.as_millis()).unwrap_or(usize::MAX).max(1)
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn track(random: &mut StdRng, seconds: u64, round: &[(FaultKind, usize)]) -> Vec<Step> {
    if round.is_empty() {
        return Vec::new();
    }
    let busy = busy(seconds);
    let (round, rounds) = fill(round, number_of_rounds(seconds), busy);
    let length = busy / rounds;
    let mut turns: BTreeMap<FaultKind, bool> =
        round.iter().map(|(kind, _)| (*kind, random.random_range(0..2) == 0)).collect();
    let mut steps = Vec::new();
    for number in 0..rounds {
        let mut kinds: Vec<FaultKind> = round.iter().flat_map(|(kind, count)| vec![*kind; *count]).collect();
        kinds.shuffle(random);
        kinds.truncate(slots_that_fit(length));
        let Ok(slots) = u32::try_from(kinds.len()) else { continue };
        for (slot, kind) in (0..).zip(kinds) {
            let slot_length = length / slots;
            let begins = length * number + slot_length * slot;
            // At most a quarter of a slot late, and not longer than half a slot.
            let late = slot_length * random.random_range(0..25) / 100;
            let longest = (slot_length / 2).min(Duration::from_secs(5)).as_millis();
            let longest = u64::try_from(longest).unwrap_or(u64::MAX).max(1_600);
            let lasts = Duration::from_millis(random.random_range(1_500..longest));
            let turn = turns.entry(kind).or_default();
            *turn = !*turn;
            steps.push(Step { at: begins + late, kind, lasts, on_leader: *turn });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    const QUICK: u64 = 170;

    fn of(seed: u64, seconds: u64) -> Vec<Step> {
        schedule(seed, seconds, 5, &Ground::firm(), &FaultKind::ALL).concat()
    }

    fn count(steps: &[Step], which: impl Fn(&Step) -> bool) -> usize {
        steps.iter().filter(|step| which(step)).count()
    }

    #[test]
    fn a_schedule_follows_from_its_seed() {
        assert_eq!(of(7, QUICK), of(7, QUICK));
        assert_ne!(of(7, QUICK), of(8, QUICK));
        assert!(schedule(7, QUICK, 5, &Ground::firm(), &[]).is_empty());
    }

    #[test]
    fn whatever_the_seed_a_quick_run_has_what_it_must_have() {
        for seed in 0..200 {
            let steps = of(seed, QUICK);
            for (kind, least) in [
                (FaultKind::LeaderAlone, 2),
                (FaultKind::OneWay, 2),
                (FaultKind::Lagging, 1),
                (FaultKind::Pause, 5),
                (FaultKind::Kill, 5),
                (FaultKind::PowerCut, 3),
                (FaultKind::Delay, 2),
                (FaultKind::Install, 1),
                (FaultKind::Transfer, 2),
                (FaultKind::Membership, 1),
            ] {
                assert!(count(&steps, |step| step.kind == kind) >= least, "{kind:?} with seed {seed}");
            }
            assert!(count(&steps, |step| step.kind.is_partition()) >= 6);
            assert!(steps.len() >= 24);
            for kind in FaultKind::ALL {
                assert!(steps.iter().any(|step| step.kind == kind), "{kind:?} with seed {seed}");
            }
            for kind in [FaultKind::OneWay, FaultKind::Pause, FaultKind::Kill] {
                assert!(count(&steps, |step| step.kind == kind && step.on_leader) >= 1, "{kind:?} with seed {seed}");
            }
        }
    }

    #[test]
    fn an_hour_has_hundreds_and_faults_leave_time_to_recover() {
        let steps = of(3, HOUR);
        assert!(steps.len() >= 400, "{}", steps.len());
        for track in schedule(3, HOUR, 5, &Ground::firm(), &FaultKind::ALL) {
            for pair in track.windows(2) {
                let free = pair[1].at.checked_sub(pair[0].at + pair[0].lasts).expect("they follow each other");
                assert!(free >= Duration::from_millis(1_500), "{pair:?}");
            }
            assert!(track.last().expect("there is one").at < Duration::from_secs(HOUR));
        }
    }

    #[test]
    fn faults_can_be_kept_apart() {
        let apart = Duration::from_secs(100);
        let tracks = || schedule(3, HOUR, 5, &Ground::firm(), &[FaultKind::Restart]);
        assert_eq!(spaced(tracks(), Duration::ZERO), tracks());
        let track = spaced(tracks(), apart).concat();
        assert!((25..36).contains(&track.len()), "{}", track.len());
        assert!(track.windows(2).all(|pair| pair[1].at - pair[0].at >= apart) && track[0].at >= apart);
    }

    #[test]
    fn what_cannot_be_made_is_left_out() {
        let plain = schedule(7, QUICK, 5, &Ground::bare(), &FaultKind::ALL).concat();
        assert!(plain.iter().all(|step| need(step.kind) == Need::Nothing) && !plain.is_empty());
        assert!(least(QUICK, 5, &Ground::bare(), &FaultKind::ALL).keys().all(|kind| need(*kind) == Need::Nothing));
        let three = schedule(7, QUICK, 3, &Ground::firm(), &FaultKind::ALL).concat();
        assert!(three.iter().all(|step| step.kind != FaultKind::Ring));
    }

    #[test]
    fn what_is_demanded_is_planned() {
        for seconds in [QUICK, 2 * QUICK, HOUR] {
            let steps = of(1, seconds);
            let demanded = least(seconds, 5, &Ground::firm(), &FaultKind::ALL);
            for (kind, least) in &demanded {
                assert!(count(&steps, |step| step.kind == *kind) as u64 >= *least, "{kind:?}");
            }
            assert!(demanded.values().sum::<u64>() >= 24 * seconds / QUICK);
        }
        // A short run has to have what it has time for, and so many of all that it cannot have been idle.
        for (seconds, kinds) in [(20, &[FaultKind::Kill][..]), (60, &FaultKind::ALL), (149, &FaultKind::ALL)] {
            let demanded = least(seconds, 5, &Ground::firm(), kinds);
            for seed in 0..20 {
                let steps = schedule(seed, seconds, 5, &Ground::firm(), kinds).concat();
                for (kind, least) in &demanded {
                    assert!(count(&steps, |step| step.kind == *kind) as u64 >= *least, "{kind:?} in {seconds} s");
                }
                assert!(steps.len() as u64 >= least_faults(seconds, 5, &Ground::firm(), kinds));
            }
            assert!(least_faults(seconds, 5, &Ground::firm(), kinds) >= seconds / 15, "{seconds} s");
            assert!(demanded.values().sum::<u64>() > 0, "{seconds} s");
        }
    }

    #[test]
    fn a_short_run_with_few_kinds_is_full_of_them() {
        for kind in FaultKind::ALL {
            assert!(schedule(1, 20, 5, &Ground::firm(), &[kind]).concat().len() >= 2, "{kind:?}");
        }
    }
}
