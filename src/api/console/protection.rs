//! What a browser is told not to do with the console, on every answer; and which requests it is believed to have made for it.
//!
//! Names of objects come from users. Should one ever get into a page as more than text, it finds that no script runs but those
//! of this origin, that no text becomes markup, and that nothing can be sent elsewhere.

use axum::body::Body;
use axum::middleware::Next;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, Request, Response};
use tonic::Status;

use crate::api::gateway;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Where the browser says that a request came from.
const FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what another site's page asks for, and protects every answer.
pub(super) async fn protect(request: Request<Body>, next: Next) -> Response<Body> {
    let is_read = request.method().is_safe();
    let mut response = if is_read || is_ours(request.headers()) {
        next.run(request).await
    } else {
        gateway::refuse(&Status::permission_denied("the console answers its own pages only"))
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is not a page says nothing of how long it may be kept; it is somebody's data.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a call is the doing of a page of ours, or of somebody who is no browser.
fn is_ours(headers: &HeaderMap) -> bool {
    headers.get_all(FETCH_SITE).iter().all(|site| site == "same-origin")
}
