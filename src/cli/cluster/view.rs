//! A picture of the cluster out of what its nodes said, for people and for programs.

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::output::{Output, table};
use crate::wire::quorate::v1::status_response::State;
use crate::wire::quorate::v1::{Member, StatusResponse};

/// Enough of a hash to tell two apart by eye.
const HASH_SHOWN: usize = 12;

/// What the asked node said, and what each of its members said, in the order of its member list.
pub(super) struct ClusterView {
    asked: StatusResponse,
    members: Vec<Option<StatusResponse>>,
}

impl ClusterView {
    pub(super) fn new(asked: StatusResponse, members: Vec<Option<StatusResponse>>) -> Self {
        assert_eq!(asked.members.len(), members.len(), "one answer, or its absence, for each member");
        Self { asked, members }
    }

    /// What the asked node said.
    pub(super) fn asked(&self) -> &StatusResponse {
        &self.asked
    }

    /// Each member, and what it says of itself.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Member, Option<&StatusResponse>)> {
        self.asked.members.iter().zip(self.members.iter().map(Option::as_ref))
    }

    /// The highest commit that anyone has heard of.
    pub(super) fn committed(&self) -> u64 {
        let known = self.members.iter().flatten().map(|said| said.committed_index);
        known.chain([self.asked.committed_index]).max().unwrap_or(0)
    }

    /// Two members whose states differ at the same index.
    pub(super) fn divergence(&self) -> Option<String> {
        let known: Vec<_> = self.members.iter().flatten().collect();
        for (at, one) in known.iter().enumerate() {
            for other in &known[at + 1..] {
                if one.applied_index == other.applied_index && one.state_hash != other.state_hash {
                    return Some(format!(
                        "nodes {} and {} differ at log index {}: their states are not the same",
                        one.node_id, other.node_id, one.applied_index
                    ));
                }
            }
        }
        None
    }

    /// Who leads, as the asked node has it: it may not have noticed yet that the leader is gone.
    pub(super) fn leader(&self) -> String {
        let id = self.asked.leader_id;
        let answers = self.rows().any(|(member, said)| member.node_id == id && said.is_some());
        match id {
            0 => "no leader is known".to_owned(),
            _ if answers => format!("node {id} leads"),
            _ => format!("node {id} led when last heard of, and does not answer"),
        }
    }

    /// What is settled for the whole cluster, and what an operator may want to settle next.
    fn settings(&self) -> String {
        let level = self.asked.feature_level;
        if level == 0 {
            // A member is at level 1 or above. This one runs a version that knows of none.
            return "feature level not told: the node that was asked runs an earlier version".to_owned();
        }
        let mut text = format!("feature level {level}");
        let everybody = self.members.iter().map(|said| said.as_ref().map(|said| said.highest_feature_level));
        let supported = everybody.min().flatten().unwrap_or(level);
        if supported > level {
            text += &format!("; every member supports {supported}: `quorate cluster upgrade` raises it");
        }
        if !self.asked.home_region.is_empty() {
            text += &format!("; home region {}", self.asked.home_region);
        }
        text
    }

    /// For people.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let asked = &self.asked;
        if asked.state() == State::Waiting {
            output.line("This node waits: it is not a member of any cluster.")?;
            return output.line("Make it the first of a new one with `quorate cluster init`, or let it join one.");
        }
        output.line(format_args!("cluster {}, term {}: {}", asked.lineage, asked.term, self.leader()))?;
        output.line(self.settings())?;
        let mut columns =
            vec!["NODE", "STATE", "VOTE", "CLIENTS", "PEERS", "TERM", "OLDEST", "APPLIED", "LAG", "SNAPSHOT", "HASH"];
        // Where nobody says where he is, there is nothing to show.
        let placed = asked.members.iter().any(|member| !member.region.is_empty() || !member.zone.is_empty());
        if placed {
            columns.extend(["REGION", "ZONE"]);
        }
        let mut rows = table(&columns);
        let committed = self.committed();
        for (member, said) in self.rows() {
            let of = |value: fn(&StatusResponse) -> String| said.map_or_else(|| "-".to_owned(), value);
            let state = said.map_or("no answer", |said| state_name(said.state()));
            let mut row = vec![
                member.node_id.to_string(),
                state.to_owned(),
                if member.voter { "yes" } else { "no" }.to_owned(),
                member.client_address.clone(),
                member.peer_address.clone(),
                of(|said| said.term.to_string()),
                of(|said| said.oldest_index.to_string()),
                of(|said| said.applied_index.to_string()),
                lag_text(committed, member, said),
                of(|said| said.snapshot_index.to_string()),
                of(short_hash),
            ];
            if placed {
                let shown = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
                row.extend([shown(&member.region), shown(&member.zone)]);
            }
            rows.add_row(row);
        }
        output.table(&rows)
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let committed = self.committed();
        let members: Vec<_> = self
            .rows()
            .map(|(member, said)| {
                json!({
                    "node_id": member.node_id,
                    "client_address": member.client_address,
                    "peer_address": member.peer_address,
                    "voter": member.voter,
                    "region": member.region,
                    "zone": member.zone,
                    "matched_index": member.matched_index,
                    "lag": said.map(|said| committed.saturating_sub(said.applied_index)),
                    "status": said.map(status_json),
                })
            })
            .collect();
        let mut view = status_json(&self.asked);
        view["members"] = Value::Array(members);
        view
    }
}

