//! Each fault from its beginning to its end. Whatever happens in between, the end is made: nothing stays cut, paused or full.

use std::time::Duration;

use serde_json::{Value, json};

use super::Step;
use crate::cluster::Network;
use crate::history::FaultKind;
use crate::workload::Stage;

/// What a fault came to.
pub(super) struct Bite {
    pub(super) nodes: Vec<usize>,
    pub(super) effective: Option<bool>,
    pub(super) detail: Value,
}

impl Bite {
    fn none(why: &str) -> Self {
        Self { nodes: vec![], effective: Some(false), detail: json!({ "skipped": why }) }
    }
}

/// Shorter than this, a pause is over before anybody notices.
const LONGER_THAN_AN_ELECTION: Duration = Duration::from_millis(2_500);

pub(super) async fn inflict(stage: &Stage, step: Step, leader: Option<usize>, luck: u64) -> Bite {
    let size = stage.cluster.size();
    let some_node = usize::try_from(luck % size as u64).unwrap_or_default() + 1;
    // The leader is as good as all the others together.
    let victim = leader.filter(|_| luck.is_multiple_of(2)).unwrap_or(some_node);
    let led = leader.unwrap_or(some_node);
    let follower = if some_node == led { some_node % size + 1 } else { some_node };
    let all: Vec<usize> = (1..=size).collect();
    let rest = |of: &[usize]| all.iter().copied().filter(|node| !of.contains(node)).collect::<Vec<usize>>();
    match step.kind {
        FaultKind::Kill => kill(stage, victim, step.lasts).await,
        FaultKind::Pause => pause(stage, victim, step.lasts.max(LONGER_THAN_AN_ELECTION)).await,
        FaultKind::Restart => restart(stage, victim).await,
        FaultKind::Snapshot => snapshot(stage, victim).await,
        FaultKind::PowerCut => power_cut(stage, &all, luck).await,
        FaultKind::Freeze => freeze(stage, victim, step.lasts).await,
        FaultKind::DiskFull => disk_full(stage, victim, step.lasts).await,
        FaultKind::LeaderAlone => {
            let cuts = both_ways(&[led], &rest(&[led]));
            partition(stage, &cuts, step.lasts, vec![led]).await
        }
        FaultKind::Split => {
            let minority: Vec<usize> = (0..(size - 1) / 2).map(|n| (victim - 1 + n) % size + 1).collect();
            let cuts = both_ways(&minority, &rest(&minority));
            partition(stage, &cuts, step.lasts, minority).await
        }
        FaultKind::OneWay => {
            let cuts: Vec<(usize, usize)> = rest(&[victim]).iter().map(|other| (*other, victim)).collect();
            partition(stage, &cuts, step.lasts, vec![victim]).await
        }
        // Nothing of the leader arrives; the others are heard, and clients served.
        FaultKind::Lagging => partition(stage, &[(led, follower)], step.lasts, vec![follower]).await,
        FaultKind::Flapping => flapping(stage, &both_ways(&[victim], &rest(&[victim])), step.lasts, victim).await,
        FaultKind::Loss => loss(stage, &all, step.lasts).await,
    }
}

fn both_ways(some: &[usize], others: &[usize]) -> Vec<(usize, usize)> {
    let pairs = |from: &[usize], to: &[usize]| -> Vec<(usize, usize)> {
        from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
    };
    [pairs(some, others), pairs(others, some)].concat()
}

/// Waits for a while, less if the curtain falls.
async fn hold(stage: &Stage, lasts: Duration) {
    tokio::select! {
        () = tokio::time::sleep(lasts) => {}
        () = stage.curtain.cancelled() => {}
    }
}

async fn kill(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.kill();
    hold(stage, lasts / 4).await;
    let started = node.start();
    Bite { nodes: vec![victim], effective: Some(ran && started.is_ok()), detail: Value::Null }
}

async fn pause(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.runs();
    node.pause();
    hold(stage, lasts).await;
    node.resume();
    Bite { nodes: vec![victim], effective: Some(ran), detail: Value::Null }
}

/// How long a node may take to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(15);

async fn restart(stage: &Stage, victim: usize) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.runs();
    node.terminate();
    let began = std::time::Instant::now();
    while node.runs() && began.elapsed() < STOPPING {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let clean = !node.runs();
    node.kill();
    let started = node.start();
    Bite { nodes: vec![victim], effective: Some(ran && started.is_ok()), detail: json!({ "stopped in time": clean }) }
}

async fn snapshot(stage: &Stage, victim: usize) -> Bite {
    let asked = tokio::time::timeout(Duration::from_secs(20), stage.cluster.client(victim).snapshot()).await;
    Bite { nodes: vec![victim], effective: Some(matches!(asked, Ok(Ok(())))), detail: Value::Null }
}

