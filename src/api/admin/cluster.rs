//! `quorate.v1.ClusterService`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message as _;
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::api::audit::what;
use crate::api::deadline::deadline;
use crate::api::errors::to_status;
use crate::audit::{note_answer, note_what};
use crate::model::{Error, ErrorCode, PlaceName};
use crate::service::{
    Changed, ClusterAdmin, ClusterStatus, FeatureLevel, JoinAs, JoinProgress, JoinStage, MemberChange, MemberReport,
    MemberStatus, NodeState,
};
use crate::wire::quorate::v1 as wire;
use crate::wire::quorate::v1::cluster_service_server::ClusterService;

/// Peers that one join may name.
const MOST_PEERS: usize = 100;

/// How long a change to the members may take where the client does not say.
const CHANGE: Duration = Duration::from_secs(30);

/// How long an overview waits for each of the other members.
const MEMBER_PATIENCE: Duration = Duration::from_secs(1);

/// Serves administration.
pub(in crate::api) struct Cluster {
    admin: Arc<dyn ClusterAdmin>,
}

impl Cluster {
    pub(in crate::api) fn new(admin: Arc<dyn ClusterAdmin>) -> Self {
        Self { admin }
    }

    /// Has a member changed; whether anything had to be done for it.
    async fn change(&self, change: MemberChange, deadline: Instant) -> Result<bool, Status> {
        let (MemberChange::Promote { node_id } | MemberChange::Demote { node_id } | MemberChange::Remove { node_id }) =
            change
        else {
            return Err(to_status(Error::new(ErrorCode::Internal, "a transfer is no change of one member")));
        };
        note_what(|| json!({ "node_id": node_id }));
        let Changed { changed, .. } = self.admin.change_members(change, deadline).await.map_err(to_status)?;
        note_answer(|| json!({ "changed": changed }));
        Ok(changed)
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    type JoinStream = BoxStream<'static, Result<wire::JoinProgress, Status>>;

    async fn init(&self, _: Request<wire::InitRequest>) -> Result<Response<wire::InitResponse>, Status> {
        let formed = self.admin.init().await.map_err(to_status)?;
        note_answer(|| json!({ "lineage": lineage_text(formed.lineage), "node_id": formed.node_id }));
        Ok(Response::new(wire::InitResponse { lineage: lineage_text(formed.lineage), node_id: formed.node_id }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<Self::JoinStream>, Status> {
        let wire::JoinRequest { peers, learner } = request.into_inner();
        if peers.is_empty() || peers.len() > MOST_PEERS {
            let message = format!("name 1 to {MOST_PEERS} peer addresses (host:port) of members");
            return Err(to_status(Error::new(ErrorCode::InvalidArgument, message)));
        }
        note_what(|| what::join(&peers, learner));
        let join_as = if learner { JoinAs::Learner } else { JoinAs::Voter };
        let progress = self.admin.join(peers, join_as).await.map_err(to_status)?;
        Ok(Response::new(progress.map(|report| report.map(from_progress).map_err(to_status)).boxed()))
    }

    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::StatusResponse>, Status> {
        let status = self.admin.status().await.map_err(to_status)?;
        Ok(Response::new(from_status(status)))
    }

    async fn overview(&self, _: Request<wire::OverviewRequest>) -> Result<Response<wire::OverviewResponse>, Status> {
        let asked = from_status(self.admin.status().await.map_err(to_status)?);
        let members = self.admin.ask_members(MEMBER_PATIENCE).await.into_iter().map(from_report).collect();
        Ok(Response::new(wire::OverviewResponse { asked: Some(asked), members }))
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let to = Some(request.into_inner().to).filter(|to| *to != 0);
        note_what(|| json!({ "to": to }));
        let done = self.admin.change_members(MemberChange::TransferLeader { to }, deadline).await.map_err(to_status)?;
        let Changed { leader, term, changed } = done;
        note_answer(|| json!({ "leader": leader, "term": term, "changed": changed }));
        Ok(Response::new(wire::TransferLeaderResponse { leader_id: leader, term, changed }))
    }

    async fn promote(&self, request: Request<wire::PromoteRequest>) -> Result<Response<wire::PromoteResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Promote { node_id: request.into_inner().node_id };
        let changed = self.change(change, deadline).await?;
        Ok(Response::new(wire::PromoteResponse { changed }))
    }

    async fn demote(&self, request: Request<wire::DemoteRequest>) -> Result<Response<wire::DemoteResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Demote { node_id: request.into_inner().node_id };
        let changed = self.change(change, deadline).await?;
        Ok(Response::new(wire::DemoteResponse { changed }))
    }

    async fn remove(&self, request: Request<wire::RemoveRequest>) -> Result<Response<wire::RemoveResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let change = MemberChange::Remove { node_id: request.into_inner().node_id };
        let changed = self.change(change, deadline).await?;
        Ok(Response::new(wire::RemoveResponse { changed }))
    }

    async fn upgrade(&self, request: Request<wire::UpgradeRequest>) -> Result<Response<wire::UpgradeResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let to = match request.into_inner().to {
            0 => self.admin.status().await.map_err(to_status)?.highest_level,
            to => FeatureLevel::new(to),
        };
        note_what(|| json!({ "feature_level": to.number() }));
        let change = MemberChange::RaiseLevel { to };
        let Changed { changed, .. } = self.admin.change_members(change, deadline).await.map_err(to_status)?;
        Ok(Response::new(wire::UpgradeResponse { feature_level: to.number(), changed }))
    }

