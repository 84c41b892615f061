//! Running a node from start to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::admin::{Admin, own_status};
use super::identity::{DataDir, IdentityError};
use super::lifecycle::Node;
use super::listeners::Bound;
use super::peers;
use super::raft_runtime::RaftRuntime;
use super::secrets::{Hangup, Secrets, SecretsError};
use crate::api::{self, ApiServices, RequestLimits};
use crate::audit::Trail;
use crate::config::NodeConfig;
use crate::raft::{Connections, PeerServer};
use crate::service::{ServiceLimits, Services};

/// How long a leader that stops may take to have another node lead. Clients are served meanwhile.
const HAND_OVER: Duration = Duration::from_secs(5);

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
    /// The audit log.
    #[error("the audit log cannot be opened ({0}): see audit.file")]
    Audit(std::io::Error),
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
pub async fn serve(config: NodeConfig, shutdown: CancellationToken) -> Result<(), ServeError> {
    let raft = RaftRuntime::start().map_err(|error| ServeError::Start(format!("cannot start threads: {error}")))?;
    let outcome = live(config, shutdown, &raft.handle()).await;
    raft.end().await;
    outcome
}

async fn live(mut config: NodeConfig, shutdown: CancellationToken, raft: &Handle) -> Result<(), ServeError> {
    // Before anything that takes time: a signal must not end a node that is about to start.
    let hangup = Hangup::watch();
    let data = DataDir::open(&config.data_dir)?;
    let bound = Bound::bind(&config, raft).await?;
    let address = bound.address().clone();
    let limits = ServiceLimits {
        concurrent_evaluations: config.limits.concurrent_evaluations,
        evaluation_wait: Duration::from_millis(config.limits.evaluation_wait_ms),
        request_timeout: Duration::from_millis(config.limits.request_timeout_ms),
    };
    let requests = RequestLimits { node: config.limits.of_node(), watches: config.limits.watches };
    let secrets = Secrets::load(&mut config)?;
    let audit = config.audit.trail().map(Trail::open).transpose().map_err(ServeError::Audit)?.map(Arc::new);
    let services = Arc::new(Services::new(limits));
    let peer_services = PeerServer::default();
    let connections = Arc::new(Connections::new(secrets.peer.clone()));
    let (shared, answering) = (Arc::clone(&services), peer_services.clone());
    let node = Arc::new(Node::new(config, data, address, shared, answering, connections, raft.clone()));
    let told = Arc::downgrade(&node);
    peer_services
        .report_with(move || told.upgrade().map_or_else(Vec::new, |node| api::write_report(own_status(&node))));
    node.resume().await.map_err(|error| ServeError::Start(error.to_string()))?;

    let stop_peers = CancellationToken::new();
    let (peer_listener, listeners, announcement) = bound.take(&secrets, raft)?;
    let peer_server = raft.spawn(peers::serve(peer_listener, peer_services, stop_peers.clone()));
    // Not that of the signal: a leader serves its clients until another node leads.
    let stop_api = CancellationToken::new();
    let admin = Arc::new(Admin::new(Arc::clone(&node), stop_api.clone()));
    let stopping = Arc::clone(&services);
    let api = ApiServices { services, cluster: admin, audit: audit.clone() };
    let keyring = Arc::clone(&secrets.keyring);
    let api_server = tokio::spawn(api::serve(listeners, api, keyring, requests, stop_api.clone()));
    announcement.print(node.replica().is_some());

    let fault = tokio::select! {
        () = shutdown.cancelled() => None,
        reason = faulted(&node) => Some(ServeError::Faulted(reason)),
        never = secrets.keep_current(hangup, audit.as_deref()) => match never {},
    };
    if fault.is_none() {
        hand_over(&node).await;
    }
    // Clients first, then the listener that the others reach the replica by, and the replica last: whoever calls is answered,
    // or finds nobody. A call to a replica that has stopped is an error in two logs, and would say that something is wrong.
    stopping.stop();
    stop_api.cancel();
    let api_ended = api_server.await;
    if let Some(audit) = &audit {
        audit.flush().await;
    }
    stop_peers.cancel();
    let peers_ended = tokio::time::timeout(PEER_GRACE, peer_server).await.unwrap_or(Ok(Ok(())));
    if let Some(replica) = node.replica()
        && tokio::time::timeout(REPLICA_GRACE, replica.shutdown()).await.is_err()
    {
        tracing::warn!("the replica did not stop in time; what it acknowledged is on disk all the same");
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    ended("client", api_ended)?;
    ended("peer", peers_ended)
}

/// A planned stop is no failure: where this node leads, the others need no election.
async fn hand_over(node: &Node) {
    let Some(replica) = node.replica() else { return };
    match tokio::time::timeout(HAND_OVER, replica.hand_over()).await {
        Ok(Ok(Some(leader))) => tracing::info!(leader, "another node leads, so this one can stop"),
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "this node stops while it leads; the others will elect another one"),
        Err(_) => {
            tracing::warn!("no other node leads after {HAND_OVER:?}; this one stops, and the others will elect one")
        }
    }
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
