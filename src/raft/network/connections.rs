//! Connections to the other nodes.
//!
//! One lazily made HTTP/2 connection an address and purpose, so that a snapshot or a large append never stands in the way of
//! a heartbeat. A connection on which a call timed out is dropped: after a partition the next call begins with a fresh one
//! instead of waiting for TCP's backoff.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::envelope::Removal;
use super::peers::PEER_MESSAGE_BYTES;
use super::transport::{CallError, Rpc, Transport};
use crate::security::{Pem, Tls};
use crate::wire::quorate::peer::peer_service_client::PeerServiceClient;
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEPALIVE: Duration = Duration::from_secs(2);

/// All connections of one node.
#[derive(Default)]
pub struct Connections {
    tls: Option<Arc<Tls>>,
    channels: Mutex<Channels>,
}

#[derive(Default)]
struct Channels {
    /// What the connections below present and trust.
    pem: Option<Arc<Pem>>,
    open: BTreeMap<(Rpc, String), Channel>,
}

impl Connections {
    /// Connections that are encrypted, with what `tls` has when each is made; without it they are not.
    #[must_use]
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls, channels: Mutex::default() }
    }

    fn client(&self, rpc: Rpc, address: &str) -> Result<PeerServiceClient<Channel>, CallError> {
        let pem = self.tls.as_ref().map(|tls| tls.pem());
        let mut channels = self.channels.lock();
        // A channel connects again by itself, and would do so with the certificate that it was made with.
        if pem.as_ref().map(Arc::as_ptr) != channels.pem.as_ref().map(Arc::as_ptr) {
            *channels = Channels { pem: pem.clone(), open: BTreeMap::new() };
        }
        let key = (rpc, address.to_owned());
        let channel = match channels.open.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = connect(address, pem.as_deref())?;
                channels.open.insert(key, channel.clone());
                channel
            }
        };
        let client = PeerServiceClient::new(channel);
        Ok(client.max_decoding_message_size(PEER_MESSAGE_BYTES).max_encoding_message_size(PEER_MESSAGE_BYTES))
    }
}

impl Transport for Connections {
    fn call(&self, rpc: Rpc, address: &str, envelope: Envelope) -> BoxFuture<'_, Result<Reply, CallError>> {
        let (client, address) = (self.client(rpc, address), address.to_owned());
        async move {
            let mut client = client?;
            let reply = match rpc {
                Rpc::Heartbeat | Rpc::Raft | Rpc::Snapshot => client.raft(envelope).await,
                Rpc::Propose => client.propose(envelope).await,
                Rpc::ProposeMany => client.propose_many(envelope).await,
                Rpc::ReadIndex => client.read_index(envelope).await,
                Rpc::Admit => client.admit(envelope).await,
                Rpc::Promote => client.promote(envelope).await,
                Rpc::ChangeMembers => client.change_members(envelope).await,
                Rpc::Status => client.status(envelope).await,
            };
            reply.map(tonic::Response::into_inner).map_err(|status| classify(address, &status))
        }
        .boxed()
    }

    fn send_snapshot(
        &self,
        address: &str,
        parts: ReceiverStream<SnapshotPart>,
    ) -> BoxFuture<'_, Result<Reply, CallError>> {
        let (client, address) = (self.client(Rpc::Snapshot, address), address.to_owned());
        async move {
            let reply = client?.install_snapshot(parts).await;
            reply.map(tonic::Response::into_inner).map_err(|status| classify(address, &status))
        }
        .boxed()
    }

    fn reconnect(&self, rpc: Rpc, address: &str) {
        self.channels.lock().open.remove(&(rpc, address.to_owned()));
    }
}

fn connect(address: &str, pem: Option<&Pem>) -> Result<Channel, CallError> {
    let scheme = if pem.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|e| CallError::NotSent { address: address.into(), reason: format!("not an address: {e}") })?;
    if let Some(pem) = pem {
        let mut tls = ClientTlsConfig::new().identity(Identity::from_pem(&pem.certificate, &pem.key));
        if let Some(ca) = &pem.ca {
            tls = tls.ca_certificate(Certificate::from_pem(ca));
        }
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|e| CallError::NotSent { address: address.into(), reason: format!("no TLS: {e}") })?;
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .connect_lazy())
}

