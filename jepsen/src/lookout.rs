//! Looks at the nodes while a run goes on: what they have applied, whether they run, whether any part of them panicked.

use std::sync::Mutex;
use std::time::Duration;

use crate::cluster::{Node, NodeStatus};
use crate::history::{ChainSample, Ended, Ending, Footprint};
use crate::workload::Stage;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(300);
/// Between two measurements of a node, in nanoseconds.
const MEASURED_EVERY_NS: u64 = 2_000_000_000;
/// Endings that are kept; more say nothing new.
const KEPT: usize = 100;
const PANIC: &str = "panicked";

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Lookout {
    chain: Mutex<Vec<ChainSample>>,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    endings: Vec<Ending>,
    footprints: Vec<Footprint>,
    /// By node, whether it was down and how far its log was read.
    nodes: Vec<(bool, u64)>,
}

impl Lookout {
    /// Looks until the curtain falls.
    pub(crate) async fn stand(&self, stage: &Stage) {
        while !stage.curtain.is_cancelled() {
            self.keep(stage, stage.cluster.statuses().await);
            self.look(stage);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks at every node that nobody does anything to.
    pub(crate) fn look(&self, stage: &Stage) {
        let mut watched = self.watched.lock().expect("nothing panics while it holds what was watched");
        for number in 1..=stage.cluster.size() {
            if let Ok(mut node) = stage.cluster.node(number).try_lock() {
                watched.note(stage.recorder.now(), number, &mut node);
                watched.measure(stage.recorder.now(), number, &node);
            }
        }
    }

    /// Keeps what nodes say of themselves.
    pub(crate) fn keep(&self, stage: &Stage, statuses: Vec<(usize, NodeStatus)>) {
        let time = stage.recorder.now();
        let samples = statuses.into_iter().map(|(node, status)| ChainSample {
            time,
            node,
            applied: status.applied,
            hash: status.hash,
            term: status.term,
            leads: status.leads,
            snapshot: status.snapshot,
            purged: status.purged,
        });
        self.chain.lock().expect("nothing panics while it holds the chains").extend(samples);
    }

    /// The hash chains so far.
    pub(crate) fn chain(&self) -> Vec<ChainSample> {
        self.chain.lock().expect("nothing panics while it holds the chains").clone()
    }

    /// What nodes took up so far.
    pub(crate) fn footprints(&self) -> Vec<Footprint> {
        self.watched.lock().expect("nothing panics while it holds what was watched").footprints.clone()
    }

    /// What ended or panicked so far.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.watched.lock().expect("nothing panics while it holds what was watched").endings.clone()
    }
}

impl Watched {
    fn measure(&mut self, time: u64, number: usize, node: &Node) {
        let newest = self.footprints.iter().rev().take_while(|last| last.time + MEASURED_EVERY_NS > time);
        if newest.into_iter().any(|last| last.node == number) {
            return;
        }
        let seen = node.footprint().map(|(process, resident_kib, files)| Footprint {
            time,
            node: number,
            process,
            resident_kib,
            files,
        });
        self.footprints.extend(seen);
    }

    fn note(&mut self, time: u64, number: usize, node: &mut Node) {
        if self.nodes.len() < number {
            self.nodes.resize(number, (false, 0));
        }
        let (was_down, read) = self.nodes[number - 1];
        let (said, read) = node.lines_after(read);
        let is_down = !node.runs() && !node.is_retired();
        self.nodes[number - 1] = (is_down, read);
        let panics = said.lines().filter(|line| line.contains(PANIC)).map(|line| (Ended::Panicked, line.to_owned()));
        let stopped = (is_down && !was_down).then(|| (Ended::Stopped, node.last_words()));
        for (how, words) in panics.chain(stopped) {
            if self.endings.len() < KEPT {
                self.endings.push(Ending { time, node: number, how, words });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_noted_once_and_so_is_each_panic() {
        let logs = std::env::temp_dir().join(format!("quorate-lookout-{}", std::process::id()));
        let mut node = Node::for_test(&logs);
        let mut watched = Watched::default();
        let seen = |watched: &Watched| watched.endings.iter().map(|ending| ending.how).collect::<Vec<_>>();
        watched.note(1, 2, &mut node);
        assert_eq!(seen(&watched), [Ended::Stopped], "it never ran");
        std::fs::write(logs.join("log"), "fine\nthread 'x' panicked at y\n").unwrap();
        for time in 2..4 {
            watched.note(time, 2, &mut node);
            assert_eq!(seen(&watched), [Ended::Stopped, Ended::Panicked]);
        }
        std::fs::remove_dir_all(logs).unwrap();
    }
}
