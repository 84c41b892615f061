//! What can be asked of the members of a cluster, and what becomes of it. Sent between nodes, so variants are appended.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Error, ErrorCode};
use crate::raft::{FeatureLevel, NodeAddress, SupportedLevels};

/// A change to the members, or to who leads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// Another voter is to lead: this one, or whoever has most of the log.
    TransferLeader {
        /// Who.
        to: Option<u64>,
    },
    /// A learner is to get a vote, once it has caught up.
    Promote {
        /// Which.
        node_id: u64,
    },
    /// A voter is to become a learner, with all its data.
    Demote {
        /// Which.
        node_id: u64,
    },
    /// A member is to be one no more. Its id is never used again.
    Remove {
        /// Which.
        node_id: u64,
    },
    /// The feature level is to be raised, for good.
    RaiseLevel {
        /// To which.
        to: FeatureLevel,
    },
}

/// It is as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Who leads now.
    pub leader: u64,
    /// Its term.
    pub term: u64,
    /// Whether anything had to be done for it.
    pub changed: bool,
}

/// Why it is not as was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ChangeError {
    /// The node that was asked does not lead; it did nothing.
    #[error("nothing was changed: no leader could be reached in time; is a majority of the voters up?")]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<(u64, NodeAddress)>,
    },
    /// Another change is under way.
    #[error("nothing was changed: another change to the members is under way; wait until it is done")]
    Busy,
    /// No member has this id.
    #[error(
        "nothing was changed: node {node_id} is no member of this cluster; `quorate cluster status` lists the members"
    )]
    UnknownNode {
        /// Which.
        node_id: u64,
    },
    /// A learner cannot lead.
    #[error("nothing was changed: node {node_id} is a learner, and only a voter can lead; promote it first")]
    NotVoter {
        /// Which.
        node_id: u64,
    },
    /// There is no voter beside the leader.
    #[error(
        "nothing was changed: the leader is the only voter, so nobody else can lead; join or promote another one first"
    )]
    NoOtherVoter,
    /// The node has not answered the leader lately.
    #[error(
        "nothing was changed: node {node_id} does not answer the leader; start it, or repair the network, and try again"
    )]
    NotAnswering {
        /// Which.
        node_id: u64,
    },
    /// The node lacks more of the log than it may.
    #[error(
        "nothing was changed: node {node_id} is {entries} log entries behind; wait until `quorate cluster status` shows that \
         it has caught up, and try again"
    )]
    Behind {
        /// Which.
        node_id: u64,
        /// By how much.
        entries: u64,
    },
    /// The writes under way did not come to an end, so the leader kept its place.
    #[error(
        "nothing was changed: the writes under way did not end within {waited:?}; does a majority of the voters answer?"
    )]
    NotDrained {
        /// How long was waited.
        waited: Duration,
    },
    /// Leadership moved, and to another node than the one that was asked for.
    #[error("node {leader} leads now, and not node {node_id}, which was asked for; ask again if that matters")]
    AnotherLeads {
        /// Who was asked for.
        node_id: u64,
        /// Who leads.
        leader: u64,
    },
    /// It would leave voters of whom no majority answers, and nothing could be committed any more.
    #[error(
        "nothing was changed: of the voters {voters:?} only {answering:?} answer, which is no majority; start the others, or \
         remove those that are gone, and try again"
    )]
    QuorumAtRisk {
        /// The voters before the change, or after it.
        voters: BTreeSet<u64>,
        /// Those of them that answer.
        answering: BTreeSet<u64>,
    },
    /// A cluster without a voter is none.
    #[error("nothing was changed: it is the only voter; join or promote another node first")]
    LastVoter,
    /// The node was a member once.
    #[error(
        "nothing was changed: node {node_id} was removed, and an id is never used again; empty its data folder and join it anew"
    )]
    Removed {
        /// Which.
        node_id: u64,
    },
    /// The leader lost its place half way; the next one goes on when it is asked.
    #[error("the change was begun and is not finished; ask again")]
    Interrupted,
    /// It was begun, and whether it took effect is not known.
    #[error(
        "the outcome of the change is not known ({0}); see `quorate cluster status`, and ask again: that does no harm"
    )]
    Unknown(String),
    /// A member, or who wants to become one, runs a program that cannot be a member at that level.
    #[error(
        "nothing was changed: the version that node {node_id} runs supports feature levels {supported}, and not {level}; start \
         another version on it"
    )]
    LevelUnsupported {
        /// Which.
        node_id: u64,
        /// What it supports.
        supported: SupportedLevels,
        /// What it would have to.
        level: FeatureLevel,
    },
    /// The cluster is above the level that was asked for.
    #[error("nothing was changed: the cluster is at feature level {level}, and a level is never lowered")]
    LevelPassed {
        /// The cluster's.
        level: FeatureLevel,
    },
    /// A member says that it is reached where it is not.
    #[error(
        "nothing was changed: node {node_id} says that it moved, and does not answer where it says that it is ({why}); see \
         `peer.advertise`"
    )]
    NotThere {
        /// Which.
        node_id: u64,
        /// What was found there.
        why: String,
    },
    /// The leader runs a version that knows no such change. Said by the node that asked it.
    #[error(
        "nothing was changed: node {leader} leads, and the version that it runs does not know of such a change; upgrade it \
         as well, and ask again"
    )]
    LeaderTooOld {
        /// Who leads.
        leader: u64,
    },
}

