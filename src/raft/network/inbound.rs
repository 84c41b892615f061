//! The service that answers the other nodes.
//!
//! Until this node is a member it refuses everything: it has no vote to give and no log to acknowledge into.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{Stream, TryStreamExt};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use openraft::storage::Snapshot as RaftSnapshot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument as _, Span};

use super::announcement::Announcement;
use super::envelope::{AdmitRequest, Admitted, Kind, PromoteRequest, Rejection, Removal};
use super::peers::PEER_MESSAGE_BYTES;
use crate::raft::clock::monotonic;
use crate::raft::forward::Forwarded;
use crate::raft::members::Joining;
use crate::raft::replica::Replica;
use crate::raft::snapshot::SnapshotFiles;
use crate::raft::types::{SnapshotMeta, TypeConfig, Vote};
use crate::raft::{ChangeError, CommandBody, MemberChange, SupportedLevels, blocking, codec};
use crate::store::FileEntry;
use crate::telemetry::{TRACE, continue_trace};
use crate::wire::quorate::peer::peer_service_server::{PeerService, PeerServiceServer};
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart, snapshot_part};

/// How long a forwarded request may take here; the sender has the real deadline and gives up by itself.
const FORWARDED: Duration = Duration::from_secs(30);

/// Answers for the replica of this node, once there is one.
#[derive(Clone, Default)]
pub struct PeerServer {
    replica: Arc<OnceCell<Arc<Replica>>>,
    report: Arc<OnceCell<Report>>,
}

/// Tells what the node says of itself, in bytes that the fronts understand.
type Report = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

impl PeerServer {
    /// From now on, answers for `replica`. A node becomes a member once in its life.
    pub fn serve_for(&self, replica: Arc<Replica>) {
        let first = self.replica.set(replica).is_ok();
        assert!(first, "a node becomes a member only once");
    }

    /// From now on, other nodes are told what `report` says of this one. Only the first counts.
    pub fn report_with(&self, report: impl Fn() -> Vec<u8> + Send + Sync + 'static) {
        let _ = self.report.set(Box::new(report));
    }

    /// Takes a snapshot that another node sends: a header, then the bytes of its files.
    pub async fn take_snapshot(
        &self,
        mut parts: impl Stream<Item = Result<SnapshotPart, Status>> + Unpin,
    ) -> Result<Reply, Status> {
        let Some(SnapshotPart { part: Some(snapshot_part::Part::Header(header)) }) = parts.try_next().await? else {
            return Err(Status::invalid_argument("a snapshot begins with its header"));
        };
        let replica = self.open_as(&header, Kind::Snapshot)?;
        let (vote, meta, files): (Vote, SnapshotMeta, Vec<FileEntry>) = decode(&header.payload)?;
        let failed = |error: std::io::Error| Status::internal(format!("the snapshot was not taken: {error}"));
        let mut receiving = replica.snapshots().receive(files).map_err(failed)?;
        while let Some(part) = parts.try_next().await? {
            let Some(snapshot_part::Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("a snapshot has one header"));
            };
            blocking::run(|| receiving.write(&chunk)).map_err(failed)?;
        }
        let files = blocking::aside(move || receiving.finish()).await.map_err(failed)?;
        self.judge_snapshot(replica, &files).await?;
        let snapshot = RaftSnapshot { meta, snapshot: files };
        Ok(reply(replica, &replica.raft().install_full_snapshot(vote, snapshot).await.map_err(stopped)?))
    }

    /// Refuses a snapshot that this program cannot go on from, before it replaces anything.
    async fn judge_snapshot(&self, replica: &Arc<Replica>, files: &SnapshotFiles) -> Result<(), Status> {
        let (judging, folder) = (Arc::clone(replica), files.clone());
        let judged = blocking::aside(move || Ok(judging.snapshot_fits(folder.path()))).await;
        let refused = judged.map_err(stopped)?.err();
        refused.map_or(Ok(()), |error| {
            tracing::error!(%error, "a snapshot was refused");
            Err(Status::failed_precondition(error.to_string()))
        })
    }

    /// The tonic service.
    #[must_use]
    pub fn into_service(self) -> PeerServiceServer<impl PeerService> {
        PeerServiceServer::new(self)
            .max_decoding_message_size(PEER_MESSAGE_BYTES)
            .max_encoding_message_size(PEER_MESSAGE_BYTES)
    }

    fn replica(&self) -> Result<&Arc<Replica>, Status> {
        self.replica.get().ok_or_else(|| Status::failed_precondition("this node is not a member of any cluster"))
    }

    /// The replica, and which message it is, if the message is for this node at all.
    fn open(&self, envelope: &Envelope) -> Result<(&Arc<Replica>, Kind), Status> {
        let replica = self.replica()?;
        let kind = Kind::of(envelope)?;
        replica.identity().check(envelope, kind)?;
        // Not even a vote: what this node knows of was committed, so no majority needs the sender any more.
        if replica.retired().contains(&envelope.from) {
            return Err(Removal::new(replica.identity().lineage, envelope.from).to_status());
        }
        Ok((replica, kind))
    }

    /// The replica, if the message is for this node and of the kind that the call is for.
    fn open_as(&self, envelope: &Envelope, expected: Kind) -> Result<&Arc<Replica>, Status> {
        let (replica, kind) = self.open(envelope)?;
        if kind == expected { Ok(replica) } else { Err(unexpected(kind)) }
    }
}

