//! Raising the feature level; on the leader.
//!
//! Only where every member, the learners too, has said since the question was asked that its program supports the new level:
//! one that is down may come back with another. The command names those members, and apply refuses it where somebody else is a
//! member by then. Whoever wants to become one is judged by a leader that has applied all it has, in the same turn.

use crate::raft::clock::monotonic;
use crate::raft::network::Rejection;
use crate::raft::replica::Replica;
use crate::raft::{Applied, CommandBody, FeatureLevel, Outcome, ProposeError, RaiseLevel, Refusal};

use super::alter::{APPLY_LIMIT, COMMIT_LIMIT, unchanged};
use super::change::{ChangeError, Changed};
use super::judge;

impl Replica {
    /// Raises the cluster to `to`.
    pub(super) async fn raise_level(&self, to: FeatureLevel) -> Result<Changed, ChangeError> {
        let roster = self.settled_roster().await?;
        self.log_applied().await?;
        let level = self.settings().level;
        if to == level {
            return Ok(unchanged(&roster));
        }
        if to < level {
            return Err(ChangeError::LevelPassed { level });
        }
        let own = self.peers().announcement().levels;
        let (roster, ()) =
            self.judged(|roster, asked| judge::supports(roster, own, &self.peers().heard(), to, asked)).await?;
        let members = roster.standings.keys().copied().collect();
        let raise = CommandBody::RaiseLevel(RaiseLevel { to, members });
        // Here and by no other leader, which might just be taking in a member that does not support it.
        let proposed = tokio::time::timeout(COMMIT_LIMIT, self.proposer().propose_here(rand::random(), raise)).await;
        let unknown = |_| ChangeError::Unknown(format!("no majority confirmed it within {COMMIT_LIMIT:?}"));
        match proposed.map_err(unknown)? {
            Ok(Ok(Applied { outcome, .. })) => match outcome {
                Outcome::Refused(Refusal::WrongLevel { current }) => Err(ChangeError::LevelPassed { level: current }),
                Outcome::Refused(_) => Err(ChangeError::Busy),
                Outcome::Done | Outcome::Deleted { .. } | Outcome::Admitted { .. } => {
                    tracing::info!(level = %to, "the feature level was raised");
                    Ok(Changed { changed: true, ..unchanged(&roster) })
                }
            },
            Ok(Err(ProposeError::Unknown(why))) => Err(ChangeError::Unknown(why)),
            Ok(Err(ProposeError::NotProposed(_) | ProposeError::Overloaded | ProposeError::TooLarge { .. })) => {
                Err(ChangeError::Busy)
            }
            Err(Rejection::NotLeader { leader }) => Err(ChangeError::NotLeader { leader }),
            Err(Rejection::NotConfirmed(_)) => Err(self.not_leader()),
        }
    }

    /// Waits until this leader has applied all that it has: until then, what came before its term may be unknown to it.
    pub(super) async fn log_applied(&self) -> Result<(), ChangeError> {
        let end = self.roster().last_log;
        let mut applied = self.applied();
        let reached = applied.wait_for(|mark| mark.revision.index() >= end);
        let waited =
            tokio::time::timeout_at((monotonic() + APPLY_LIMIT).into(), reached).await.is_ok_and(|r| r.is_ok());
        match waited {
            _ if !self.roster().leads => Err(self.not_leader()),
            true => Ok(()),
            false => Err(ChangeError::Busy),
        }
    }
}
