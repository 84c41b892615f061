//! The envelope around every message between nodes, and the payloads that are not openraft's.
//!
//! An envelope for another cluster or another node is refused before its payload is looked at: a node whose disk was wiped,
//! or that was given the address of another, can neither vote nor acknowledge in somebody else's name.

use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::raft::NodeAddress;
use crate::wire::quorate::peer::Envelope;

/// Says that the sender was removed from the cluster. Nothing else between nodes has this code.
pub(super) const REMOVED: Code = Code::PermissionDenied;

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
}

impl Kind {
    pub(in crate::raft) fn of(envelope: &Envelope) -> Result<Self, Status> {
        const ALL: [Kind; 10] = [
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
