//! Handing over leadership, without a failed write.
//!
//! openraft's own transfer stops taking proposals for good, whatever becomes of it, and an entry that the next leader lacks is
//! lost to its client: its outcome is unknown. So the writes are held back first, those under way come to their end, and the
//! next leader has the whole log, before openraft is told. What was held back is proposed to whoever leads then. Should the
//! chosen node fail in that moment, the leader is silent by then and the others elect one: nothing is left to undo.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::metrics::RaftMetrics;

use super::change::{ChangeError, Changed, MemberChange};
use super::judge;
use super::roster::Roster;
use crate::raft::clock::monotonic;
use crate::raft::replica::Replica;
use crate::raft::types::TypeConfig;

/// Between two looks at who answers.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Elections that may fail one after another before the outcome is called unknown.
const ELECTIONS: u32 = 4;

impl Replica {
    /// For a node that is about to stop: where it leads, another voter does before this returns; who. `None` where it does not
    /// lead, or is the only voter: then nobody waits for it.
    pub async fn hand_over(self: &Arc<Self>) -> Result<Option<u64>, ChangeError> {
        loop {
            let roster = self.roster();
            if !roster.leads || roster.voters.iter().all(|id| *id == roster.me) {
                return Ok(None);
            }
            match self.change_members_here(MemberChange::TransferLeader { to: None }).await {
                Ok(done) => return Ok(Some(done.leader)),
                Err(ChangeError::Busy) => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// On the leader: makes `to` lead, or a voter of the home region, or the one that has most of the log.
    pub(super) async fn transfer_here(&self, to: Option<u64>) -> Result<Changed, ChangeError> {
        let settings = self.settings();
        let at_home = |id| settings.is_home(id);
        let (roster, node_id) = self.judged(|roster, _| judge::successor(roster, to, at_home)).await?;
        let Some(node_id) = node_id else {
            return Ok(Changed { leader: roster.me, term: roster.term, changed: false });
        };
        let patience = self.election_timeout();
        let pause = self.proposer().pause(monotonic() + patience).await;
        let _pause = pause.ok_or(ChangeError::NotDrained { waited: patience })?;
        self.has_all(node_id, roster.term, patience).await?;
        self.raft().trigger().transfer_leader(node_id).await.map_err(|e| ChangeError::Unknown(e.to_string()))?;
        match self.led_anew(node_id, roster.term, patience * ELECTIONS).await? {
            // Where nobody in particular was asked for, anybody else will do.
            done if done.leader == node_id || (to.is_none() && done.leader != roster.me) => Ok(done),
            Changed { leader, .. } => Err(ChangeError::AnotherLeads { node_id, leader }),
        }
    }

    /// What `judge` says of the members, on the leader. Who leads since a moment ago has not heard of anybody yet, so
    /// somebody's silence counts only when it lasts. `judge` is told when the question was asked.
    pub(super) async fn judged<T>(
        &self,
        judge: impl Fn(&Roster, Instant) -> Result<T, ChangeError>,
    ) -> Result<(Roster, T), ChangeError> {
        let asked = monotonic();
        let deadline = asked + self.election_timeout();
        loop {
            let roster = self.roster();
            if !roster.leads {
                return Err(self.not_leader());
            }
            match judge(&roster, asked) {
                Ok(judgement) => return Ok((roster, judgement)),
                Err(ChangeError::NotAnswering { .. } | ChangeError::QuorumAtRisk { .. }) if monotonic() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What this node knows of the members now.
    pub(super) fn roster(&self) -> Roster {
        Roster::new(&self.metrics(), self.election_timeout())
    }

    /// For so long followers hold to a leader that they do not hear, and this one to a member.
    pub(super) fn election_timeout(&self) -> Duration {
        Duration::from_millis(self.raft().config().election_timeout_max)
    }

    pub(super) fn not_leader(&self) -> ChangeError {
        ChangeError::NotLeader { leader: self.leader().current() }
    }

    /// Waits until `node_id` has everything that this leader has.
    async fn has_all(&self, node_id: u64, term: u64, patience: Duration) -> Result<(), ChangeError> {
        let settled = move |metrics: &RaftMetrics<TypeConfig>| {
            let roster = Roster::new(metrics, patience);
            !roster.leads || roster.term != term || roster.behind(node_id) == 0
        };
        // What counts is looked at below, whether or not it came to be in time.
        let _ = self.raft().wait(Some(patience)).metrics(settled, "the next leader to have the whole log").await;
        let roster = self.roster();
        if !roster.leads || roster.term != term {
            return Err(self.not_leader());
        }
        match roster.behind(node_id) {
            0 => Ok(()),
            entries => Err(ChangeError::Behind { node_id, entries }),
        }
    }

    /// Waits until a later leader is known, and says who it is.
    async fn led_anew(&self, node_id: u64, term: u64, patience: Duration) -> Result<Changed, ChangeError> {
        let led =
            move |metrics: &RaftMetrics<TypeConfig>| metrics.current_term > term && metrics.current_leader.is_some();
        match self.raft().wait(Some(patience)).metrics(led, "another leader").await {
            Ok(RaftMetrics { current_leader: Some(leader), current_term: term, .. }) => {
                Ok(Changed { leader, term, changed: true })
            }
            Ok(_) | Err(_) => {
                Err(ChangeError::Unknown(format!("no leader is known {patience:?} after node {node_id} was chosen")))
            }
        }
    }
}
