//! Whom each fault hits, and who makes it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Step, disks, members, packets, processes};
use crate::history::FaultKind;
use crate::workload::Stage;

/// What a fault came to.
pub(super) struct Bite {
    pub(super) nodes: Vec<usize>,
    pub(super) effective: Option<bool>,
    pub(super) detail: Value,
}

impl Bite {
    pub(super) fn none(why: &str) -> Self {
        Self { nodes: vec![], effective: Some(false), detail: json!({ "skipped": why }) }
    }
}

/// Shorter than this, a pause is over before anybody notices.
const LONGER_THAN_AN_ELECTION: Duration = Duration::from_millis(2_500);

pub(super) async fn inflict(stage: &Stage, step: Step, leader: Option<usize>, luck: u64) -> Bite {
    let size = stage.cluster.size();
    let some_node = usize::try_from(luck % size as u64).unwrap_or_default() + 1;
    if leader.is_none() && is_about_the_leader(step.kind) {
        return Bite::none("no leader was known");
    }
    let led = leader.unwrap_or(some_node);
    let follower = if some_node == led { some_node % size + 1 } else { some_node };
    let victim = if step.on_leader { led } else { follower };
    // Another node with a vote, for what learners cannot do.
    let others = (stage.cluster.voters() - 1).max(1);
    let voter = (led + usize::try_from(luck % others as u64).unwrap_or_default()) % stage.cluster.voters() + 1;
    let all: Vec<usize> = (1..=size).collect();
    let rest = |of: &[usize]| all.iter().copied().filter(|node| !of.contains(node)).collect::<Vec<usize>>();
    let shuffled = packets::shuffled(size, luck);
    match step.kind {
        FaultKind::Kill => processes::kill(stage, victim, step.lasts).await,
        FaultKind::Pause => processes::pause(stage, victim, step.lasts.max(LONGER_THAN_AN_ELECTION)).await,
        FaultKind::Restart => processes::restart(stage, victim).await,
        FaultKind::Rolling => processes::rolling(stage, &shuffled).await,
        FaultKind::Clock => {
            let victims = if step.on_leader { vec![led] } else { shuffled[..size.div_ceil(2)].to_vec() };
            processes::clock(stage, &victims, step.lasts, luck).await
        }
        FaultKind::Transfer => members::transfer(stage, led, voter).await,
        FaultKind::Membership => {
            members::membership(stage, if step.on_leader { led } else { voter }, some_node, step.lasts).await
        }
        FaultKind::Snapshot => disks::snapshot(stage, victim).await,
        FaultKind::Install => disks::install(stage, follower).await,
        FaultKind::PowerCut => disks::power_cut(stage, if step.on_leader { &all } else { &shuffled[..1] }).await,
        FaultKind::Freeze => disks::freeze(stage, victim, step.lasts).await,
        FaultKind::DiskFull => disks::disk_full(stage, victim, step.lasts).await,
        FaultKind::BitFlip => disks::bit_flip(stage, victim, step.lasts, luck).await,
        FaultKind::LeaderAlone => {
            let cuts = packets::both_ways(&[led], &rest(&[led]));
            packets::partition(stage, &cuts, step.lasts, vec![led]).await
        }
        FaultKind::Split => {
            let minority: Vec<usize> = (0..(size - 1) / 2).map(|n| (victim - 1 + n) % size + 1).collect();
            let cuts = packets::both_ways(&minority, &rest(&minority));
            packets::partition(stage, &cuts, step.lasts, minority).await
        }
        FaultKind::OneWay => {
            let cuts: Vec<(usize, usize)> = rest(&[victim]).iter().map(|other| (*other, victim)).collect();
            packets::partition(stage, &cuts, step.lasts, vec![victim]).await
        }
        // Nothing of the leader arrives; the others are heard, and clients served.
        FaultKind::Lagging => packets::partition(stage, &[(led, follower)], step.lasts, vec![follower]).await,
        FaultKind::Bridge => packets::partition(stage, &packets::bridge(&shuffled), step.lasts, all).await,
        FaultKind::Ring => packets::partition(stage, &packets::ring(&shuffled), step.lasts, all).await,
        FaultKind::Swizzle => packets::swizzle(stage, &shuffled, step.lasts, luck).await,
        FaultKind::Flapping => {
            let cuts = packets::both_ways(&[victim], &rest(&[victim]));
            packets::flapping(stage, &cuts, step.lasts, victim).await
        }
        FaultKind::Loss => packets::loss(stage, &all, step.lasts).await,
        FaultKind::Delay => packets::delay(stage, all, step.lasts).await,
    }
}

/// Whether it is another fault if it does not hit, or part from, who leads.
fn is_about_the_leader(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::LeaderAlone | FaultKind::Lagging)
}

/// Waits for a while, less if the curtain falls.
pub(super) async fn hold(stage: &Stage, lasts: Duration) {
    tokio::select! {
        () = tokio::time::sleep(lasts) => {}
        () = stage.curtain.cancelled() => {}
    }
}
