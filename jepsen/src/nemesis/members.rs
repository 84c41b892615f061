//! Who leads and who votes is changed, under load. A vote that is taken here is given back here.

use std::time::{Duration, Instant};

use serde_json::json;

use super::inflict::{Bite, hold};
use crate::workload::Stage;

/// How long giving a vote back is tried: without it the cluster stays smaller than it was meant to be.
const GIVING_BACK: Duration = Duration::from_secs(40);
const AGAIN: Duration = Duration::from_millis(500);

/// A node that answers and its id in the cluster: the wanted one if possible, and never `but`.
async fn answering(stage: &Stage, wanted: usize, but: Option<usize>) -> Option<(usize, u64)> {
    let mut statuses = stage.cluster.statuses().await;
    statuses.retain(|(node, _)| Some(*node) != but);
    let found = statuses.iter().find(|(node, _)| *node == wanted).or(statuses.first());
    found.map(|(node, status)| (*node, status.id))
}

/// The leader hands over. It bit if it led until then, and the other one after.
pub(super) async fn transfer(stage: &Stage, leader: usize, wanted: usize) -> Bite {
    let Some((to, id)) = answering(stage, wanted, Some(leader)).await else {
        return Bite::none("no other node answers");
    };
    let asked = stage.cluster.client(leader).transfer(id).await;
    let (effective, complaint) = match asked {
        Ok((leads, already)) => (leads == id && !already, String::new()),
        Err(status) => (false, format!("{:?}: {}", status.code(), status.message())),
    };
    Bite { nodes: vec![leader, to], effective: Some(effective), detail: json!({ "complaint": complaint }) }
}

/// A voter loses its vote, serves as a learner for a while, and gets its vote back.
pub(super) async fn membership(stage: &Stage, wanted: usize, asked: usize, lasts: Duration) -> Bite {
    let Some((victim, id)) = answering(stage, wanted, None).await else { return Bite::none("no node answers") };
    let demoted = stage.cluster.client(asked).demote(id).await;
    let mut complaints: Vec<String> = Vec::new();
    complaints
        .extend(demoted.as_ref().err().map(|status| format!("demote: {:?}: {}", status.code(), status.message())));
    hold(stage, lasts).await;
    // Whatever became of the demotion: an answer that did not come leaves it open.
    let (began, mut tries, mut promoted) = (Instant::now(), 0_usize, None);
    while promoted.is_none() && began.elapsed() < GIVING_BACK {
        let through = (asked + tries) % stage.cluster.size() + 1;
        tries += 1;
        match stage.cluster.client(through).promote(id).await {
            Ok(changed) => promoted = Some(changed),
            Err(status) => {
                complaints.push(format!("promote: {:?}: {}", status.code(), status.message()));
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    complaints.truncate(8);
    let effective = matches!(demoted, Ok(true)) && promoted == Some(true);
    Bite {
        nodes: vec![victim],
        effective: Some(effective),
        detail: json!({ "tries until it had its vote again": tries, "complaints": complaints }),
    }
}
