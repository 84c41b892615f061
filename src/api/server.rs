//! One listener with everything public on it, and one each for the JSON gateway and the console, from the first connection to
//! the end of the last one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::admin::{Backup, Cluster, Consistency, SchemaPlanning};
use super::audit::Recorder;
use super::auth::RequireKey;
use super::authzed::{Experimental, Permissions, Schema, Watch};
use super::metering::Metering;
use super::quotas::{Quotas, RequestLimits};
use super::request_id::RequestIds;
use super::response_meta::ResponseMeta;
use super::standing::Proving;
use super::step::StepLayer;
use super::traced::Tracing;
use super::{console, gateway, http1, operator};
use crate::audit::Trail;
use crate::model::limits;
use crate::security::{Keyring, Listener};
use crate::service::{ClusterAdmin, Services};
use crate::wire;
use crate::wire::authzed::v1::experimental_service_server::ExperimentalServiceServer;
use crate::wire::authzed::v1::permissions_service_server::PermissionsServiceServer;
use crate::wire::authzed::v1::schema_service_server::SchemaServiceServer;
use crate::wire::authzed::v1::watch_service_server::WatchServiceServer;
use crate::wire::quorate::v1::backup_service_server::BackupServiceServer;
use crate::wire::quorate::v1::cluster_service_server::ClusterServiceServer;
use crate::wire::quorate::v1::consistency_service_server::ConsistencyServiceServer;
use crate::wire::quorate::v1::schema_plan_service_server::SchemaPlanServiceServer;

/// What health knows: `""` is the node as a whole. The administration is no part of it, since it works before the node is a
/// member.
const HEALTH_NAMES: [&str; 4] =
    ["", "authzed.api.v1.PermissionsService", "authzed.api.v1.SchemaService", "authzed.api.v1.WatchService"];

/// Requests at the same time on one connection.
const STREAMS_PER_CONNECTION: u32 = 1024;
/// All headers of a request.
const HEADER_BYTES: u32 = 16 << 10;
/// Streams that a client reset before they were looked at, and those that were reset for what a client did: with more of them
/// on a connection, it ends (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1_024;
/// A quiet connection is asked for a sign of life this often, and closed if it gives none within the second time.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long running requests may take to end after the node is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What is served.
pub struct ApiServices {
    /// The use cases.
    pub services: Arc<Services>,
    /// Administration of the node.
    pub cluster: Arc<dyn ClusterAdmin>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<Trail>>,
}

/// Why serving ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors built into the program are not usable.
    #[error("server reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the public API stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The listener of the gateway failed.
    #[error("the JSON gateway stopped: {0}")]
    Gateway(std::io::Error),
    /// The listener of the console failed.
    #[error("the console stopped: {0}")]
    Console(std::io::Error),
    /// The listener of the metrics failed.
    #[error("the listener of the metrics stopped: {0}")]
    Metrics(std::io::Error),
}

/// Where clients come in.
pub struct Listeners {
    /// For gRPC.
    pub grpc: Listener,
    /// For JSON over HTTP.
    pub gateway: Option<Listener>,
    /// For the pages of the console.
    pub console: Option<Listener>,
    /// For metrics and the like.
    pub metrics: Option<Listener>,
}