/// What led to `status`, the root of it last. A status that the other node sent has no causes; one made on this side has what
/// went wrong.
fn causes(status: &tonic::Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |&error| error.source())
}

fn classify(address: String, status: &tonic::Status) -> CallError {
    if let Some(error) = causes(status).find(|error| error.is::<tonic::ConnectError>()) {
        return CallError::NotSent { address, reason: with_root(error.to_string(), causes(status).last()) };
    }
    match CallError::of_status(address, status) {
        CallError::Lost { address, reason } => {
            CallError::Lost { address, reason: with_root(reason, causes(status).last()) }
        }
        said => said,
    }
}

/// "transport error" alone tells nobody what to look at.
fn with_root(reason: String, root: Option<&(dyn std::error::Error + 'static)>) -> String {
    match root.map(ToString::to_string) {
        Some(root) if !reason.contains(&root) => format!("{reason}: {root}"),
        _ => reason,
    }
}

impl CallError {
    /// What a status says that the other node itself answered.
    #[must_use]
    pub fn of_status(address: String, status: &tonic::Status) -> Self {
        let reason = status.message().to_owned();
        if let Some(removal) = Removal::of_status(status) {
            return Self::Removed { address, removal };
        }
        match status.code() {
            // These are only ever answered by the other node's code before it acts.
            Code::FailedPrecondition | Code::OutOfRange => Self::Refused { address, reason },
            Code::Unimplemented | Code::InvalidArgument => Self::NotUnderstood { address, reason },
            Code::AlreadyExists => Self::AddressTaken { reason },
            _ => Self::Lost { address, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_refusal_says_of_which_kind_it_is() {
        let said = |code| CallError::of_status("a:1".to_owned(), &tonic::Status::new(code, "why"));
        let (address, reason) = ("a:1".to_owned(), "why".to_owned());
        let refused = CallError::Refused { address: address.clone(), reason: reason.clone() };
        let not_understood = CallError::NotUnderstood { address: address.clone(), reason: reason.clone() };
        let lost = CallError::Lost { address, reason: reason.clone() };
        for (code, expected, is_refusal) in [
            (Code::FailedPrecondition, &refused, true),
            (Code::OutOfRange, &refused, true),
            (Code::Unimplemented, &not_understood, true),
            (Code::InvalidArgument, &not_understood, true),
            (Code::AlreadyExists, &CallError::AddressTaken { reason }, true),
            (Code::Unavailable, &lost, false),
            (Code::Unknown, &lost, false),
        ] {
            let found = said(code);
            assert_eq!((&found, found.is_refusal()), (expected, is_refusal), "{code:?}");
        }
    }

    #[test]
    fn what_stands_between_two_nodes_removes_none() {
        let said = |status: &tonic::Status| CallError::of_status("a:1".to_owned(), status);
        let removal = Removal::new(0xfeed, 3);
        assert_eq!(said(&removal.to_status()), CallError::Removed { address: "a:1".to_owned(), removal });
        let who = [("lineage", "feed"), ("node_id", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let forbidden = ErrorDetails::with_error_info("FORBIDDEN", "proxy", HashMap::from(who));
        let proof = removal.to_status().details().to_vec();
        for status in [
            tonic::Status::permission_denied("node 3 was removed from the cluster"),
            tonic::Status::with_details(Code::PermissionDenied, "", b"\xff\x01nonsense".to_vec().into()),
            tonic::Status::with_details(Code::Unavailable, "", proof.into()),
            tonic::Status::with_error_details(Code::PermissionDenied, "", forbidden),
        ] {
            assert!(matches!(said(&status), CallError::Lost { .. }), "{status:?}");
        }
    }
}
