//! Bearer keys on requests. Health and reflection are served without one.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::errors::to_status;
use super::scopes;
use crate::model::{Error, ErrorCode};
use crate::security::{Denied, Keyring};

/// Lets a request pass if it carries a key that is good for the call.
#[derive(Debug, Clone)]
pub(super) struct RequireKey {
    keyring: Arc<Keyring>,
}

impl RequireKey {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring }
    }

    /// Whether a request with these headers may make the call at `path`; then whose key it has.
    pub(super) fn admit(&self, headers: &HeaderMap, path: &str) -> Result<Arc<str>, Status> {
        let error = match self.keyring.admit(bearer(headers), scopes::needed(path)) {
            Ok(name) => return Ok(name),
            Err(Denied::Missing) => {
                const MESSAGE: &str = "no preshared key: send it as the metadata `authorization: Bearer KEY`";
                Error::new(ErrorCode::Unauthenticated, MESSAGE)
            }
            Err(Denied::Wrong) => Error::new(ErrorCode::PermissionDenied, "invalid preshared key: invalid token"),
            Err(Denied::Scope { name, needs }) => {
                let message = format!("the key {name} is not good for this: it lacks the scope {needs}");
                Error::new(ErrorCode::ScopeMissing, message).with("scope", needs)
            }
        };
        Err(to_status(error))
    }

    /// `service`, for those who have a key.
    pub(super) fn guard<S>(&self, service: S) -> Guarded<S> {
        Guarded { service, key: self.clone() }
    }
}

/// A service behind a key.
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    service: S,
    key: RequireKey,
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, In> Service<Request<In>> for Guarded<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        match self.key.admit(request.headers(), request.uri().path()) {
            Ok(_) => Box::pin(self.service.call(request)),
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

/// The key of `authorization: Bearer KEY`; the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_header_decides() {
        let keyring = Arc::new(Keyring::new(&["key"], None).expect("one key"));
        let cases = [
            (None, Err(Code::Unauthenticated)),
            (Some("Bearer key"), Ok(())),
            (Some("bearer key"), Ok(())),
            (Some("Bearer other"), Err(Code::PermissionDenied)),
            (Some("Bearer "), Err(Code::Unauthenticated)),
            (Some("Basic key"), Err(Code::Unauthenticated)),
            (Some("key"), Err(Code::Unauthenticated)),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("authorization", header.parse().expect("ASCII"));
            }
            let admitted = RequireKey::new(Arc::clone(&keyring)).admit(&headers, "/a/b");
            assert_eq!(admitted.map(|_| ()).map_err(|status| status.code()), expected, "{header:?}");
        }
    }
}