/// Serves `api` on `listeners` until `shutdown`, then lets running requests end within ten seconds.
///
/// Health and reflection need no key. Health says SERVING once the node has caught up with its cluster, until it
/// stops.
pub async fn serve(
    listeners: Listeners,
    api: ApiServices,
    keyring: Arc<Keyring>,
    limits: RequestLimits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let reporter = HealthReporter::new();
    let (observed, readiness) = (Arc::clone(&api.cluster), api.services.readiness());
    let reporting = report_health(reporter.clone(), api.services.readiness(), shutdown.clone());
    let response_meta = ResponseMeta::new(Arc::clone(&api.cluster));
    let recorder = Recorder::new(api.audit.clone(), Arc::clone(&api.cluster));
    let key = RequireKey::new(keyring, Quotas::new(limits).with_door(api.services.door()), recorder);
    let routes = routes(api, key.clone(), reporter)?;
    let gateway = async {
        let router = || gateway::router(routes.clone(), key.clone());
        serve_http(listeners.gateway, router, shutdown.clone()).await.map_err(ServeError::Gateway)
    };
    let console = async {
        let router = || console::router(routes.clone(), key.clone());
        serve_http(listeners.console, router, shutdown.clone()).await.map_err(ServeError::Console)
    };
    let operator = async {
        let router = || operator::router(observed, readiness);
        serve_http(listeners.metrics, router, shutdown.clone()).await.map_err(ServeError::Metrics)
    };
    let router = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS))
        .layer(StepLayer(Proving::by_key(key.clone())))
        .layer(StepLayer(Metering))
        .layer(StepLayer(Tracing))
        .layer(StepLayer(response_meta))
        .layer(StepLayer(RequestIds))
        .add_routes(routes.clone());
    let stop = shutdown.clone().cancelled_owned();
    let grpc = async { Ok(router.serve_with_incoming_shutdown(listeners.grpc.into_stream(), stop).await?) };
    let serving = async { tokio::try_join!(grpc, gateway, console, operator).map(|((), (), (), ())| ()) };
    let overdue = async {
        tokio::join!(reporting, shutdown.cancelled());
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = overdue => {
            tracing::warn!(grace = ?GRACE, "requests were still running when the time to end them was over");
            Ok(())
        }
    }
}

/// Everything that is served, with the key that it asks for.
pub(super) fn routes(api: ApiServices, key: RequireKey, reporter: HealthReporter) -> Result<Routes, ServeError> {
    let permissions = PermissionsServiceServer::new(Permissions::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let schema = SchemaServiceServer::new(Schema::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let experimental = ExperimentalServiceServer::new(Experimental::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let plans = SchemaPlanServiceServer::new(SchemaPlanning::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let consistency = ConsistencyServiceServer::new(Consistency::new(Arc::clone(&api.services)))
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let watch = WatchServiceServer::new(Watch::new(api.services))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let backup = BackupServiceServer::new(Backup::new(Arc::clone(&api.cluster)))
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let cluster = ClusterServiceServer::new(Cluster::new(api.cluster));
    Ok(Routes::new(HealthServer::new(HealthService::from_health_reporter(reporter)))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(key.guard(permissions))
        .add_service(key.guard(schema))
        .add_service(key.guard(experimental))
        .add_service(key.guard(watch))
        .add_service(key.guard(plans))
        .add_service(key.guard(consistency))
        .add_service(key.guard(cluster))
        .add_service(key.guard(backup)))
}

/// Serves what `router` makes, where there is a listener for it.
async fn serve_http(
    listener: Option<Listener>,
    router: impl FnOnce() -> Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    match listener {
        Some(listener) => http1::serve(listener, router(), shutdown).await,
        None => Ok(()),
    }
}

/// Says what load balancers need to know: requests are welcome once the node has caught up with its cluster, and no more once
/// it stops or was removed. Ends after `shutdown`.
async fn report_health(reporter: HealthReporter, mut readiness: watch::Receiver<bool>, shutdown: CancellationToken) {
    loop {
        let ready = *readiness.borrow_and_update();
        report(&reporter, if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        tokio::select! {
            // An error means that the services are gone, and with them the server.
            Ok(()) = readiness.changed() => {}
            () = shutdown.cancelled() => break,
        }
    }
    report(&reporter, ServingStatus::NotServing).await;
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The protocol between nodes is not served here.
        .with_service_name("authzed.api.v1.PermissionsService")
        .with_service_name("authzed.api.v1.SchemaService")
        .with_service_name("authzed.api.v1.WatchService")
        .with_service_name("authzed.api.v1.ExperimentalService")
        .with_service_name("quorate.v1.ClusterService")
        .with_service_name("quorate.v1.SchemaPlanService")
        .with_service_name("quorate.v1.ConsistencyService")
        .with_service_name("grpc.health.v1.Health")
}
