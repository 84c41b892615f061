//! The openraft type configuration and its short names. openraft's names end at this folder's façade.

use std::fmt;

use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};

use super::snapshot::SnapshotFiles;
use super::state_machine::StateMachine;
use super::{Applied, Command, CommandBody, NodeAddress};

openraft::declare_raft_types!(
    /// What this product replicates. Standard leader ids: one leader a term, as in the Raft paper (section 5.2).
    pub TypeConfig:
        D = Command,
        R = Applied,
        NodeId = u64,
        Node = NodeAddress,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = openraft::impls::TokioRuntime,
);

pub(super) type Entry = <TypeConfig as openraft::RaftTypeConfig>::Entry;
pub(super) type LogId = LogIdOf<TypeConfig>;
pub(super) type StoredMembership = StoredMembershipOf<TypeConfig>;
pub(super) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(super) type Snapshot = SnapshotOf<TypeConfig, SnapshotFiles>;
pub(super) type SnapshotMeta = SnapshotMetaOf<TypeConfig>;
pub(super) type Vote = VoteOf<TypeConfig>;

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.body {
            CommandBody::WriteTuples(_) => "write tuples",
            CommandBody::DeleteTuples(_) => "delete tuples",
            CommandBody::WriteSchema(_) => "write schema",
            CommandBody::ChangeCounter(_) => "change counter",
            CommandBody::AdmitNode(_) => "admit node",
            CommandBody::AdvanceWatermark { .. } => "advance the watermark",
            CommandBody::SetFloors(_) => "set floors",
            CommandBody::RaiseLevel(_) => "raise the feature level",
            CommandBody::PlaceNode { .. } => "place node",
            CommandBody::SetHomeRegion { .. } => "set the home region",
        };
        write!(f, "{kind} (operation {:032x})", self.op_id)
    }
}
