//! Connections to the other nodes.
//!
//! One lazily made HTTP/2 connection an address and purpose, so that a snapshot or a large append never stands in the way of
//! a heartbeat. A connection on which a call timed out is dropped: after a partition the next call begins with a fresh one
//! instead of waiting for TCP's backoff.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use parking_lot::Mutex;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::envelope::{Kind, PeerIdentity};
use crate::raft::codec::RECORD_BYTES;
use crate::wire::quorate::peer::peer_service_client::PeerServiceClient;
use crate::wire::quorate::peer::{Envelope, SnapshotPart};

/// Largest message between nodes: a record and its envelope.
pub(super) const PEER_MESSAGE_BYTES: usize = RECORD_BYTES + (1 << 20);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEPALIVE: Duration = Duration::from_secs(2);

/// Which of the service's calls to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::raft) enum Rpc {
    Heartbeat,
    Raft,
    Snapshot,
    Propose,
    ReadIndex,
    Admit,
    Promote,
}

/// Why a call gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::raft) enum CallError {
    /// The other node was not reached: it surely did nothing.
    #[error("{address} cannot be reached: {reason}")]
    NotSent { address: String, reason: String },
    /// The other node refused before it did anything.
    #[error("{address} refused: {reason}")]
    Refused { address: String, reason: String },
    /// The message may have arrived and may still take effect.
    #[error("no answer from {address}: {reason}")]
    Lost { address: String, reason: String },
}

/// All connections of one node.
pub(in crate::raft) struct Peers {
    me: PeerIdentity,
    channels: Mutex<BTreeMap<(Rpc, String), Channel>>,
    /// The addresses at which the last call failed, and whether the other side refused it.
    failing: Mutex<BTreeMap<String, bool>>,
}

impl Peers {
    pub(in crate::raft) fn new(me: PeerIdentity) -> Self {
        Self { me, channels: Mutex::default(), failing: Mutex::default() }
    }

    /// Who this node is.
    pub(in crate::raft) fn me(&self) -> PeerIdentity {
        self.me
    }

    /// An envelope from this node.
    pub(super) fn envelope(&self, to: u64, kind: Kind, payload: Vec<u8>) -> Envelope {
        let PeerIdentity { lineage, node_id } = self.me;
        Envelope { lineage, group: 1, from: node_id, to, kind: kind as u32, payload }
    }

    /// Sends one message and waits for its reply.
    pub(in crate::raft) async fn call(
        &self,
        rpc: Rpc,
        address: &str,
        to: u64,
        kind: Kind,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let mut client = self.client(rpc, address)?;
        let envelope = self.envelope(to, kind, payload);
        let call = async {
            match rpc {
                Rpc::Heartbeat | Rpc::Raft | Rpc::Snapshot => client.raft(envelope).await,
                Rpc::Propose => client.propose(envelope).await,
                Rpc::ReadIndex => client.read_index(envelope).await,
                Rpc::Admit => client.admit(envelope).await,
                Rpc::Promote => client.promote(envelope).await,
            }
        };
        let reply = self.within(rpc, address, timeout, call).await?;
        Ok(reply.payload)
    }

    /// Sends a snapshot and waits until it is installed.
    pub(super) async fn send_snapshot(
        &self,
        address: &str,
        parts: impl tonic::IntoStreamingRequest<Message = SnapshotPart>,
        timeout: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let mut client = self.client(Rpc::Snapshot, address)?;
        let reply = self.within(Rpc::Snapshot, address, timeout, client.install_snapshot(parts)).await?;
        Ok(reply.payload)
    }

    async fn within<T>(
        &self,
        rpc: Rpc,
        address: &str,
        timeout: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, CallError> {
        let outcome = tokio::time::timeout(timeout, call).await;
        let error = match outcome {
            Ok(Ok(reply)) => {
                self.note(address, None);
                return Ok(reply.into_inner());
            }
            Ok(Err(status)) => classify(address, &status),
            Err(_) => CallError::Lost { address: address.into(), reason: format!("no reply within {timeout:?}") },
        };
        self.note(address, Some(&error));
        if !matches!(error, CallError::Refused { .. }) {
            self.channels.lock().remove(&(rpc, address.to_owned()));
        }
        Err(error)
    }

    /// Logs when an address begins to fail, to refuse, and to answer again, and not each call in between.
    fn note(&self, address: &str, error: Option<&CallError>) {
        let mut failing = self.failing.lock();
        let Some(error) = error else {
            if failing.remove(address).is_some() {
                tracing::info!(address, "a node answers again");
            }
            return;
        };
        let refused = matches!(error, CallError::Refused { .. });
        if failing.insert(address.to_owned(), refused) != Some(refused) {
            tracing::warn!(address, %error, "a node does not answer as a member of this cluster");
        }
    }

    fn client(&self, rpc: Rpc, address: &str) -> Result<PeerServiceClient<Channel>, CallError> {
        let mut channels = self.channels.lock();
        let key = (rpc, address.to_owned());
        let channel = match channels.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = connect(address)?;
                channels.insert(key, channel.clone());
                channel
            }
        };
        let client = PeerServiceClient::new(channel);
        Ok(client.max_decoding_message_size(PEER_MESSAGE_BYTES).max_encoding_message_size(PEER_MESSAGE_BYTES))
    }
}

fn connect(address: &str) -> Result<Channel, CallError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|e| CallError::NotSent { address: address.into(), reason: format!("not an address: {e}") })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .connect_lazy())
}

fn classify(address: &str, status: &tonic::Status) -> CallError {
    let (address, reason) = (address.to_owned(), status.message().to_owned());
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return CallError::NotSent { address, reason: error.to_string() };
        }
        source = error.source();
    }
    // These are only ever answered by the other node's code before it acts.
    let before_acting = [Code::FailedPrecondition, Code::Unimplemented, Code::InvalidArgument, Code::OutOfRange];
    if before_acting.contains(&status.code()) {
        CallError::Refused { address, reason }
    } else {
        CallError::Lost { address, reason }
    }
}
