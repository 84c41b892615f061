//! The listeners of a node: bound before anything else, so that a node which cannot have its ports says so at once, and taken
//! into service with their certificates and bounds.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::raft_runtime::run_on;
use super::secrets::Secrets;
use super::serve::ServeError;
use super::{open_files, peers};
use crate::api::Listeners;
use crate::config::{LimitsSection, NodeConfig};
use crate::raft::NodeAddress;
use crate::security::{ConnectionLimits, Listener, ListenerSettings, Protocol, Tls};

/// Listeners that nothing is taken from yet.
pub(super) struct Bound {
    client: TcpListener,
    peer: TcpListener,
    gateway: Option<TcpListener>,
    console: Option<TcpListener>,
    metrics: Option<TcpListener>,
    limits: LimitsSection,
    address: NodeAddress,
}

impl Bound {
    /// Binds what `config` names; what is for the other nodes, on the threads of `raft`.
    pub(super) async fn bind(config: &NodeConfig, raft: &Handle) -> Result<Self, ServeError> {
        let optional = async |address: Option<SocketAddr>, purpose| match address {
            Some(address) => bind(address, purpose).await.map(Some),
            None => Ok(None),
        };
        let client = bind(config.client.listen, "clients").await?;
        let peer = run_on(raft, bind(config.peer.listen, "peers")).await?;
        let address = NodeAddress {
            client: advertised(&config.client.advertise, &client),
            peer: advertised(&config.peer.advertise, &peer),
        };
        Ok(Self {
            client,
            peer,
            gateway: optional(config.gateway.listen.address(), "the JSON gateway").await?,
            console: optional(config.console.listen.address(), "the console").await?,
            metrics: optional(config.metrics.listen.address(), "metrics").await?,
            limits: config.limits.clone(),
            address,
        })
    }

    /// How the node is reached.
    pub(super) fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// From now on connections are taken: those of the other nodes, and those of clients. The announcement is for when both
    /// are served.
    pub(super) fn take(
        self,
        secrets: &Secrets,
        raft: &Handle,
    ) -> Result<(Listener, Listeners, Announcement), ServeError> {
        let at = |listener: &TcpListener| listener.local_addr().ok();
        let announcement = Announcement {
            gateway: self.gateway.as_ref().and_then(at),
            console: self.console.as_ref().and_then(at),
            metrics: self.metrics.as_ref().and_then(at),
            address: self.address,
        };
        let listeners = 1 + usize::from(self.gateway.is_some()) + usize::from(self.console.is_some());
        let of_clients = ConnectionLimits {
            most: open_files::connections(self.limits.connections, listeners, open_files::raise()),
            most_from_one: self.limits.connections_per_address(),
        };
        let gateway = self.gateway.map(|bound| take(bound, "gateway", Protocol::Http1, of_clients, &secrets.gateway));
        // A page keeps an event stream open; clients are bounded alike.
        let console = self.console.map(|bound| take(bound, "console", Protocol::Http1, of_clients, &secrets.gateway));
        let of_operators = open_files::METRICS_CONNECTIONS;
        let metrics = self.metrics.map(|bound| take(bound, "metrics", Protocol::Http1, of_operators, &None));
        let peer = {
            let _on_its_threads = raft.enter();
            take(self.peer, "peer", Protocol::Http2, peers::CONNECTIONS, &secrets.peer)?
        };
        let grpc = take(self.client, "client", Protocol::Http2, of_clients, &secrets.grpc)?;
        let (gateway, console) = (gateway.transpose()?, console.transpose()?);
        Ok((peer, Listeners { grpc, gateway, console, metrics: metrics.transpose()? }, announcement))
    }
}

async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, purpose, source })
}

fn take(
    bound: TcpListener,
    name: &'static str,
    protocol: Protocol,
    limits: ConnectionLimits,
    tls: &Option<Arc<Tls>>,
) -> Result<Listener, ServeError> {
    let taken = Listener::new(bound, ListenerSettings { name, protocol, limits, tls: tls.clone() });
    taken.map_err(|error| ServeError::Start(format!("a listener has no address: {error}")))
}

/// Port 0 in an advertised address stands for the port that the system chose.
fn advertised(configured: &str, listener: &TcpListener) -> String {
    match (configured.strip_suffix(":0"), listener.local_addr()) {
        (Some(host), Ok(bound)) => format!("{host}:{}", bound.port()),
        _ => configured.to_owned(),
    }
}

/// Where a node is found.
pub(super) struct Announcement {
    address: NodeAddress,
    gateway: Option<SocketAddr>,
    console: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl Announcement {
    /// The one line on standard output: scripts wait for it. Where nobody does, the node serves all the same.
    pub(super) fn print(&self, member: bool) {
        let state = if member { "member" } else { "waiting" };
        let others = [("gateway", self.gateway), ("console", self.console), ("metrics", self.metrics)];
        let others = others.into_iter().filter_map(|(name, at)| at.map(|at| format!(" {name}={at}")));
        let (NodeAddress { client, peer }, others) = (&self.address, others.collect::<String>());
        let _ = writeln!(std::io::stdout(), "ready client={client} peer={peer}{others} state={state}");
    }
}
