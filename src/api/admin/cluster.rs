//! `quorate.v1.ClusterService`.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::api::deadline::deadline;
use crate::api::errors::to_status;
use crate::model::{Error, ErrorCode};
use crate::service::{
    Changed, ClusterAdmin, ClusterStatus, JoinAs, JoinProgress, JoinStage, MemberChange, MemberStatus, NodeState,
};
use crate::wire::quorate::v1 as wire;
use crate::wire::quorate::v1::cluster_service_server::ClusterService;

/// Peers that one join may name.
const MOST_PEERS: usize = 100;

/// How long a change to the members may take where the client does not say.
const CHANGE: Duration = Duration::from_secs(30);

/// Serves administration.
pub(in crate::api) struct Cluster {
    admin: Arc<dyn ClusterAdmin>,
}

impl Cluster {
    pub(in crate::api) fn new(admin: Arc<dyn ClusterAdmin>) -> Self {
        Self { admin }
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    type JoinStream = BoxStream<'static, Result<wire::JoinProgress, Status>>;

    async fn init(&self, _: Request<wire::InitRequest>) -> Result<Response<wire::InitResponse>, Status> {
        let formed = self.admin.init().await.map_err(to_status)?;
        Ok(Response::new(wire::InitResponse { lineage: lineage_text(formed.lineage), node_id: formed.node_id }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<Self::JoinStream>, Status> {
        let wire::JoinRequest { peers, learner } = request.into_inner();
        if peers.is_empty() || peers.len() > MOST_PEERS {
            let message = format!("name 1 to {MOST_PEERS} peer addresses (host:port) of members");
            return Err(to_status(Error::new(ErrorCode::InvalidArgument, message)));
        }
        let join_as = if learner { JoinAs::Learner } else { JoinAs::Voter };
        let progress = self.admin.join(peers, join_as).await.map_err(to_status)?;
        Ok(Response::new(progress.map(|report| report.map(from_progress).map_err(to_status)).boxed()))
    }

    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::StatusResponse>, Status> {
        let status = self.admin.status().await.map_err(to_status)?;
        Ok(Response::new(from_status(status)))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let to = Some(request.into_inner().to).filter(|to| *to != 0);
        let done = self.admin.change_members(MemberChange::TransferLeader { to }, deadline).await.map_err(to_status)?;
        let Changed { leader, term, changed } = done;
        Ok(Response::new(wire::TransferLeaderResponse { leader_id: leader, term, changed }))
    }

    async fn promote(&self, request: Request<wire::PromoteRequest>) -> Result<Response<wire::PromoteResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Promote { node_id: request.into_inner().node_id };
        let Changed { changed, .. } = self.admin.change_members(change, deadline).await.map_err(to_status)?;
        Ok(Response::new(wire::PromoteResponse { changed }))
    }

    async fn demote(&self, request: Request<wire::DemoteRequest>) -> Result<Response<wire::DemoteResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Demote { node_id: request.into_inner().node_id };
        let Changed { changed, .. } = self.admin.change_members(change, deadline).await.map_err(to_status)?;
        Ok(Response::new(wire::DemoteResponse { changed }))
    }

    async fn remove(&self, request: Request<wire::RemoveRequest>) -> Result<Response<wire::RemoveResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Remove { node_id: request.into_inner().node_id };
        let Changed { changed, .. } = self.admin.change_members(change, deadline).await.map_err(to_status)?;
        Ok(Response::new(wire::RemoveResponse { changed }))
    }

    async fn snapshot(&self, _: Request<wire::SnapshotRequest>) -> Result<Response<wire::SnapshotResponse>, Status> {
        let taken = self.admin.snapshot().await.map_err(to_status)?;
        Ok(Response::new(wire::SnapshotResponse {
            snapshot_index: taken.snapshot.index(),
            purged_index: taken.purged.index(),
        }))
    }
}

/// As people see it: 16 hexadecimal digits.
pub(super) fn lineage_text(lineage: u64) -> String {
    format!("{lineage:016x}")
}

fn from_progress(progress: JoinProgress) -> wire::JoinProgress {
    let stage = match progress.stage {
        JoinStage::Admitted => wire::join_progress::Stage::Admitted,
        JoinStage::CatchingUp => wire::join_progress::Stage::CatchingUp,
        JoinStage::Voter => wire::join_progress::Stage::Voter,
        JoinStage::Learner => wire::join_progress::Stage::Learner,
    };
    wire::JoinProgress {
        stage: stage.into(),
        node_id: progress.node_id,
        applied_index: progress.applied.index(),
        target_index: progress.target.index(),
    }
}

fn from_state(state: NodeState) -> wire::status_response::State {
    use wire::status_response::State;
    match state {
        NodeState::Waiting => State::Waiting,
        NodeState::Learner => State::Learner,
        NodeState::Follower => State::Follower,
        NodeState::Candidate => State::Candidate,
        NodeState::Leader => State::Leader,
        NodeState::Faulted => State::Faulted,
        NodeState::Removed => State::Removed,
    }
}

fn from_member(member: MemberStatus) -> wire::Member {
    wire::Member {
        node_id: member.node_id,
        client_address: member.client_address,
        peer_address: member.peer_address,
        voter: member.voter,
        matched_index: member.matched.map(|matched| matched.index()),
    }
}

fn from_status(status: ClusterStatus) -> wire::StatusResponse {
    wire::StatusResponse {
        state: from_state(status.state).into(),
        node_id: status.node_id,
        lineage: status.lineage.map(lineage_text).unwrap_or_default(),
        term: status.term,
        leader_id: status.leader_id.unwrap_or_default(),
        last_log_index: status.last_log.index(),
        committed_index: status.committed.index(),
        applied_index: status.applied.index(),
        snapshot_index: status.snapshot.index(),
        purged_index: status.purged.index(),
        oldest_index: status.oldest.index(),
        state_hash: status.state_hash,
        members: status.members.into_iter().map(from_member).collect(),
        log_entries_appended: status.log_entries_appended,
        log_fsyncs: status.log_fsyncs,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::service::Footprint;

    #[test]
    fn every_field_of_a_status_has_its_place() {
        let member = MemberStatus {
            node_id: 2,
            client_address: "c:1".to_owned(),
            peer_address: "p:1".to_owned(),
            voter: true,
            matched: Some(Revision::new(14)),
        };
        let status = ClusterStatus {
            state: NodeState::Leader,
            node_id: 2,
            lineage: Some(0xab),
            term: 3,
            leader_id: Some(4),
            last_log: Revision::new(5),
            committed: Revision::new(6),
            applied: Revision::new(7),
            oldest: Revision::new(12),
            snapshot: Revision::new(8),
            purged: Revision::new(9),
            state_hash: "hash".to_owned(),
            members: vec![member],
            log_entries_appended: 10,
            log_fsyncs: 11,
            state_age: None,
            store: Footprint::default(),
        };
        let found = from_status(status);
        assert_eq!(found.state(), wire::status_response::State::Leader);
        assert_eq!((found.node_id, found.term, found.leader_id), (2, 3, 4));
        assert_eq!((found.last_log_index, found.committed_index, found.applied_index), (5, 6, 7));
        assert_eq!((found.snapshot_index, found.purged_index, found.oldest_index), (8, 9, 12));
        assert_eq!((found.log_entries_appended, found.log_fsyncs), (10, 11));
        assert_eq!((found.lineage.as_str(), found.state_hash.as_str()), ("00000000000000ab", "hash"));
        assert_eq!(found.members[0].matched_index, Some(14));
        assert_eq!(found.version, env!("CARGO_PKG_VERSION"));
    }
}