impl ChangeError {
    /// Whether the same change is to be asked for again soon. One that was `begun` is not left half done because the next
    /// leader is busy finishing it.
    pub(super) fn passes(&self, begun: bool) -> bool {
        match self {
            Self::NotLeader { .. } | Self::Interrupted => true,
            Self::Busy => begun,
            Self::UnknownNode { .. }
            | Self::NotVoter { .. }
            | Self::NoOtherVoter
            | Self::NotAnswering { .. }
            | Self::Behind { .. }
            | Self::NotDrained { .. }
            | Self::AnotherLeads { .. }
            | Self::QuorumAtRisk { .. }
            | Self::LastVoter
            | Self::Removed { .. }
            | Self::LevelUnsupported { .. }
            | Self::LevelPassed { .. }
            | Self::NotThere { .. }
            | Self::LeaderTooOld { .. }
            | Self::Unknown(_) => false,
        }
    }

    /// What to say where the change was begun before: not that nothing was changed.
    #[must_use]
    pub(super) fn once_begun(self) -> Self {
        match self {
            Self::NotLeader { .. }
            | Self::Busy
            | Self::UnknownNode { .. }
            | Self::NotVoter { .. }
            | Self::NoOtherVoter
            | Self::NotAnswering { .. }
            | Self::Behind { .. }
            | Self::NotDrained { .. }
            | Self::QuorumAtRisk { .. }
            | Self::LastVoter
            | Self::Removed { .. }
            | Self::LevelUnsupported { .. }
            | Self::LevelPassed { .. }
            | Self::NotThere { .. }
            | Self::LeaderTooOld { .. }
            | Self::Interrupted => Self::Interrupted,
            known @ (Self::AnotherLeads { .. } | Self::Unknown(_)) => known,
        }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        let code = match &error {
            ChangeError::NotLeader { .. } | ChangeError::NotDrained { .. } => ErrorCode::Unavailable,
            ChangeError::Busy => ErrorCode::MembersBusy,
            ChangeError::UnknownNode { .. } => ErrorCode::UnknownNode,
            ChangeError::NotVoter { .. }
            | ChangeError::NoOtherVoter
            | ChangeError::Removed { .. }
            | ChangeError::LevelUnsupported { .. }
            | ChangeError::LevelPassed { .. }
            | ChangeError::LeaderTooOld { .. } => ErrorCode::WrongState,
            ChangeError::QuorumAtRisk { .. } | ChangeError::LastVoter => ErrorCode::QuorumAtRisk,
            ChangeError::NotAnswering { .. } | ChangeError::Behind { .. } | ChangeError::NotThere { .. } => {
                ErrorCode::NodeBehind
            }
            ChangeError::AnotherLeads { .. } => ErrorCode::AnotherLeads,
            ChangeError::Interrupted | ChangeError::Unknown(_) => ErrorCode::OutcomeUnknown,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_neither_given_up_nor_called_unchanged() {
        let (node_id, voters) = (2, BTreeSet::from([1, 2]));
        let unknown = ChangeError::Unknown("no answer".into());
        let (supported, level) = (SupportedLevels::UNANNOUNCED, FeatureLevel::LOCALITIES);
        // An error, whether the change is asked for again: at first, and once it was begun.
        let cases = [
            (ChangeError::NotLeader { leader: None }, true, true),
            (ChangeError::Interrupted, true, true),
            (ChangeError::Busy, false, true),
            (ChangeError::UnknownNode { node_id }, false, false),
            (ChangeError::NotVoter { node_id }, false, false),
            (ChangeError::NoOtherVoter, false, false),
            (ChangeError::NotAnswering { node_id }, false, false),
            (ChangeError::Behind { node_id, entries: 7 }, false, false),
            (ChangeError::NotDrained { waited: Duration::ZERO }, false, false),
            (ChangeError::AnotherLeads { node_id, leader: 3 }, false, false),
            (ChangeError::QuorumAtRisk { answering: voters.clone(), voters }, false, false),
            (ChangeError::LastVoter, false, false),
            (ChangeError::Removed { node_id }, false, false),
            (ChangeError::LevelUnsupported { node_id, supported, level }, false, false),
            (ChangeError::LevelPassed { level }, false, false),
            (ChangeError::NotThere { node_id, why: "nobody".into() }, false, false),
            (ChangeError::LeaderTooOld { leader: 3 }, false, false),
            (unknown, false, false),
        ];
        for (error, at_first, once_begun) in cases {
            assert_eq!((error.passes(false), error.passes(true)), (at_first, once_begun), "{error}");
            let unchanged = error.to_string().starts_with("nothing was changed");
            let expected = if unchanged { ChangeError::Interrupted } else { error.clone() };
            assert_eq!(error.once_begun(), expected);
        }
    }
}
