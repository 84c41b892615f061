//! What the gateway serves: the calls, the health of the node, and the description of it all.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{HeaderMap, Request, Response, StatusCode};
use tonic::Status;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::Layer as _;

use super::pass::{Gateway, refuse, respond};
use super::routes::Method;
use super::{openapi, routes};
use crate::api::auth::RequireKey;
use crate::api::metering::Metering;
use crate::api::request_id::RequestIds;
use crate::api::step::StepLayer;
use crate::api::traced::Tracing;

/// The gateway to `services`, which are everything that the gRPC front serves, with its keys; `key` asks for the same ones.
pub(in crate::api) fn router(services: Routes, key: RequireKey) -> Router {
    let methods = routes::methods();
    let description = openapi::describe(&methods).to_string();
    let health = HealthClient::new(services.clone());
    passing(methods, services, key)
        .route("/healthz", get(async move || answer_health(health).await))
        .route("/openapi.json", get(async move || respond(StatusCode::OK, HeaderMap::new(), Body::from(description))))
        .fallback(async || refuse(&Status::not_found("Not Found")))
        .method_not_allowed_fallback(async || refuse(&Status::unimplemented("Method Not Allowed")))
}

/// The calls at these `paths`, and nothing else of the gateway.
pub(in crate::api) fn calls(paths: &[&str], services: Routes, key: RequireKey) -> Router {
    let methods = routes::methods().into_iter().filter(|method| paths.contains(&method.path)).collect();
    passing(methods, services, key)
}

fn passing(methods: Vec<Method>, services: Routes, key: RequireKey) -> Router {
    let services = StepLayer(Metering).layer(StepLayer(Tracing).layer(services));
    let gateway = Gateway::new(StepLayer(RequestIds).layer(services), key);
    methods.into_iter().fold(Router::new(), |router, method| {
        let gateway = gateway.clone();
        let path = method.path;
        let handle = async move |request: Request<Body>| gateway.pass(method, request).await;
        router.route(path, post(handle))
    })
}

/// Whether requests are welcome: what the gRPC health service says of the node as a whole.
async fn answer_health(mut health: HealthClient<Routes>) -> Response<Body> {
    let answer = health.check(HealthCheckRequest::default()).await;
    let status = answer.map_or(ServingStatus::Unknown, |answer| answer.get_ref().status());
    let code = if status == ServingStatus::Serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = serde_json::json!({ "status": status.as_str_name() }).to_string();
    respond(code, HeaderMap::new(), Body::from(text))
}