/// The span of what is done for another node, in the trace of the request that it does it for; none where that is in no trace.
fn continued(from: u64, traceparent: &str, name: &'static str) -> Span {
    if traceparent.is_empty() {
        return Span::none();
    }
    let span = tracing::trace_span!(
        target: TRACE,
        "serve",
        otel.name = name,
        otel.kind = "server",
        quorate.from = from,
    );
    continue_trace(&span, traceparent);
    span
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Status> {
    codec::decode(payload).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn reply<T: Serialize>(replica: &Replica, value: &T) -> Reply {
    let announcement = Some(replica.peers().announcement().to_message());
    Reply { payload: codec::encode(value), announcement }
}

/// Refuses a node whose program cannot be a member at the level that the cluster is at, as far as this node has applied.
fn judge_level(replica: &Replica, levels: SupportedLevels) -> Result<(), String> {
    let level = replica.settings().level;
    if levels.include(level) {
        return Ok(());
    }
    Err(format!(
        "the cluster is at feature level {level}, and the version of the node that wants to join supports {levels}: start \
         another version on it"
    ))
}

/// Refuses a node at the address of a member. It is most likely who that was before it lost its data, and would be one member
/// more beside one that never answers again; or its address is that of another by mistake, and neither would be reached.
fn address_taken(node_id: u64, peer: &str) -> Status {
    Status::already_exists(format!(
        "node {node_id} is a member at {peer}, where this node says that it is. If that is who this node was before it lost \
         its data, let it go, then join again: quorate cluster remove {node_id} --endpoint MEMBER. If it is another machine, \
         give this one an address of its own: peer.advertise"
    ))
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("this node's replica has stopped: {error}"))
}

fn unexpected(kind: Kind) -> Status {
    Status::invalid_argument(format!("a message of kind {kind:?} does not belong here"))
}

#[tonic::async_trait]
impl PeerService for PeerServer {
    async fn raft(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let (replica, kind) = self.open(&envelope)?;
        let raft = replica.raft();
        match kind {
            Kind::Append => {
                let append: AppendEntriesRequest<TypeConfig> = decode(&envelope.payload)?;
                Ok(Response::new(reply(replica, &raft.append_entries(append).await.map_err(stopped)?)))
            }
            Kind::Vote => {
                let vote: VoteRequest<TypeConfig> = decode(&envelope.payload)?;
                Ok(Response::new(reply(replica, &raft.vote(vote).await.map_err(stopped)?)))
            }
            Kind::PreVote => {
                let vote: VoteRequest<TypeConfig> = decode(&envelope.payload)?;
                Ok(Response::new(reply(replica, &raft.pre_vote(vote).await.map_err(stopped)?)))
            }
            Kind::TransferLeader => {
                let transfer: TransferLeaderRequest<TypeConfig> = decode(&envelope.payload)?;
                Ok(Response::new(reply(replica, &raft.handle_transfer_leader(transfer).await.map_err(stopped)?)))
            }
            Kind::Snapshot
            | Kind::Propose
            | Kind::ProposeMany
            | Kind::ReadIndex
            | Kind::Admit
            | Kind::Promote
            | Kind::ChangeMembers
            | Kind::Status => Err(unexpected(kind)),
        }
    }

    async fn install_snapshot(&self, request: Request<Streaming<SnapshotPart>>) -> Result<Response<Reply>, Status> {
        Ok(Response::new(self.take_snapshot(request.into_inner()).await?))
    }

    async fn propose(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let replica = self.open_as(&envelope, Kind::Propose)?;
        let (op_id, body): (u128, Arc<CommandBody>) = decode(&envelope.payload)?;
        let span = continued(envelope.from, &envelope.traceparent, "propose for another node");
        Ok(Response::new(reply(replica, &replica.proposer().propose_here(op_id, body).instrument(span).await)))
    }

    async fn propose_many(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let replica = self.open_as(&envelope, Kind::ProposeMany)?;
        let proposals: Vec<Forwarded> = decode(&envelope.payload)?;
        let attempts = proposals.into_iter().map(|Forwarded { op_id, traceparent, body }| {
            let span = continued(envelope.from, &traceparent, "propose for another node");
            replica.proposer().propose_here(op_id, body).instrument(span)
        });
        Ok(Response::new(reply(replica, &join_all(attempts).await)))
    }

    async fn read_index(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let replica = self.open_as(request.get_ref(), Kind::ReadIndex)?;
        let Envelope { from, traceparent, .. } = request.get_ref();
        let span = continued(*from, traceparent, "confirm for another node");
        Ok(Response::new(reply(replica, &replica.read_index_here().instrument(span).await)))
    }

    async fn admit(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let replica = self.open_as(&envelope, Kind::Admit)?;
        let AdmitRequest { address } = decode(&envelope.payload)?;
        let announced = Announcement::of_message(envelope.announcement.as_ref());
        if let Err(error) = judge_level(replica, announced.levels) {
            return Ok(Response::new(reply(replica, &Err::<Admitted, _>(error))));
        }
        let deadline = monotonic() + FORWARDED;
        match replica.member_at(&address.peer, deadline).await {
            Ok(None) => Ok(Response::new(reply(replica, &replica.admit(address, deadline).await))),
            Ok(Some(node_id)) => Err(address_taken(node_id, &address.peer)),
            Err(why) => Ok(Response::new(reply(replica, &Err::<Admitted, _>(why)))),
        }
    }

    async fn promote(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let replica = self.open_as(&envelope, Kind::Promote)?;
        let PromoteRequest { node_id, address, voter } = decode(&envelope.payload)?;
        let levels = Announcement::of_message(envelope.announcement.as_ref()).levels;
        let joining = Joining { node_id, address, voter, levels };
        let promoting = Arc::clone(replica);
        // In a task of its own: a joining node that hangs up must not leave a membership change half done.
        let promoted = tokio::spawn(async move { promoting.promote_here(joining).await });
        match promoted.await.map_err(stopped)? {
            // Not a passing fault, so that nobody asks again.
            Err(error @ ChangeError::LevelUnsupported { .. }) => Err(Status::failed_precondition(error.to_string())),
            promoted => Ok(Response::new(reply(replica, &promoted.map_err(Rejection::from)))),
        }
    }

    async fn change_members(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let envelope = request.into_inner();
        let replica = self.open_as(&envelope, Kind::ChangeMembers)?;
        let change: MemberChange = decode(&envelope.payload)?;
        let span = continued(envelope.from, &envelope.traceparent, "change members for another node");
        Ok(Response::new(reply(replica, &replica.change_members_here(change).instrument(span).await)))
    }

    async fn status(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let announcement = self.open_as(request.get_ref(), Kind::Status)?.peers().announcement().to_message();
        let report = self.report.get().ok_or_else(|| Status::unavailable("this node is just starting"))?;
        Ok(Response::new(Reply { payload: report(), announcement: Some(announcement) }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::ChangeMembers;
    use tonic::Code;

    use super::*;
    use crate::raft::testing::quick_replica;
    use crate::raft::{Connections, FeatureLevel, Membership, NodeAddress};

    /// A node of a cluster of one.
    async fn serve(dir: &std::path::Path) -> (PeerServer, Arc<Replica>) {
        let membership = Membership { lineage: 7, node_id: Membership::FIRST_NODE_ID };
        let options = quick_replica(dir, membership);
        Replica::format(dir, membership, &options.store).await.unwrap();
        let replica = Replica::open(options, Arc::new(Connections::default())).await.unwrap();
        replica.bootstrap(NodeAddress::default()).await.unwrap();
        let server = PeerServer::default();
        server.serve_for(Arc::clone(&replica));
        (server, replica)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_takes_its_own_messages_for_this_node_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let (server, replica) = serve(dir.path()).await;
        let me = replica.identity();
        let own =
            |kind| replica.peers().envelope(me.node_id, kind, codec::encode(&MemberChange::Demote { node_id: 9 }));
        let code = |answer: Result<Response<Reply>, Status>| answer.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code(server.change_members(Request::new(own(Kind::ChangeMembers))).await), Code::Ok);
        for kind in [Kind::Status, Kind::Append] {
            assert_eq!(code(server.change_members(Request::new(own(kind))).await), Code::InvalidArgument, "{kind:?}");
        }
        assert_eq!(code(server.raft(Request::new(own(Kind::Propose))).await), Code::InvalidArgument);
        for foreign in [Envelope { lineage: 8, ..own(Kind::Append) }, Envelope { to: 2, ..own(Kind::Append) }] {
            assert_eq!(code(server.raft(Request::new(foreign)).await), Code::FailedPrecondition);
        }
        assert_eq!(code(PeerServer::default().raft(Request::new(own(Kind::Append))).await), Code::FailedPrecondition);
        replica.shutdown().await;
    }

    /// A node that the cluster would have to go on without is not let in, and one that was let go is not heard.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_cannot_be_a_member_and_who_is_none_any_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (server, replica) = serve(dir.path()).await;
        let me = replica.identity();
        let leads = replica.raft().wait(Some(Duration::from_secs(10)));
        let led = leads.metrics(|metrics| metrics.last_applied.is_some_and(|id| id.index >= 1), "a leader of one");
        led.await.unwrap();

        let later = SupportedLevels { lowest: FeatureLevel::new(7), highest: FeatureLevel::new(9) };
        let announcement = Some(Announcement { levels: later, ..Announcement::none() }.to_message());
        let address = NodeAddress { client: "a:1".to_owned(), peer: "a:2".to_owned() };
        let admit = codec::encode(&AdmitRequest { address: address.clone() });
        let admit = Envelope { announcement: announcement.clone(), ..replica.peers().envelope(0, Kind::Admit, admit) };
        let reply = server.admit(Request::new(admit)).await.unwrap().into_inner();
        let admitted: Result<Admitted, String> = decode(&reply.payload).unwrap();
        assert!(admitted.unwrap_err().contains("feature level"));
        let promote = codec::encode(&PromoteRequest { node_id: 2, address: address.clone(), voter: false });
        let promote = Envelope { announcement, ..replica.peers().envelope(0, Kind::Promote, promote) };
        let refused = server.promote(Request::new(promote)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");

        // At the address of a member nobody is let in, and once that one was let go somebody is.
        let admit = codec::encode(&AdmitRequest { address: address.clone() });
        let announcement = Some(Announcement { levels: SupportedLevels::OURS, ..Announcement::none() }.to_message());
        let admit = Envelope { announcement, ..replica.peers().envelope(0, Kind::Admit, admit) };
        let change = ChangeMembers::AddNodes(BTreeMap::from([(2, address)]));
        replica.raft().change_membership(change, true).await.unwrap();
        let taken = server.admit(Request::new(admit.clone())).await.unwrap_err();
        assert_eq!(taken.code(), Code::AlreadyExists, "{taken}");
        assert!(taken.message().contains("quorate cluster remove 2 "), "{taken}");
        let change = ChangeMembers::RemoveNodes(BTreeSet::from([2]));
        replica.raft().change_membership(change, true).await.unwrap();
        let reply = server.admit(Request::new(admit)).await.unwrap().into_inner();
        let admitted: Result<Admitted, String> = decode(&reply.payload).unwrap();
        admitted.unwrap();

        let index = replica.metrics().last_log_index.unwrap();
        replica.applied().wait_for(|mark| mark.revision.index() >= index).await.unwrap();
        let status = replica.peers().envelope(me.node_id, Kind::Status, Vec::new());
        let gone = server.status(Request::new(Envelope { from: 2, ..status })).await.unwrap_err();
        assert_eq!(Removal::of_status(&gone), Some(Removal::new(me.lineage, 2)), "{gone}");
        replica.shutdown().await;
    }
}
