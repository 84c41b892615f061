//! Faults of processes and of their clocks. What is stopped here is started here.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::inflict::{Bite, hold};
use crate::cluster::Node;
use crate::workload::Stage;

pub(super) async fn kill(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.kill();
    hold(stage, lasts / 4).await;
    let started = node.start();
    Bite { nodes: vec![victim], effective: Some(ran && started.is_ok()), detail: Value::Null }
}

pub(super) async fn pause(stage: &Stage, victim: usize, lasts: Duration) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let ran = node.runs();
    node.pause();
    hold(stage, lasts).await;
    node.resume();
    Bite { nodes: vec![victim], effective: Some(ran), detail: Value::Null }
}

/// How long a node may take to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(15);

/// Asks it to stop, and starts it again. Whether it ran, and whether it stopped by itself.
async fn stop_and_start(node: &mut Node) -> (bool, bool) {
    let ran = node.runs();
    node.terminate();
    let began = Instant::now();
    while node.runs() && began.elapsed() < STOPPING {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let clean = !node.runs();
    node.kill();
    (node.start().is_ok() && ran, clean)
}

pub(super) async fn restart(stage: &Stage, victim: usize) -> Bite {
    let mut node = stage.cluster.node(victim).lock().await;
    let (restarted, clean) = stop_and_start(&mut node).await;
    Bite { nodes: vec![victim], effective: Some(restarted), detail: json!({ "stopped in time": clean }) }
}

/// How long the next one waits for a node to answer again.
const BACK: Duration = Duration::from_secs(10);

/// Every node, each when the one before it answers again: as one rolls out a new version.
pub(super) async fn rolling(stage: &Stage, order: &[usize]) -> Bite {
    let (mut all, mut clean) = (true, true);
    for victim in order {
        let mut node = stage.cluster.node(*victim).lock().await;
        let (restarted, stopped) = stop_and_start(&mut node).await;
        drop(node);
        let answers = answers(stage, *victim, BACK).await;
        all &= restarted && answers;
        clean &= stopped;
        if stage.curtain.is_cancelled() {
            return Bite { nodes: order.to_vec(), effective: Some(false), detail: json!({ "cut short": true }) };
        }
    }
    Bite { nodes: order.to_vec(), effective: Some(all), detail: json!({ "stopped in time": clean }) }
}

/// Whether a node answers within a while.
pub(super) async fn answers(stage: &Stage, number: usize, within: Duration) -> bool {
    let asked = async {
        while stage.cluster.client(number).status().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(within, asked).await.is_ok()
}

/// Between two changes of a clock that goes wrong, and between two looks at it.
const TICK: Duration = Duration::from_millis(250);
/// What is off by less may be nothing but a line that was held back.
const NOTICEABLE: f64 = 1.5;
/// How long a clock is wrong at least: a process looks once a second, and a drift needs time to be seen.
const LONG_JUMP: Duration = Duration::from_secs(3);
const LONG_DRIFT: Duration = Duration::from_secs(7);
/// How long a node may take to log something.
const LOGGING: Duration = Duration::from_secs(2);

/// How a clock goes wrong.
enum Wrong {
    /// By so many seconds at once.
    Jump(f64),
    /// By so many seconds each second.
    Drift(f64),
}

impl Wrong {
    fn new(luck: u64) -> Self {
        // Each jump is followed by one in the other direction, when it is over.
        let jumps = [90.0, -90.0, 3_600.0, -3_600.0, 86_400.0, -400.0];
        match luck / 64 % 3 {
            0 => Self::Drift(if (luck / 256).is_multiple_of(2) { 1.0 } else { -0.5 }),
            _ => Self::Jump(jumps[usize::try_from(luck / 256 % jumps.len() as u64).unwrap_or_default()]),
        }
    }

    fn offset(&self, elapsed: Duration) -> f64 {
        match self {
            Self::Jump(seconds) => *seconds,
            Self::Drift(rate) => rate * elapsed.as_secs_f64(),
        }
    }
}

/// How far a clock is off for certain, if a line that was written within `window` seems to be so far ahead.
fn certain(ahead: f64, window: Duration) -> f64 {
    ahead.signum() * (ahead.abs() - window.as_secs_f64()).max(0.0)
}

/// Clocks go wrong for a while; it bit if the logs say so.
pub(super) async fn clock(stage: &Stage, victims: &[usize], lasts: Duration, luck: u64) -> Bite {
    let clocks: Vec<_> = victims.iter().filter_map(|victim| Some((*victim, stage.cluster.clock(*victim)?))).collect();
    if clocks.is_empty() {
        return Bite::none("no clock that can be set");
    }
    let wrong = Wrong::new(luck);
    let lasts = lasts.max(if matches!(wrong, Wrong::Drift(_)) { LONG_DRIFT } else { LONG_JUMP });
    let (began, mut furthest, mut complaints) = (Instant::now(), 0.0_f64, Vec::new());
    let mut asked = JoinSet::new();
    while began.elapsed() < lasts && !stage.curtain.is_cancelled() {
        for (_, clock) in &clocks {
            complaints.extend(clock.set(wrong.offset(began.elapsed())).err().map(|error| error.to_string()));
        }
        if asked.is_empty() && began.elapsed() >= lasts / 4 * 3 {
            // A snapshot is logged: so there is something to be seen. Nobody waits for it: the looks go on meanwhile.
            for (victim, _) in &clocks {
                let client = stage.cluster.client(*victim);
                asked.spawn(async move {
                    let _ = tokio::time::timeout(LOGGING, client.snapshot()).await;
                });
            }
        }
        // Only what is logged from here to the next look counts.
        let (looked, logged) = (Instant::now(), clocks.iter().map(|(_, clock)| clock.logged()).collect::<Vec<u64>>());
        hold(stage, TICK).await;
        for ((_, clock), from) in clocks.iter().zip(logged) {
            let ahead = certain(clock.ahead(from).unwrap_or_default(), looked.elapsed());
            furthest = if ahead.abs() > furthest.abs() { ahead } else { furthest };
        }
    }
    for (_, clock) in &clocks {
        complaints.extend(clock.set(0.0).err().map(|error| error.to_string()));
    }
    let how = match wrong {
        Wrong::Jump(seconds) => format!("a jump of {seconds} s"),
        Wrong::Drift(rate) => format!("at {} times the rate", 1.0 + rate),
    };
    let detail = json!({ "how": how, "seconds ahead, at most": furthest, "complaints": complaints });
    Bite { nodes: victims.to_vec(), effective: Some(furthest.abs() >= NOTICEABLE), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_as_old_as_the_look_proves_nothing() {
        let window = Duration::from_secs(2);
        assert!(certain(-2.0, window).abs() < NOTICEABLE && certain(-3.0, window).abs() < NOTICEABLE);
        assert!(certain(-3.5, window) <= -NOTICEABLE && certain(90.0, window) >= NOTICEABLE);
    }

    #[test]
    fn clocks_jump_and_drift_both_ways() {
        let offsets: Vec<f64> = (0..4_096).map(|luck| Wrong::new(luck * 64).offset(Duration::from_secs(4))).collect();
        for expected in [4.0, -2.0, 90.0, -90.0, 3_600.0, -3_600.0, 86_400.0, -400.0] {
            assert!(offsets.contains(&expected), "{expected}");
        }
    }
}
