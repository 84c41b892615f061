//! Faults of disks and of what lies on them. What is harmed here is made whole here.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::inflict::{Bite, hold};
use super::processes::answers;
use crate::cluster::{Disk, Node, NodeStatus, Rot};
use crate::workload::Stage;

/// How long making a snapshot may take.
const SNAPSHOT: Duration = Duration::from_secs(20);
/// How long a fault waits until the cluster is well enough for it, and until it has done what it is for.
const WELL: Duration = Duration::from_secs(10);
const PURGED: Duration = Duration::from_secs(25);
const BACK: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn snapshot(stage: &Stage, victim: usize) -> Bite {
    let asked = tokio::time::timeout(SNAPSHOT, stage.cluster.client(victim).snapshot()).await;
    Bite { nodes: vec![victim], effective: Some(matches!(asked, Ok(Ok(())))), detail: Value::Null }
}

/// The victims lose their power at once.
pub(super) async fn power_cut(stage: &Stage, victims: &[usize]) -> Bite {
    let mut nodes = Vec::new();
    // In the order of their numbers, so that nobody waits for one whose holder waits for another.
    for victim in victims {
        nodes.push(stage.cluster.node(*victim).lock().await);
    }
    // First all the processes, so that none goes on with what another has lost.
    let mut ran = true;
    for node in &mut nodes {
        ran &= node.kill();
    }
    let (mut lost, mut complaints) = (true, Vec::new());
    for node in &mut nodes {
        match node.disk().map(Disk::cut) {
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
    let detail = json!({ "unflushed bytes were lost": lost, "complaints": complaints });
    Bite { nodes: victims.to_vec(), effective, detail }
}

pub(super) async fn freeze(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
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

pub(super) async fn disk_full(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
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
fn revive(node: &mut Node) {
    if !node.runs() {
        node.kill();
        // What does not start is found by the end of the run.
        let _ = node.start();
    }
}

/// What all nodes say but one, as soon as all of them say something.
async fn others(stage: &Stage, but: usize, within: Duration) -> Option<Vec<NodeStatus>> {
    let asked = async {
        loop {
            let statuses = stage.cluster.statuses().await;
            let others: Vec<NodeStatus> =
                statuses.into_iter().filter(|(node, _)| *node != but).map(|(_, status)| status).collect();
            if others.len() + 1 == stage.cluster.size() {
                return others;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(within, asked).await.ok()
}

/// One node is started with harmed files, and serves with them if it does not refuse. Afterwards they are made whole: what it
/// promised meanwhile, if anything, stays on its disk. It bit if the node noticed.
pub(super) async fn bit_flip(stage: &Stage, victim: usize, lasts: Duration, luck: u64) -> Bite {
    if others(stage, victim, WELL).await.is_none() {
        return Bite::none("the others were not well");
    }
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.kill();
    let logged = node.log_length();
    let data = node.data().to_owned();
    let rot = Rot::strike(&data, &mut StdRng::seed_from_u64(luck));
    let mut complaints = Vec::new();
    let mut harm = String::new();
    let rot = match rot {
        Ok(rot) => rot,
        Err(error) => {
            // Nobody knows how much of it was done.
            node.retire();
            return unmended(victim, &error.to_string());
        }
    };
    if let Some(rot) = &rot {
        harm = rot.describe(&data);
    }
    complaints.extend(node.start().err().map(|error| error.to_string()));
    let began = Instant::now();
    while node.runs() && began.elapsed() < lasts && !stage.curtain.is_cancelled() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let refused = !node.runs();
    node.kill();
    let words = node.log_after(logged);
    let was_harmed = rot.is_some();
    if let Some(rot) = rot {
        // If this is ever said otherwise, a node forgets what it promised, and that is seen.
        let took_part = words.contains("startup done") || words.contains("quorate::raft::leader");
        match rot.undo(took_part) {
            Ok(true) => {}
            Ok(false) => {
                node.retire();
                return unmended(victim, &format!("{harm}, and the file went on without its end"));
            }
            Err(error) => {
                node.retire();
                return unmended(victim, &format!("{harm}: {error}"));
            }
        }
    }
    let healed = node.log_length();
    complaints.extend(node.start().err().map(|error| error.to_string()));
    let back = answers(stage, victim, BACK).await;
    if !back {
        complaints.push(format!("it did not come back: {}", last_lines(&node.log_after(healed))));
    }
    let lower = words.to_lowercase();
    let noticed = refused || lower.contains("corrupt") || lower.contains("damaged");
    let detail = json!({
        "harm": harm,
        "node ended": refused,
        "panicked": lower.contains("panicked"),
        "last words": if noticed { last_lines(&words) } else { String::new() },
        "complaints": complaints,
    });
    Bite { nodes: vec![victim], effective: Some(ran && was_harmed && noticed), detail }
}

/// What a node may have forgotten by harm that stays is not its fault: it does not come back, and the run has no known end.
fn unmended(victim: usize, what: &str) -> Bite {
    Bite { nodes: vec![victim], effective: Some(false), detail: json!({ "harmed for good": what }) }
}

/// The end of what a node said, without the frames of stacks.
fn last_lines(words: &str) -> String {
    let lines: Vec<&str> = words.lines().filter(|line| !line.trim_start().starts_with("at ")).collect();
    let mut last = lines[lines.len().saturating_sub(4)..].join("\n");
    if let Some((cut, _)) = last.char_indices().nth(1_000) {
        last.truncate(cut);
    }
    last
}

/// What a node logs when its state came from another one.
const INSTALLED: &str = "installed a snapshot";

/// A node is away until all others have purged the log that it would need: it can only come back by a snapshot. It bit if it
/// says that it did.
pub(super) async fn install(stage: &Stage, victim: usize) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    if !answers(stage, victim, WELL).await {
        return Bite::none("the node was not well");
    }
    let before = stage.cluster.client(victim).status().await.map(|status| status.applied).unwrap_or_default();
    let ran = node.kill();
    let logged = node.log_length();
    let began = Instant::now();
    let mut purged = 0;
    while purged <= before && began.elapsed() < PURGED && !stage.curtain.is_cancelled() {
        let asked = (1..=stage.cluster.size()).filter(|other| *other != victim).map(async |other| {
            // One that is away keeps the others waiting no longer than this.
            let _ = tokio::time::timeout(Duration::from_secs(3), stage.cluster.client(other).snapshot()).await;
        });
        futures::future::join_all(asked).await;
        if let Some(others) = others(stage, victim, Duration::from_secs(2)).await {
            purged = others.iter().map(|status| status.purged).min().unwrap_or_default();
        }
        hold(stage, LOOK_EVERY).await;
    }
    let started = node.start();
    let mut by_snapshot = false;
    let began = Instant::now();
    while purged > before && !by_snapshot && began.elapsed() < BACK {
        by_snapshot = node.log_after(logged).contains(INSTALLED);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let detail = json!({ "had applied": before, "purged everywhere": purged, "came by snapshot": by_snapshot });
    Bite { nodes: vec![victim], effective: Some(ran && started.is_ok() && by_snapshot), detail }
}
