//! What is done to the cluster, and when: a schedule that follows from the seed, in two tracks that overlap, one for the network
//! and one for processes and disks.

mod inflict;
mod schedule;

pub use schedule::{Step, possible, schedule};

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::history::FaultRecord;
use crate::workload::Stage;

/// Does one track of the schedule until it ends or the curtain falls, and heals everything that it did.
pub async fn run(stage: Stage, track: u64, steps: Vec<Step>, faults: Arc<Mutex<Vec<FaultRecord>>>) {
    let mut random = StdRng::seed_from_u64(stage.seed.wrapping_add(track));
    for step in steps {
        tokio::select! {
            () = tokio::time::sleep(step.pause) => {}
            () = stage.curtain.cancelled() => return,
        }
        let name = step.kind.name();
        let leader = stage.cluster.leader().await;
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
