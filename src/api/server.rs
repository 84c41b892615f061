//! One listener with everything public on it, from the first connection to the end of the last one.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admin::Cluster;
use super::auth::RequireKey;
use super::authzed::{Permissions, Schema};
use super::request_id::RequestIdLayer;
use crate::model::limits;
use crate::security::Keyring;
use crate::service::{ClusterAdmin, Services};
use crate::wire;
use crate::wire::authzed::v1::permissions_service_server::PermissionsServiceServer;
use crate::wire::authzed::v1::schema_service_server::SchemaServiceServer;
use crate::wire::quorate::v1::cluster_service_server::ClusterServiceServer;

/// What health knows: `""` is the node as a whole. The administration is no part of it, since it works before the node is a
/// member.
const HEALTH_NAMES: [&str; 3] = ["", "authzed.api.v1.PermissionsService", "authzed.api.v1.SchemaService"];

/// What is served.
pub struct ApiServices {
    /// The use cases.
    pub services: Arc<Services>,
    /// Administration of the node.
    pub cluster: Arc<dyn ClusterAdmin>,
    /// Who may ask.
    pub keyring: Keyring,
    /// Where the node says whether it can serve.
    pub readiness: Readiness,
}

/// Bounds of the listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Requests at the same time on one connection.
    pub streams_per_connection: u32,
    /// A quiet connection is asked for a sign of life this often.
    pub keepalive_interval: Duration,
    /// And closed without one after this.
    pub keepalive_timeout: Duration,
    /// How long running requests may take to end after the node is told to stop.
    pub grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            streams_per_connection: 1024,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why serving ended or never began.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors built into the program are not usable.
    #[error("server reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the public API stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Whether load balancers should send requests here: not before the node is a member, and not any more once it stops.
#[derive(Debug, Clone)]
pub struct Readiness {
    reporter: HealthReporter,
}

impl Readiness {
    /// Not ready.
    pub async fn new() -> Self {
        let readiness = Self { reporter: HealthReporter::new() };
        readiness.set(false).await;
        readiness
    }

    /// Says whether the node can serve.
    pub async fn set(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in HEALTH_NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Serves `api` on `listener` until `shutdown`, then lets running requests end within [`ServerLimits::grace`].
pub async fn serve(
    listener: TcpListener,
    api: ApiServices,
    bounds: ServerLimits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let key = RequireKey::new(api.keyring);
    let permissions = PermissionsServiceServer::new(Permissions::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
        .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let schema = SchemaServiceServer::new(Schema::new(api.services)).max_decoding_message_size(limits::MESSAGE_BYTES);
    let cluster = ClusterServiceServer::new(Cluster::new(api.cluster));

    // Every name that this server does not know answers UNIMPLEMENTED before a key is asked for; it says nothing about data.
    let router = Server::builder()
        .max_concurrent_streams(bounds.streams_per_connection)
        .http2_keepalive_interval(Some(bounds.keepalive_interval))
        .http2_keepalive_timeout(Some(bounds.keepalive_timeout))
        .layer(RequestIdLayer)
        .add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(api.readiness.reporter.clone()),
        ))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(InterceptedService::new(permissions, key.clone()))
        .add_service(InterceptedService::new(schema, key.clone()))
        .add_service(InterceptedService::new(cluster, key));

    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stopping = shutdown.clone();
    let serving = router.serve_with_incoming_shutdown(incoming, async move { stopping.cancelled().await });
    let overdue = async {
        shutdown.cancelled().await;
        api.readiness.set(false).await;
        tokio::time::sleep(bounds.grace).await;
    };
    tokio::select! {
        ended = serving => Ok(ended?),
        () = overdue => {
            tracing::warn!(grace = ?bounds.grace, "requests were still running when the time to end them was over");
            Ok(())
        }
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The protocol between nodes is not served here.
        .with_service_name("authzed.api.v1.PermissionsService")
        .with_service_name("authzed.api.v1.SchemaService")
        .with_service_name("quorate.v1.ClusterService")
        .with_service_name("grpc.health.v1.Health")
}
