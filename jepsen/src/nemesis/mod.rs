//! What is done to the cluster, and when: a schedule that follows from the seed, in tracks that overlap, one for the network,
//! one for processes and disks, and one for what stops nobody.

mod disks;
mod inflict;
mod members;
mod packets;
mod processes;
mod schedule;

pub use schedule::{Step, least, least_faults, possible, schedule, spaced};

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::history::FaultRecord;
use crate::workload::Stage;

/// How long a fault waits for a leader to be known.
const LEADER: Duration = Duration::from_secs(5);
/// A fault that took longer than its slot is not followed by the next one at once.
const BREATH: Duration = Duration::from_secs(1);

/// Does one track of the schedule until it ends or the curtain falls, and heals everything that it did.
pub async fn run(stage: Stage, track: u64, steps: Vec<Step>, faults: Arc<Mutex<Vec<FaultRecord>>>) {
    let mut random = StdRng::seed_from_u64(stage.seed.wrapping_add(track));
    let began = tokio::time::Instant::now();
    for step in steps {
        let at = (began + step.at).max(tokio::time::Instant::now() + BREATH);
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = stage.curtain.cancelled() => return,
        }
        let name = step.kind.name();
        let leader = leader(&stage).await;
        let from = stage.recorder.now();
        stage.recorder.note(name, json!({"phase": "begin", "leader": leader}));
        let luck = random.random_range(0..u64::MAX);
        let bite = inflict::inflict(&stage, step, leader, luck).await;
        let until = stage.recorder.now();
        stage.recorder.note(
            name,
            json!({"phase": "end", "nodes": bite.nodes, "effective": bite.effective, "detail": bite.detail}),
        );
        let record = FaultRecord {
            kind: step.kind,
            nodes: bite.nodes,
            leader,
            from,
            until,
            effective: bite.effective,
            recovered_after: None,
            detail: bite.detail,
        };
        faults.lock().expect("nothing panics while it holds the faults").push(record);
    }
}

/// Who leads, as soon as anybody does.
async fn leader(stage: &Stage) -> Option<usize> {
    let asked = async {
        loop {
            if let Some(leader) = stage.cluster.leader().await {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LEADER, asked).await.ok()
}
