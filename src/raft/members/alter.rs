//! Giving a vote, taking it back, and letting a member go; on the leader.
//!
//! A vote is given and taken by joint consensus (Raft dissertation, section 4.3), and only where a majority of the voters
//! before and after answers: what cannot be committed is not begun. A voter is let go in two steps, of which each leaves a
//! sound cluster: first it becomes a learner, and hears of it, so that it calls no elections; then it is no member any more.
//! The leader hands over before it loses its vote.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::{Duration, Instant};

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::metrics::RaftMetrics;

use super::change::{ChangeError, Changed};
use super::judge;
use super::roster::Roster;
use crate::raft::NodeAddress;
use crate::raft::clock::monotonic;
use crate::raft::leader::LeaderWatch;
use crate::raft::replica::Replica;
use crate::raft::types::{LogId, TypeConfig};

/// How long a change may wait for a majority before its outcome is called unknown.
pub(super) const COMMIT_LIMIT: Duration = Duration::from_secs(20);
/// How long a learner that is to get a vote may take to catch up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(15);
/// Between two attempts to finish what was left half done.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// How long a leader may take to apply the change to the members that came before.
pub(super) const APPLY_LIMIT: Duration = Duration::from_secs(5);

type Members = ChangeMembers<u64, NodeAddress>;

impl Replica {
    /// Gives `node_id` a vote, once it has caught up.
    pub(super) async fn promote_member(&self, node_id: u64) -> Result<Changed, ChangeError> {
        let roster = self.settled_roster().await?;
        if !self.is_member(&roster, node_id)? {
            return Err(ChangeError::UnknownNode { node_id });
        }
        if roster.voters.contains(&node_id) {
            return Ok(unchanged(&roster));
        }
        self.judged(|roster, _| judge::answers(roster, node_id)).await?;
        self.caught_up(node_id, monotonic() + CATCH_UP_LIMIT).await?;
        let asked = self.may_vote(node_id).await?;
        self.give_vote(node_id, asked).await
    }

    /// Waits until a member may get a vote; since when those that are needed for it have answered.
    pub(super) async fn may_vote(&self, node_id: u64) -> Result<Instant, ChangeError> {
        let (_, asked) = self.judged(|roster, asked| judge::may_vote(roster, node_id, asked).map(|()| asked)).await?;
        Ok(asked)
    }

    /// Gives a member that has caught up a vote, where that leaves a majority that answers: looked at since `asked`, and once
    /// more now that nobody else changes the members.
    pub(super) async fn give_vote(&self, node_id: u64, asked: Instant) -> Result<Changed, ChangeError> {
        let roster = self.settled_roster().await?;
        if !self.is_member(&roster, node_id)? {
            return Err(ChangeError::UnknownNode { node_id });
        }
        if roster.voters.contains(&node_id) {
            return Ok(unchanged(&roster));
        }
        judge::may_vote(&roster, node_id, asked)?;
        self.commit(ChangeMembers::AddVoterIds(BTreeSet::from([node_id]))).await?;
        Ok(Changed { changed: true, ..unchanged(&roster) })
    }

    /// Makes `node_id` a learner that keeps its data.
    pub(super) async fn demote_member(&self, node_id: u64) -> Result<Changed, ChangeError> {
        let roster = self.settled_roster().await?;
        if !self.is_member(&roster, node_id)? {
            return Err(ChangeError::UnknownNode { node_id });
        }
        if !roster.voters.contains(&node_id) {
            return Ok(unchanged(&roster));
        }
        self.take_vote(&roster, node_id).await?;
        Ok(Changed { changed: true, ..unchanged(&roster) })
    }

    /// Lets `node_id` go for good.
    pub(super) async fn remove_member(&self, node_id: u64) -> Result<Changed, ChangeError> {
        let roster = self.settled_roster().await?;
        match self.is_member(&roster, node_id) {
            Ok(true) => {}
            Ok(false) => return Err(ChangeError::UnknownNode { node_id }),
            Err(ChangeError::Removed { .. }) => return Ok(unchanged(&roster)),
            Err(error) => return Err(error),
        }
        let voted = roster.voters.contains(&node_id);
        // A leader may lead without a vote for a while; it hands over all the same.
        if voted || node_id == roster.me {
            self.take_vote(&roster, node_id).await?;
        }
        let removed = self.commit(ChangeMembers::RemoveNodes(BTreeSet::from([node_id]))).await;
        removed.map_err(|error| if voted { error.once_begun() } else { error })?;
        Ok(Changed { changed: true, ..unchanged(&roster) })
    }

    /// Takes the vote of a voter. The leader hands over instead: whoever leads then is to be asked.
    async fn take_vote(&self, roster: &Roster, node_id: u64) -> Result<(), ChangeError> {
        let mut next = roster.voters.clone();
        next.remove(&node_id);
        let (roster, ()) = self.judged(|roster, asked| judge::keeps_quorum(roster, &next, asked)).await?;
        if node_id == roster.me {
            return match self.transfer_here(None).await {
                Ok(_) | Err(ChangeError::AnotherLeads { .. }) => Err(self.not_leader()),
                Err(error) => Err(error),
            };
        }
        let at = self.commit(ChangeMembers::RemoveVoters(BTreeSet::from([node_id]))).await?;
        if judge::answers(&roster, node_id).is_ok() {
            // It may fall silent just now; then it will hear of it when it comes back, or need not.
            let heard = move |metrics: &RaftMetrics<TypeConfig>| {
                let matched = metrics.replication.as_ref().and_then(|all| all.get(&node_id).copied().flatten());
                matched.is_none_or(|matched| matched.index >= at)
            };
            let _ = self.raft().wait(Some(self.election_timeout())).metrics(heard, "a node to lose its vote").await;
        }
        Ok(())
    }

