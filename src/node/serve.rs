//! Running a node from start to end.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::admin::Admin;
use super::identity::{DataDir, IdentityError};
use super::lifecycle::Node;
use super::secrets::{Hangup, Secrets, SecretsError};
use crate::api::{self, ApiServices, Listeners};
use crate::config::NodeConfig;
use crate::raft::{Connections, NodeAddress, PeerServer};
use crate::security::{Listener, SecureListener, Tls};
use crate::service::{ServiceLimits, Services};

/// How long calls from other nodes may take to end. They all retry, so cutting one off does no harm.
const PEER_GRACE: Duration = Duration::from_secs(2);

/// How long the replica may take to stop. It waits for the disk, which may be the fault that stops the node.
const REPLICA_GRACE: Duration = Duration::from_secs(10);

/// Why a node did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] IdentityError),
    /// The clients' keys, or the secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// An address is taken or not ours.
    #[error("cannot listen on {address} for {purpose}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// For whom.
        purpose: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The replica did not start.
    #[error("{0}")]
    Start(String),
    /// The replica stopped by itself: a disk failed or a bug was met.
    #[error("the node stops, because it can no longer keep its promises: {0}")]
    Faulted(String),
    /// A listener failed.
    #[error("the {0} server ended: {1}")]
    Server(&'static str, String),
}

/// Runs a node until `shutdown` is cancelled or it cannot go on. Prints one `ready` line once all listeners accept.
pub async fn serve(mut config: NodeConfig, shutdown: CancellationToken) -> Result<(), ServeError> {
    // Before anything that takes time: a signal must not end a node that is about to start.
    let hangup = Hangup::watch();
    let data = DataDir::open(&config.data_dir)?;
    let client_listener = listen(config.client.listen, "clients").await?;
    let peer_listener = listen(config.peer.listen, "peers").await?;
    let gateway_listener = match config.gateway.listen.address() {
        Some(address) => Some(listen(address, "the JSON gateway").await?),
        None => None,
    };
    let metrics_listener = match config.metrics.listen.address() {
        Some(address) => Some(listen(address, "metrics").await?),
        None => None,
    };
    let metrics = metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let gateway = gateway_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let address = NodeAddress {
        client: advertised(&config.client.advertise, &client_listener),
        peer: advertised(&config.peer.advertise, &peer_listener),
    };
    let limits = ServiceLimits {
        concurrent_evaluations: config.limits.concurrent_evaluations,
        request_timeout: Duration::from_millis(config.limits.request_timeout_ms),
    };
    let secrets = Secrets::load(&mut config)?;
    let services = Arc::new(Services::new(limits));
    let peers = PeerServer::default();
    let connections = Arc::new(Connections::new(secrets.peer.clone()));
    let node = Arc::new(Node::new(config, data, address.clone(), Arc::clone(&services), peers.clone(), connections));
    node.resume().await.map_err(|error| ServeError::Start(error.to_string()))?;

    let stop_peers = CancellationToken::new();
    let peer_listener = secured(peer_listener, &secrets.peer)?;
    let peer_server = tokio::spawn(serve_peers(peer_listener, peers, stop_peers.clone()));
    let stop_api = shutdown.child_token();
    let admin = Arc::new(Admin::new(Arc::clone(&node), stop_api.clone()));
    let stopping = Arc::clone(&services);
    let api = ApiServices { services, cluster: admin };
    let listeners = Listeners {
        grpc: secured(client_listener, &secrets.grpc)?,
        metrics: metrics_listener,
        gateway: gateway_listener.map(|listener| secured(listener, &secrets.gateway)).transpose()?,
    };
    let api_server = tokio::spawn(api::serve(listeners, api, Arc::clone(&secrets.keyring), stop_api.clone()));
    announce(&address, gateway, metrics, node.replica().is_some());

    let fault = tokio::select! {
        () = shutdown.cancelled() => None,
        reason = faulted(&node) => Some(ServeError::Faulted(reason)),
        never = secrets.keep_current(hangup) => match never {},
    };
    // Clients first, then the replica they use, then the listener that the others reach it by.
    stopping.stop();
    stop_api.cancel();
    let api_ended = api_server.await;
    if let Some(replica) = node.replica()
        && tokio::time::timeout(REPLICA_GRACE, replica.shutdown()).await.is_err()
    {
        tracing::warn!("the replica did not stop in time; what it acknowledged is on disk all the same");
    }
    stop_peers.cancel();
    let peers_ended = tokio::time::timeout(PEER_GRACE, peer_server).await.unwrap_or(Ok(Ok(())));
    if let Some(fault) = fault {
        return Err(fault);
    }
    ended("client", api_ended)?;
    ended("peer", peers_ended)
}

async fn listen(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, purpose, source })
}

fn secured(listener: TcpListener, tls: &Option<Arc<Tls>>) -> Result<Listener, ServeError> {
    let secured = match tls {
        None => Ok(Listener::Plain(listener)),
        Some(tls) => SecureListener::new(listener, Arc::clone(tls)).map(Listener::Secure),
    };
    secured.map_err(|error| ServeError::Start(format!("a listener has no address: {error}")))
}

/// Port 0 in an advertised address stands for the port that the system chose.
fn advertised(configured: &str, listener: &TcpListener) -> String {
    match (configured.strip_suffix(":0"), listener.local_addr()) {
        (Some(host), Ok(bound)) => format!("{host}:{}", bound.port()),
        _ => configured.to_owned(),
    }
}

/// The one line on standard output: scripts wait for it. Where nobody does, the node serves all the same.
fn announce(address: &NodeAddress, gateway: Option<SocketAddr>, metrics: Option<SocketAddr>, member: bool) {
    let state = if member { "member" } else { "waiting" };
    let gateway = gateway.map(|at| format!(" gateway={at}")).unwrap_or_default();
    let metrics = metrics.map(|at| format!(" metrics={at}")).unwrap_or_default();
    let NodeAddress { client, peer } = address;
    let _ = writeln!(std::io::stdout(), "ready client={client} peer={peer}{gateway}{metrics} state={state}");
}

/// Waits for the replica's fault; for ever while there is no replica or no fault.
async fn faulted(node: &Node) -> String {
    loop {
        if let Some(replica) = node.replica() {
            match replica.failed().await {
                Some(reason) => return reason,
                None => std::future::pending::<()>().await,
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn serve_peers(listener: Listener, peers: PeerServer, stop: CancellationToken) -> Result<(), String> {
    let router = Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(4)))
        .add_service(peers.into_service());
    let stop = stop.cancelled_owned();
    let served = match listener {
        // The builder's own setting is for listeners that it makes itself. Without it an answer can wait 40 ms for an ACK.
        Listener::Plain(listener) => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(incoming, stop).await
        }
        Listener::Secure(listener) => router.serve_with_incoming_shutdown(listener.into_stream(), stop).await,
    };
    served.map_err(|error| error.to_string())
}

fn ended<E: std::fmt::Display>(
    name: &'static str,
    outcome: Result<Result<(), E>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ServeError::Server(name, error.to_string())),
        Err(error) => Err(ServeError::Server(name, error.to_string())),
    }
}
