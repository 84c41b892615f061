//! What machines of the operator ask a node: its metrics, whether it lives, and whether requests are welcome. Plain HTTP
//! without a key: nothing here names an object or a subject.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::watch;

use crate::model::Revision;
use crate::service::{ClusterAdmin, ClusterStatus, NodeState};
use crate::telemetry::{METRICS, MemberLabels, PartLabels, PositionLabels, RoleLabels, seconds};

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is asked of `node`.
pub(super) fn router(node: Arc<dyn ClusterAdmin>, readiness: watch::Receiver<bool>) -> Router {
    let ready = readiness.clone();
    let metrics = move || {
        let (node, readiness) = (Arc::clone(&node), readiness.clone());
        async move {
            let is_ready = *readiness.borrow();
            observe(node.as_ref(), is_ready).await;
            respond(StatusCode::OK, OPEN_METRICS, METRICS.render())
        }
    };
    let readyz = move || {
        let is_ready = *ready.borrow();
        async move {
            match is_ready {
                true => respond(StatusCode::OK, TEXT, "ready\n".to_owned()),
                false => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".to_owned()),
            }
        }
    };
    Router::new()
        .route("/metrics", get(metrics))
        // A node that can no longer keep its promises stops by itself, so whoever answers lives.
        .route("/healthz", get(async || respond(StatusCode::OK, TEXT, "alive\n".to_owned())))
        .route("/readyz", get(readyz))
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Sets what is set when somebody looks.
async fn observe(node: &dyn ClusterAdmin, is_ready: bool) {
    METRICS.ready.set(i64::from(is_ready));
    let Ok(status) = node.status().await else { return };
    let role = role_name(status.state);
    for known in ROLES {
        METRICS.role.get_or_create(&RoleLabels { role: known }).set(i64::from(known == role));
    }
    METRICS.term.set(gauge(status.term));
    METRICS.feature_level.set(status.feature_level.map_or(0, |level| i64::from(level.number())));
    METRICS.leader_known.set(i64::from(status.leader_id.is_some()));
    for (position, at) in positions(&status) {
        METRICS.position.get_or_create(&PositionLabels { position }).set(gauge(at.index()));
    }
    // Of a former leader nothing is left, and of a member that is gone neither.
    METRICS.member_lag.clear();
    for member in &status.members {
        if let Some(matched) = member.matched {
            let lag = status.last_log.index().saturating_sub(matched.index());
            METRICS.member_lag.get_or_create(&MemberLabels { member: member.node_id }).set(gauge(lag));
        }
    }
    if let Some(age) = status.state_age {
        METRICS.state_age.set(seconds(age));
    }
    for (part, bytes) in [
        ("memtables", status.store.memtables),
        ("block_cache", status.store.block_cache),
        ("files", status.store.files),
        ("pending_compaction", status.store.pending_compaction),
    ] {
        METRICS.store_bytes.get_or_create(&PartLabels { part }).set(gauge(bytes));
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn positions(status: &ClusterStatus) -> [(&'static str, Revision); 6] {
    [
        ("log", status.last_log),
        ("committed", status.committed),
        ("applied", status.applied),
        ("snapshot", status.snapshot),
        ("purged", status.purged),
        ("oldest", status.oldest),
    ]
}

const ROLES: [&str; 7] = ["waiting", "learner", "follower", "candidate", "leader", "faulted", "removed"];

fn role_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Waiting => "waiting",
        NodeState::Learner => "learner",
        NodeState::Follower => "follower",
        NodeState::Candidate => "candidate",
        NodeState::Leader => "leader",
        NodeState::Faulted => "faulted",
        NodeState::Removed => "removed",
    }
}