/// All nodes lose their power at once; or one does.
async fn power_cut(stage: &Stage, all: &[usize], luck: u64) -> Bite {
    let victims: Vec<usize> = if luck % 3 < 2 { all.to_vec() } else { vec![all[(luck / 3) as usize % all.len()]] };
    let mut nodes = Vec::new();
    for victim in &victims {
        nodes.push(stage.cluster.node(*victim).lock().await);
    }
    // First all the processes, so that none goes on with what another has lost.
    let mut ran = true;
    for node in &mut nodes {
        ran &= node.kill();
    }
    let (mut lost, mut complaints) = (true, Vec::new());
    for node in &mut nodes {
        match node.disk().map(crate::cluster::Disk::cut) {
            Some(Ok(took)) => lost &= took,
            Some(Err(error)) => complaints.push(error.to_string()),
            None => complaints.push("no disk of its own".to_owned()),
        }
    }
    for node in &mut nodes {
        if let Err(error) = node.start() {
            complaints.push(error.to_string());
        }
    }
    let effective = Some(ran && lost && complaints.is_empty());
    Bite { nodes: victims, effective, detail: json!({ "unflushed bytes were lost": lost, "complaints": complaints }) }
}

async fn freeze(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.runs();
    let Some(disk) = node.disk() else { return Bite::none("no disk of its own") };
    let frozen = disk.freeze();
    hold(stage, lasts).await;
    let thawed = disk.thaw();
    let complaints: Vec<String> = [frozen, thawed].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
    // A node that gives up on a disk that stands still has ended by itself.
    let ended = !node.runs();
    revive(&mut node);
    let effective = Some(ran && complaints.is_empty());
    Bite { nodes: vec![victim], effective, detail: json!({ "node ended": ended, "complaints": complaints }) }
}

async fn disk_full(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.runs();
    let Some(disk) = node.disk() else { return Bite::none("no disk of its own") };
    let filled = disk.fill();
    hold(stage, lasts).await;
    disk.make_room();
    let ended = !node.runs();
    revive(&mut node);
    let effective = Some(ran && filled.is_ok());
    Bite { nodes: vec![victim], effective, detail: json!({ "node ended": ended }) }
}

/// Starts a node again that ended by itself.
fn revive(node: &mut crate::cluster::Node) {
    if !node.runs() {
        node.kill();
        // What does not start is found by the end of the run.
        let _ = node.start();
    }
}

fn dropped(network: &Network, size: usize) -> u64 {
    (1..=size).map(|node| network.dropped(node)).sum()
}

fn heal(network: &Network, size: usize) -> Vec<String> {
    (1..=size).filter_map(|node| network.heal(node).err()).map(|error| error.to_string()).collect()
}

async fn partition(stage: &Stage, cuts: &[(usize, usize)], lasts: Duration, nodes: Vec<usize>) -> Bite {
    let size = stage.cluster.size();
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let before = dropped(network, size);
    let cut: Vec<String> =
        cuts.iter().filter_map(|(from, to)| network.cut(*from, *to).err()).map(|error| error.to_string()).collect();
    hold(stage, lasts).await;
    let healed = heal(network, size);
    let packets = dropped(network, size) - before;
    let detail = json!({ "packets dropped": packets, "complaints": ([cut, healed].concat()) });
    Bite { nodes, effective: Some(packets > 0), detail }
}

async fn flapping(stage: &Stage, cuts: &[(usize, usize)], lasts: Duration, victim: usize) -> Bite {
    let size = stage.cluster.size();
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let before = dropped(network, size);
    let mut complaints = Vec::new();
    for _ in 0..4 {
        complaints.extend(cuts.iter().filter_map(|(from, to)| network.cut(*from, *to).err()).map(|e| e.to_string()));
        hold(stage, lasts / 8).await;
        complaints.extend(heal(network, size));
        hold(stage, lasts / 8).await;
    }
    let packets = dropped(network, size) - before;
    let detail = json!({ "packets dropped": packets, "complaints": complaints });
    Bite { nodes: vec![victim], effective: Some(packets > 0), detail }
}

async fn loss(stage: &Stage, all: &[usize], lasts: Duration) -> Bite {
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let before = dropped(network, all.len());
    let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).filter(|(from, to)| from != to);
    let lost: Vec<String> =
        pairs.filter_map(|(from, to)| network.lose(from, to).err()).map(|e| e.to_string()).collect();
    hold(stage, lasts).await;
    let healed = heal(network, all.len());
    let packets = dropped(network, all.len()) - before;
    let detail = json!({ "packets dropped": packets, "complaints": ([lost, healed].concat()) });
    Bite { nodes: all.to_vec(), effective: Some(packets > 0), detail }
}