    async fn set_home_region(
        &self,
        request: Request<wire::SetHomeRegionRequest>,
    ) -> Result<Response<wire::SetHomeRegionResponse>, Status> {
        let deadline = deadline(request.metadata(), CHANGE);
        let region = match request.into_inner().region.as_str() {
            "" => None,
            name => Some(PlaceName::new(name).map_err(|error| to_status(error.into()))?),
        };
        note_what(|| json!({ "home_region": region.as_ref().map(ToString::to_string) }));
        let changed = self.admin.set_home_region(region, deadline).await.map_err(to_status)?;
        Ok(Response::new(wire::SetHomeRegionResponse { changed }))
    }

    async fn snapshot(&self, _: Request<wire::SnapshotRequest>) -> Result<Response<wire::SnapshotResponse>, Status> {
        let taken = self.admin.snapshot().await.map_err(to_status)?;
        note_answer(|| json!({ "snapshot": taken.snapshot.index(), "purged": taken.purged.index() }));
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

fn place_text(place: Option<PlaceName>) -> String {
    place.map(String::from).unwrap_or_default()
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
        region: place_text(member.locality.region),
        zone: place_text(member.locality.zone),
    }
}

/// What another member said. Its version may be another one; what is no status is no answer.
fn from_report(said: MemberReport) -> wire::MemberReport {
    let MemberReport { node_id, report } = said;
    let read = report.and_then(|bytes| {
        wire::StatusResponse::decode(bytes.as_slice()).map_err(|error| format!("it answered in another form: {error}"))
    });
    match read {
        Ok(status) => wire::MemberReport { node_id, status: Some(status), failure: String::new() },
        Err(failure) => wire::MemberReport { node_id, status: None, failure },
    }
}

/// The report on a node that others read with [`from_report`].
pub fn write_report(status: ClusterStatus) -> Vec<u8> {
    from_status(status).encode_to_vec()
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
        state_age_ms: status.state_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        checks_answered: Some(status.work.checks),
        writes_committed: Some(status.work.writes),
        leader_changes: Some(status.work.leader_changes),
        feature_level: status.feature_level.map(FeatureLevel::number).unwrap_or_default(),
        highest_feature_level: status.highest_level.number(),
        home_region: place_text(status.home_region),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Locality, Revision};
    use crate::service::{Footprint, Work};

    #[test]
    fn every_field_of_a_status_has_its_place() {
        let member = MemberStatus {
            node_id: 2,
            client_address: "c:1".to_owned(),
            peer_address: "p:1".to_owned(),
            voter: true,
            matched: Some(Revision::new(14)),
            locality: Locality { region: PlaceName::new("north").ok(), zone: PlaceName::new("n-1").ok() },
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
            state_age: Some(Duration::from_millis(13)),
            work: Work { checks: 15, writes: 16, leader_changes: 17 },
            store: Footprint::default(),
            feature_level: Some(FeatureLevel::new(2)),
            highest_level: FeatureLevel::new(3),
            home_region: PlaceName::new("south").ok(),
        };
        let found = from_status(status);
        assert_eq!(found.state(), wire::status_response::State::Leader);
        assert_eq!((found.node_id, found.term, found.leader_id), (2, 3, 4));
        assert_eq!((found.last_log_index, found.committed_index, found.applied_index), (5, 6, 7));
        assert_eq!((found.snapshot_index, found.purged_index, found.oldest_index), (8, 9, 12));
        assert_eq!((found.log_entries_appended, found.log_fsyncs), (10, 11));
        assert_eq!((found.lineage.as_str(), found.state_hash.as_str()), ("00000000000000ab", "hash"));
        assert_eq!(found.members[0].matched_index, Some(14));
        assert_eq!((found.members[0].region.as_str(), found.members[0].zone.as_str()), ("north", "n-1"));
        assert_eq!((found.feature_level, found.highest_feature_level, found.home_region.as_str()), (2, 3, "south"));
        assert_eq!(found.version, env!("CARGO_PKG_VERSION"));
        assert_eq!((found.state_age_ms, found.checks_answered), (Some(13), Some(15)));
        assert_eq!((found.writes_committed, found.leader_changes), (Some(16), Some(17)));
    }

    #[test]
    fn a_report_that_is_none_is_no_answer() {
        let said = |report| from_report(MemberReport { node_id: 2, report });
        let status = wire::StatusResponse { node_id: 2, ..wire::StatusResponse::default() };
        assert_eq!(said(Ok(status.encode_to_vec())).status, Some(status));
        for bad in [Ok(b"\xff\xff".to_vec()), Err("no reply".to_owned())] {
            let found = said(bad);
            assert!(found.status.is_none() && !found.failure.is_empty(), "{found:?}");
        }
    }
}