    /// The members, when this node leads, no half-made change is left over from a leader before it, and it knows who was
    /// removed.
    pub(super) async fn settled_roster(&self) -> Result<Roster, ChangeError> {
        let roster = self.roster();
        if !roster.leads {
            return Err(self.not_leader());
        }
        if roster.joint {
            // Towards the later of the two sets of voters; whoever has no vote any more stays a learner.
            self.commit(ChangeMembers::AddVoterIds(BTreeSet::new())).await?;
        }
        self.members_applied().await?;
        Ok(self.roster())
    }

    /// Waits until the members that this leader goes by are applied: until then it may not know of everybody who was removed.
    async fn members_applied(&self) -> Result<(), ChangeError> {
        let at = self.members_since();
        let mut applied = self.applied();
        let reached = applied.wait_for(|mark| mark.revision.index() >= at.map_or(0, |id| id.index));
        match tokio::time::timeout(APPLY_LIMIT, reached).await {
            Ok(Ok(_)) if self.roster().leads => Ok(()),
            Ok(_) => Err(self.not_leader()),
            Err(_) => Err(ChangeError::Busy),
        }
    }

    /// The log entry that made the members what they are, committed or not.
    fn members_since(&self) -> Option<LogId> {
        *self.metrics().membership_config.log_id()
    }

    /// Finishes what a leader before this one left half done, as soon as this node leads. For as long as the replica lives.
    ///
    /// It tries until it is done: who leads since a moment ago may have no lease yet, and no change would tell of it later.
    pub(in crate::raft) async fn keep_settled(replica: Weak<Self>, mut leader: LeaderWatch) {
        let mut told = None;
        loop {
            if !leader.leads_half_changed() {
                told = None;
                if !leader.changed().await {
                    return;
                }
                continue;
            }
            let Some(replica) = replica.upgrade() else { return };
            // Whoever has the turn settles it.
            if let Ok(_turn) = replica.changing().try_lock()
                && let Err(error) = replica.settled_roster().await
                && told.as_ref() != Some(&error)
            {
                tracing::info!(%error, "a change to the members that was left half done is not finished yet");
                told = Some(error);
            }
            drop(replica);
            if tokio::time::timeout(SETTLE_EVERY, leader.changed()).await == Ok(false) {
                return;
            }
        }
    }

    /// Waits until a member lacks little of the log.
    pub(super) async fn caught_up(&self, node_id: u64, deadline: Instant) -> Result<(), ChangeError> {
        let patience = self.election_timeout();
        let reached = move |metrics: &RaftMetrics<TypeConfig>| {
            let roster = Roster::new(metrics, patience);
            !roster.leads || judge::caught_up(&roster, node_id).is_ok()
        };
        let left = deadline.saturating_duration_since(monotonic());
        // What counts is looked at below, whether or not it came to be in time.
        let _ = self.raft().wait(Some(left)).metrics(reached, "a learner to catch up").await;
        let roster = self.roster();
        if !roster.leads {
            return Err(self.not_leader());
        }
        judge::caught_up(&roster, node_id)
    }

    /// Whether `node_id` is a member now; one that was and will never be again is an error.
    pub(super) fn is_member(&self, roster: &Roster, node_id: u64) -> Result<bool, ChangeError> {
        if roster.standings.contains_key(&node_id) {
            return Ok(true);
        }
        if self.retired().contains(&node_id) { Err(ChangeError::Removed { node_id }) } else { Ok(false) }
    }

    /// Commits a change to the membership, so that this node knows of it; the index of its last entry.
    pub(super) async fn commit(&self, change: Members) -> Result<u64, ChangeError> {
        let before = self.members_since();
        let committed = tokio::time::timeout(COMMIT_LIMIT, self.raft().change_membership(change, true)).await;
        let unknown = |_| ChangeError::Unknown(format!("no majority confirmed it within {COMMIT_LIMIT:?}"));
        match committed.map_err(unknown)?.map_err(failed) {
            Ok(last) => {
                // What is known of the members is told a moment later, and the next change must not be judged by less.
                let at = Some(last.log_id);
                let told = move |metrics: &RaftMetrics<TypeConfig>| *metrics.membership_config.log_id() >= at;
                let _ = self.raft().wait(Some(self.election_timeout())).metrics(told, "a change to the members").await;
                Ok(last.log_id.index)
            }
            // An entry is in the log, and the next leader may have it.
            Err(error) if self.members_since() != before => Err(error.once_begun()),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn unchanged(roster: &Roster) -> Changed {
    Changed { leader: roster.me, term: roster.term, changed: false }
}

fn failed(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ChangeError::NotLeader { leader: forward.leader_id.zip(forward.leader_node) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
            ChangeError::Busy
        }
        other => ChangeError::Unknown(other.to_string()),
    }
}
