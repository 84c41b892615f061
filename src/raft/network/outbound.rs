//! openraft's network over the connections to the other nodes.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_stream::wrappers::ReceiverStream;

use super::acknowledged::Acknowledged;
use super::envelope::Kind;
use super::peers::Peers;
use super::transport::{CallError, Rpc};
use crate::raft::snapshot::SnapshotFiles;
use crate::raft::types::{Snapshot, TypeConfig, Vote};
use crate::raft::{NodeAddress, blocking, codec};
use crate::wire::quorate::peer::{SnapshotPart, snapshot_part};

/// Bytes of a snapshot in one message.
const CHUNK_BYTES: usize = 1 << 20;

/// Makes connections for openraft.
pub(in crate::raft) struct Network {
    peers: Arc<Peers>,
    /// Longest wait for an append to be synced on the other side: above openraft's own limit, the heartbeat interval, since
    /// a slow disk must not make the same entries go out again and again.
    append_timeout: Duration,
    snapshot_timeout: Duration,
    acknowledged: Arc<Acknowledged>,
}

impl Network {
    pub(in crate::raft) fn new(peers: Arc<Peers>, append_timeout: Duration, snapshot_timeout: Duration) -> Self {
        Self { peers, append_timeout, snapshot_timeout, acknowledged: Arc::default() }
    }

    fn connection(&self, target: u64, node: &NodeAddress, rpc: Rpc) -> Connection {
        let (append_timeout, snapshot_timeout) = (self.append_timeout, self.snapshot_timeout);
        let (peers, address) = (Arc::clone(&self.peers), node.peer.clone());
        let acknowledged = Arc::clone(&self.acknowledged);
        Connection { peers, target, address, rpc, append_timeout, snapshot_timeout, acknowledged }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &NodeAddress) -> Connection {
        self.connection(target, node, Rpc::Raft)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeAddress) -> Connection {
        self.connection(target, node, Rpc::Heartbeat)
    }
}

/// The way to one other node.
pub(in crate::raft) struct Connection {
    peers: Arc<Peers>,
    target: u64,
    /// Where it was when openraft asked for the connection; it may have moved since.
    address: String,
    rpc: Rpc,
    append_timeout: Duration,
    snapshot_timeout: Duration,
    /// What all nodes acknowledged, by whichever connection.
    acknowledged: Arc<Acknowledged>,
}

impl Connection {
    async fn send<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: Kind,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let payload = codec::encode(request);
        let address = self.peers.address(self.target).unwrap_or_else(|| self.address.clone());
        let reply = self.peers.call(self.rpc, &address, self.target, kind, payload, timeout).await;
        let reply = reply.map_err(|error| match error {
            CallError::Lost { .. } => RPCError::Network(NetworkError::new(&error)),
            CallError::NotSent { .. }
            | CallError::Refused { .. }
            | CallError::NotUnderstood { .. }
            | CallError::AddressTaken { .. }
            | CallError::Removed { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        })?;
        codec::decode(&reply).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = SnapshotFiles;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let response = self.send(Kind::Append, &request, option.hard_ttl().max(self.append_timeout)).await?;
        match &response {
            AppendEntriesResponse::Success => {
                let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
                self.acknowledged.note(self.target, request.vote, last);
            }
            AppendEntriesResponse::PartialSuccess(last) => self.acknowledged.note(self.target, request.vote, *last),
            AppendEntriesResponse::Conflict => {
                let conflict = self.acknowledged.conflict(self.target, request.vote, request.prev_log_id);
                conflict.map_err(|lost| RPCError::Unreachable(Unreachable::new(&lost)))?;
            }
            AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.send(Kind::Vote, &request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.send(Kind::PreVote, &request, option.hard_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.send(Kind::TransferLeader, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let header = codec::encode(&(vote, &snapshot.meta, snapshot.snapshot.list()));
        let header = self.peers.envelope(self.target, Kind::Snapshot, header);
        // Two chunks ahead of the network and no more: memory stays flat whatever the size of the snapshot.
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        let (files, last) = (snapshot.snapshot.clone(), snapshot.meta.last_log_id);
        let reading = tokio::spawn(async move {
            let first = SnapshotPart { part: Some(snapshot_part::Part::Header(header)) };
            if sender.send(first).await.is_ok() { read_chunks(&files, &sender).await } else { Ok(()) }
        });
        let parts = ReceiverStream::new(receiver);
        let address = self.peers.address(self.target).unwrap_or_else(|| self.address.clone());
        let sending = self.peers.send_snapshot(&address, parts, self.snapshot_timeout);
        let reply = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            reply = sending => reply,
        };
        if let Ok(Err(error)) = reading.await {
            tracing::warn!(target_node = self.target, %error, "a snapshot could not be read");
        }
        let reply = reply.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
        let response: SnapshotResponse<TypeConfig> =
            codec::decode(&reply).map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
        if response.vote == vote {
            self.acknowledged.note(self.target, vote, last);
        }
        Ok(response)
    }
}

/// Sends the files' bytes; ends early when the receiver is gone.
async fn read_chunks(files: &SnapshotFiles, sender: &tokio::sync::mpsc::Sender<SnapshotPart>) -> io::Result<()> {
    for entry in files.list() {
        let mut file = blocking::run(|| File::open(files.path().join(&entry.name)))?;
        let mut left = entry.bytes;
        while left > 0 {
            let take = left.min(CHUNK_BYTES as u64);
            let mut chunk = vec![0; usize::try_from(take).expect("a chunk fits into memory")];
            blocking::run(|| file.read_exact(&mut chunk))?;
            left -= take;
            if sender.send(SnapshotPart { part: Some(snapshot_part::Part::Chunk(chunk)) }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
