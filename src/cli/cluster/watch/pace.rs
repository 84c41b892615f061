//! What two looks say together: how much happened each second between them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::cluster::view::ClusterView;

/// Looks that the sparkline remembers.
const REMEMBERED: usize = 60;

/// How fast a node goes. `None` where it does not say, or started anew in between.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct NodePace {
    /// Checks answered a second.
    pub(super) checks: Option<f64>,
    /// Changes a second.
    pub(super) writes: Option<f64>,
}

/// How fast the cluster goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pace {
    /// Entries committed a second, oldest first.
    pub(super) commits: VecDeque<f64>,
    /// Terms that began since the first look.
    pub(super) elections: u64,
    /// By node id.
    pub(super) nodes: BTreeMap<u64, NodePace>,
}

impl Pace {
    /// Puts the numbers into what a look is as JSON.
    pub(super) fn add_to(&self, view: &mut Value) {
        view["commits_per_second"] = json!(self.commits.back());
        view["elections_seen"] = json!(self.elections);
        let members = view["members"].as_array_mut().into_iter().flatten();
        for member in members {
            let pace = member["node_id"].as_u64().and_then(|id| self.nodes.get(&id)).copied().unwrap_or_default();
            member["checks_per_second"] = json!(pace.checks);
            member["writes_per_second"] = json!(pace.writes);
        }
    }
}

/// Compares each look with the one before.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    last: Option<Sample>,
    first_term: Option<u64>,
    commits: VecDeque<f64>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    committed: u64,
    /// Checks and writes by node id.
    nodes: BTreeMap<u64, (Option<u64>, Option<u64>)>,
}

impl Tracker {
    /// One more look, taken at `at`.
    pub(super) fn take(&mut self, view: &ClusterView, at: Instant) -> Pace {
        let said = || view.rows().filter_map(|(_, said)| said);
        let nodes = said().map(|said| (said.node_id, (said.checks_answered, said.writes_committed))).collect();
        let now = Sample { at, committed: view.committed(), nodes };
        let term = said().map(|said| said.term).chain([view.asked().term]).max().unwrap_or(0);
        let first_term = *self.first_term.get_or_insert(term);
        let mut pace = Pace { elections: term.saturating_sub(first_term), ..Pace::default() };
        if let Some(before) = &self.last {
            let seconds = at.saturating_duration_since(before.at).as_secs_f64();
            if let Some(rate) = per_second(Some(before.committed), Some(now.committed), seconds) {
                self.commits.push_back(rate);
                if self.commits.len() > REMEMBERED {
                    self.commits.pop_front();
                }
            }
            for (id, (checks, writes)) in &now.nodes {
                let (checks_then, writes_then) = before.nodes.get(id).copied().unwrap_or_default();
                let checks = per_second(checks_then, *checks, seconds);
                let writes = per_second(writes_then, *writes, seconds);
                pace.nodes.insert(*id, NodePace { checks, writes });
            }
        }
        pace.commits = self.commits.clone();
        self.last = Some(now);
        pace
    }
}

fn per_second(before: Option<u64>, now: Option<u64>, seconds: f64) -> Option<f64> {
    let grown = now?.checked_sub(before?)?;
    // Counters stay far below 2^52.
    (seconds > 0.0).then(|| grown as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::quorate::v1::{Member, StatusResponse};

    fn view(term: u64, committed: u64, checks: &[(u64, Option<u64>)]) -> ClusterView {
        let said = |(node_id, checks_answered): &(u64, Option<u64>)| StatusResponse {
            node_id: *node_id,
            term,
            committed_index: committed,
            checks_answered: *checks_answered,
            writes_committed: Some(7),
            ..StatusResponse::default()
        };
        let members = checks.iter().map(|(node_id, _)| Member { node_id: *node_id, ..Member::default() }).collect();
        let each: Vec<_> = checks.iter().map(|it| Some(said(it))).collect();
        ClusterView::new(StatusResponse { members, ..said(&checks[0]) }, each)
    }

    #[test]
    fn rates_come_from_two_looks_and_survive_a_restart() {
        let (mut tracker, begin) = (Tracker::default(), Instant::now());
        let first = tracker.take(&view(3, 100, &[(1, Some(10)), (2, None)]), begin);
        assert!(first.commits.is_empty() && first.nodes.is_empty() && first.elections == 0);
        let later = begin + Duration::from_secs(2);
        let pace = tracker.take(&view(5, 150, &[(1, Some(40)), (2, None), (3, Some(9))]), later);
        assert_eq!((pace.commits.back(), pace.elections), (Some(&25.0), 2));
        assert_eq!(pace.nodes[&1], NodePace { checks: Some(15.0), writes: Some(0.0) });
        assert_eq!(pace.nodes[&2].checks, None, "an older version says nothing");
        assert_eq!(pace.nodes[&3], NodePace::default(), "it was not there before");
        let pace = tracker.take(&view(5, 150, &[(1, Some(3))]), later + Duration::from_secs(1));
        assert_eq!((pace.nodes[&1].checks, pace.commits.back()), (None, Some(&0.0)), "it began anew");
        let mut json = view(5, 150, &[(1, Some(3))]).json();
        pace.add_to(&mut json);
        assert_eq!((&json["commits_per_second"], &json["elections_seen"]), (&json!(0.0), &json!(2)));
        assert_eq!(json["members"][0]["writes_per_second"], json!(0.0));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut tracker, begin) = (Tracker::default(), Instant::now());
        let all = (0..200).map(|n| tracker.take(&view(1, n, &[(1, None)]), begin + Duration::from_secs(n)));
        assert_eq!(all.last().expect("many").commits.len(), REMEMBERED);
    }
}
