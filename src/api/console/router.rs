//! What the console serves: its files to everybody, and the few calls that its pages make to whoever has a key.

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::Status;
use tonic::service::Routes;

use super::assets::{ASSETS, Asset};
use super::protection::protect;
use crate::api::auth::RequireKey;
use crate::api::gateway;

/// The calls that the pages make. All of them need no more than the scope `read`: whatever key is typed in, nothing can be
/// changed from here.
pub(super) const CALLS: [&str; 5] = [
    "/quorate/v1/cluster/overview",
    "/v1/permissions/check",
    "/v1/schema/read",
    "/v1/schema/reflectschema",
    "/v1/watch",
];

/// The console of a node that serves `services`.
pub(in crate::api) fn router(services: Routes, key: RequireKey) -> Router {
    let calls = gateway::calls(&CALLS, services, key);
    let pages = ASSETS.iter().fold(calls, |router, asset| {
        router.route(asset.path, get(async move |headers: HeaderMap| serve(asset, &headers)))
    });
    pages
        .fallback(async || gateway::refuse(&Status::not_found("Not Found")))
        .method_not_allowed_fallback(async || gateway::refuse(&Status::unimplemented("Method Not Allowed")))
        .layer(from_fn(protect))
}

/// The file, or a word that the browser has it already.
fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response<Body> {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == asset.tag);
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(asset.bytes));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
        response
    };
    let headers = response.headers_mut();
    // Kept, and asked for each time whether it is still the same: after an upgrade no page is made of two versions for long.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, HeaderValue::from_str(&asset.tag).expect("quotes and hexadecimal digits"));
    response
}
