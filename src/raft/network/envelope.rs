//! The envelope around every message between nodes, and the payloads that are not openraft's.
//!
//! An envelope for another cluster or another node is refused before its payload is looked at: a node whose disk was wiped,
//! or that was given the address of another, can neither vote nor acknowledge in somebody else's name.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::raft::NodeAddress;
use crate::wire::quorate::peer::Envelope;

/// Which message a payload holds. Numbers are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::raft) enum Kind {
    Append = 1,
    Vote = 2,
    PreVote = 3,
    TransferLeader = 4,
    Snapshot = 5,
    Propose = 6,
    ReadIndex = 7,
    Admit = 8,
    Promote = 9,
    ChangeMembers = 10,
    Status = 11,
    ProposeMany = 12,
}

impl Kind {
    /// Whether it is sent because somebody asked this node for something, and is a part of that request's trace.
    pub(super) fn is_for_a_request(self) -> bool {
        matches!(self, Self::Propose | Self::ReadIndex | Self::ChangeMembers)
    }

    pub(in crate::raft) fn of(envelope: &Envelope) -> Result<Self, Status> {
        const ALL: [Kind; 12] = [
            Kind::Append,
            Kind::Vote,
            Kind::PreVote,
            Kind::TransferLeader,
            Kind::Snapshot,
            Kind::Propose,
            Kind::ReadIndex,
            Kind::Admit,
            Kind::Promote,
            Kind::ChangeMembers,
            Kind::Status,
            Kind::ProposeMany,
        ];
        let known = ALL.into_iter().find(|kind| *kind as u32 == envelope.kind);
        known.ok_or_else(|| {
            Status::unimplemented(format!(
                "message kind {} is not known to this version: upgrade this node",
                envelope.kind
            ))
        })
    }
}

/// Who a node is, in every message that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::raft) struct PeerIdentity {
    /// The cluster's lineage; 0 before the node belongs to one.
    pub lineage: u64,
    /// The node's id; 0 before it has one.
    pub node_id: u64,
}

impl PeerIdentity {
    /// Refuses what is not for this node.
    pub(super) fn check(self, envelope: &Envelope, kind: Kind) -> Result<(), Status> {
        // Who wants to join belongs to no cluster yet, and knows members by their addresses alone.
        let stranger = kind == Kind::Admit && envelope.lineage == 0;
        let anyone = matches!(kind, Kind::Admit | Kind::Promote) && envelope.to == 0;
        if envelope.lineage != self.lineage && !stranger {
            return Err(Status::failed_precondition(format!(
                "this node belongs to cluster {:016x} and the message is from another cluster, {:016x}: check the peer \
                 addresses",
                self.lineage, envelope.lineage
            )));
        }
        if envelope.to != self.node_id && !anyone {
            return Err(Status::failed_precondition(format!(
                "this node has id {} and the message is for node {}: an address was given to another node",
                self.node_id, envelope.to
            )));
        }
        Ok(())
    }
}

/// What is in the details of [`Removal::to_status`], which nothing but a node writes.
const DOMAIN: &str = "quorate.peer";
const REMOVED: &str = "NODE_REMOVED";
const LINEAGE: &str = "lineage";
const NODE_ID: &str = "node_id";

/// The word of a node that another one was removed from their cluster.
///
/// Who hears it never serves again, so the code of a status is not enough: whatever stands between two nodes can answer with a
/// code, as a proxy does that forbids something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal(PeerIdentity);

impl Removal {
    /// Node `node_id` of the cluster `lineage` was removed.
    pub(super) fn new(lineage: u64, node_id: u64) -> Self {
        Self(PeerIdentity { lineage, node_id })
    }

    /// Whether it is `identity` that was removed.
    pub(super) fn is_of(self, identity: PeerIdentity) -> bool {
        self.0 == identity
    }

    /// As it is sent.
    pub(super) fn to_status(self) -> Status {
        let PeerIdentity { lineage, node_id } = self.0;
        let who =
            HashMap::from([(LINEAGE.to_owned(), format!("{lineage:016x}")), (NODE_ID.to_owned(), node_id.to_string())]);
        let details = ErrorDetails::with_error_info(REMOVED, DOMAIN, who);
        let message = format!("node {node_id} was removed from the cluster");
        Status::with_error_details(Code::PermissionDenied, message, details)
    }

    /// What `status` says, if it says that.
    pub(super) fn of_status(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info().filter(|_| status.code() == Code::PermissionDenied)?;
        if (info.domain.as_str(), info.reason.as_str()) != (DOMAIN, REMOVED) {
            return None;
        }
        let lineage = u64::from_str_radix(info.metadata.get(LINEAGE)?, 16).ok()?;
        Some(Self::new(lineage, info.metadata.get(NODE_ID)?.parse().ok()?))
    }
}

/// A node that has no cluster yet asks for an id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::raft) struct AdmitRequest {
    pub address: NodeAddress,
}

/// What a node needs to become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::raft) struct Admitted {
    pub lineage: u64,
    pub node_id: u64,
}

/// An admitted node asks to be made a learner, and then perhaps a voter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::raft) struct PromoteRequest {
    pub node_id: u64,
    pub address: NodeAddress,
    /// Whether it wants a vote.
    pub voter: bool,
}

/// Why the node that was asked did not do it. It surely did nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::raft) enum Rejection {
    /// Another node leads, or none does.
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<(u64, NodeAddress)>,
    },
    /// The leader could not confirm with a quorum that it leads.
    NotConfirmed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_for_one_node_of_one_cluster() {
        let me = PeerIdentity { lineage: 7, node_id: 2 };
        // The kind, the cluster and the node that the message is for, and whether it is this one.
        let cases = [
            (Kind::Append, 7, 2, true),
            (Kind::Append, 7, 3, false),
            (Kind::Append, 7, 0, false),
            (Kind::Append, 8, 2, false),
            (Kind::Append, 0, 2, false),
            (Kind::Vote, 0, 0, false),
            (Kind::Propose, 8, 2, false),
            (Kind::Status, 7, 0, false),
            (Kind::Admit, 0, 0, true),
            (Kind::Admit, 7, 0, true),
            (Kind::Admit, 8, 0, false),
            (Kind::Admit, 0, 3, false),
            (Kind::Promote, 7, 0, true),
            (Kind::Promote, 7, 2, true),
            (Kind::Promote, 7, 3, false),
            (Kind::Promote, 0, 0, false),
        ];
        for (kind, lineage, to, expected) in cases {
            let envelope = Envelope { lineage, to, ..Envelope::default() };
            let checked = me.check(&envelope, kind);
            assert_eq!(checked.is_ok(), expected, "{kind:?} for {lineage}/{to}: {checked:?}");
        }
    }

    #[test]
    fn a_removal_is_heard_from_a_node_and_from_nothing_else() {
        let removal = Removal::new(0xab, 3);
        let said = removal.to_status();
        assert_eq!(Removal::of_status(&said), Some(removal));
        let info = said.get_details_error_info().expect("it has details");
        let with = |code, domain: &str, reason: &str| {
            Status::with_error_details(code, "", ErrorDetails::with_error_info(reason, domain, info.metadata.clone()))
        };
        for other in [
            Status::permission_denied("by a proxy"),
            with(Code::PermissionDenied, "elsewhere", REMOVED),
            with(Code::PermissionDenied, DOMAIN, "FORBIDDEN"),
            with(Code::Unavailable, DOMAIN, REMOVED),
        ] {
            assert_eq!(Removal::of_status(&other), None, "{other:?}");
        }
    }
}