/// What a member has yet to apply; of one that does not answer, what the leader knows of its log.
pub(super) fn lag_text(committed: u64, member: &Member, said: Option<&StatusResponse>) -> String {
    match (said, member.matched_index) {
        (Some(said), _) => committed.saturating_sub(said.applied_index).to_string(),
        (None, Some(matched)) => format!("{} (log)", committed.saturating_sub(matched)),
        (None, None) => "-".to_owned(),
    }
}

/// The beginning of the hash of its state.
pub(super) fn short_hash(said: &StatusResponse) -> String {
    said.state_hash.chars().take(HASH_SHOWN).collect()
}

fn status_json(said: &StatusResponse) -> Value {
    json!({
        "node_id": said.node_id,
        "state": state_name(said.state()),
        "lineage": said.lineage,
        "term": said.term,
        "leader_id": said.leader_id,
        "last_log_index": said.last_log_index,
        "committed_index": said.committed_index,
        "oldest_index": said.oldest_index,
        "applied_index": said.applied_index,
        "snapshot_index": said.snapshot_index,
        "purged_index": said.purged_index,
        "state_hash": said.state_hash,
        "log_entries_appended": said.log_entries_appended,
        "log_fsyncs": said.log_fsyncs,
        "version": said.version,
        "state_age_ms": said.state_age_ms,
        "checks_answered": said.checks_answered,
        "writes_committed": said.writes_committed,
        "leader_changes": said.leader_changes,
        "feature_level": said.feature_level,
        "highest_feature_level": said.highest_feature_level,
        "home_region": said.home_region,
    })
}

/// A node's state as people read it.
pub(in crate::cli) fn state_name(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Waiting => "waiting",
        State::Learner => "learner",
        State::Follower => "follower",
        State::Candidate => "candidate",
        State::Leader => "leader",
        State::Faulted => "faulted",
        State::Removed => "removed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(node_id: u64, applied_index: u64, state_hash: &str) -> StatusResponse {
        StatusResponse {
            node_id,
            applied_index,
            committed_index: applied_index,
            state_hash: state_hash.to_owned(),
            ..StatusResponse::default()
        }
    }

    fn view(members: Vec<Option<StatusResponse>>) -> ClusterView {
        let named = members.iter().zip(1..).map(|(_, node_id)| Member { node_id, ..Member::default() });
        let asked = StatusResponse { members: named.collect(), ..said(1, 10, "aa") };
        ClusterView::new(asked, members)
    }

    #[test]
    fn different_hashes_count_at_the_same_index_only() {
        assert_eq!(view(vec![Some(said(1, 10, "aa")), Some(said(2, 9, "bb")), None]).divergence(), None);
        assert_eq!(view(vec![Some(said(1, 10, "aa")), Some(said(2, 10, "aa"))]).divergence(), None);
        let problem = view(vec![Some(said(1, 10, "aa")), None, Some(said(3, 10, "bb"))]).divergence().unwrap();
        assert!(problem.contains("nodes 1 and 3 differ at log index 10"), "{problem}");
    }

    #[test]
    fn a_leader_that_does_not_answer_is_not_called_one() {
        for (leader_id, expected) in [(0, "no leader"), (1, "node 1 leads"), (2, "does not answer")] {
            let mut view = view(vec![Some(said(1, 10, "aa")), None]);
            view.asked.leader_id = leader_id;
            assert!(view.leader().contains(expected), "{leader_id}: {}", view.leader());
        }
    }

    #[test]
    fn an_upgrade_is_proposed_when_every_member_is_known_to_be_ready_for_it() {
        let at = |highest: &[Option<u32>]| {
            let said = |highest| StatusResponse { highest_feature_level: highest, ..said(1, 10, "aa") };
            let mut view = view(highest.iter().map(|highest| highest.map(said)).collect());
            view.asked.feature_level = 1;
            view.settings()
        };
        assert_eq!(at(&[Some(1), Some(2)]), "feature level 1");
        assert!(view(vec![None]).settings().contains("earlier version"), "who tells no level knows of none");
        assert_eq!(at(&[Some(2), None]), "feature level 1", "one does not answer");
        assert!(at(&[Some(2), Some(3)]).contains("every member supports 2"), "{}", at(&[Some(2), Some(3)]));
    }

    #[test]
    fn lag_is_measured_against_the_highest_known_commit() {
        let json = view(vec![Some(said(1, 10, "aa")), Some(said(2, 25, "bb")), None]).json();
        let lags: Vec<_> = json["members"].as_array().unwrap().iter().map(|m| m["lag"].clone()).collect();
        assert_eq!(lags, [json!(15), json!(0), Value::Null]);
    }
}
