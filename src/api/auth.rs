//! Bearer keys on requests, and what the bearer of each may use. Health and reflection are served without one.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Layer as _;

use super::answer::hold;
use super::arriving::{Arriving, aborted_if_broken};
use super::audit::{KeyName, Recorder, caller};
use super::errors::to_status;
use super::quotas::{Admitted, Quotas};
use super::scopes;
use super::step::{Answering, Step, StepLayer, Stepped};
use crate::model::{Error, ErrorCode};
use crate::security::{Denied, KeyHolder, Keyring, Scope, Standing};

/// Lets a request pass if it carries a key that is good for the call, and neither its bearer nor all of them together use more
/// than they may.
#[derive(Debug, Clone)]
pub(super) struct RequireKey {
    keyring: Arc<Keyring>,
    quotas: Arc<Quotas>,
    recorder: Recorder,
}

impl RequireKey {
    pub(super) fn new(keyring: Arc<Keyring>, quotas: Quotas, recorder: Recorder) -> Self {
        Self { keyring, quotas: Arc::new(quotas), recorder }
    }

    /// Takes the places of a request with these headers, and what is known of its connection, for the call at `path`; and says
    /// whose key it has. Who is not let in is recorded.
    pub(super) fn begin(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        path: &str,
    ) -> Result<(KeyName, Admitted), Status> {
        let holder = self.admit(extensions, headers, path)?;
        if let Some(standing) = extensions.get::<Standing>() {
            standing.prove();
        }
        let admitted = self.quotas.begin(&holder, path).map_err(to_status)?;
        Ok((KeyName(holder.name), admitted))
    }

    /// Whether a request with these headers has a key that is known, whatever it is good for.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        match self.keyring.admit(bearer(headers), Scope::Read) {
            Ok(_) | Err(Denied::Scope { .. }) => true,
            Err(Denied::Missing | Denied::Wrong) => false,
        }
    }

    /// Whether a request with these headers may make the call at `path`; then whose key it has.
    fn admit(&self, extensions: &Extensions, headers: &HeaderMap, path: &str) -> Result<KeyHolder, Status> {
        let mut known = None;
        let error = match self.keyring.admit(bearer(headers), scopes::needed(path)) {
            Ok(holder) => return Ok(holder),
            Err(Denied::Missing) => {
                const MESSAGE: &str = "no preshared key: send it as the metadata `authorization: Bearer KEY`";
                Error::new(ErrorCode::Unauthenticated, MESSAGE)
            }
            Err(Denied::Wrong) => Error::new(ErrorCode::PermissionDenied, "invalid preshared key: invalid token"),
            Err(Denied::Scope { name, needs }) => {
                let message = format!("the key {name} is not good for this: it lacks the scope {needs}");
                known = Some(name);
                Error::new(ErrorCode::ScopeMissing, message).with("scope", needs)
            }
        };
        let status = to_status(error);
        self.recorder.refuse(|| caller(extensions, headers, path, known.as_deref()), &status);
        Err(status)
    }

    /// `service`, for those who have a key, with a record of what they do.
    pub(super) fn guard<S>(&self, service: S) -> Stepped<Self, Stepped<Recorder, S>> {
        StepLayer(self.clone()).layer(StepLayer(self.recorder.clone()).layer(service))
    }
}

impl Step<Body> for RequireKey {
    fn take<E, F>(&self, mut request: Request<Body>, call: impl FnOnce(Request<Body>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        // The gateway asks by itself, before it reads a body, and bounds its bodies by itself.
        if let Some(admitted) = request.extensions_mut().remove::<Admitted>() {
            return holding(call(request), admitted);
        }
        let path = request.uri().path();
        match self.begin(request.headers(), request.extensions(), path) {
            Ok((name, admitted)) => {
                let is_import = scopes::is_import(path);
                request.extensions_mut().insert(name);
                request = request.map(aborted_if_broken);
                if !is_import {
                    request = request.map(|body| Body::new(Arriving::new(body, admitted.clone())));
                }
                holding(call(request), admitted)
            }
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

/// The answer, which holds what its request was given until it has gone out.
fn holding<E: Send + 'static>(
    answer: impl Future<Output = Result<Response<Body>, E>> + Send + 'static,
    admitted: Admitted,
) -> Answering<E> {
    Box::pin(async move { Ok(hold(answer.await?, admitted)) })
}

/// The key of `authorization: Bearer KEY`; the scheme's case does not matter.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use hyper::body::Frame;
    use tonic::Code;
    use tonic::codegen::Bytes;

    use super::*;
    use crate::api::tests::TestAdmin;
    use crate::audit::{AuditTarget, Trail, TrailOptions};
    use crate::security::{Allowance, KeyEntry};

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
            let key = RequireKey::new(Arc::clone(&keyring), Quotas::default(), Recorder::off());
            let admitted = key.admit(&Extensions::new(), &headers, "/a/b");
            assert_eq!(admitted.map(|_| ()).map_err(|status| status.code()), expected, "{header:?}");
        }
    }

    fn request(authorization: Option<&str>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "/authzed.api.v1.PermissionsService/CheckPermission".parse().expect("a path");
        let value = authorization.map(|text| text.parse::<http::HeaderValue>().expect("ASCII"));
        request.headers_mut().extend(value.map(|value| (http::header::AUTHORIZATION, value)));
        request
    }

    #[tokio::test]
    async fn a_request_has_its_place_until_its_answer_has_gone_out() {
        let one = Allowance { concurrent: std::num::NonZeroU32::new(1), ..Allowance::default() };
        let keyring = Arc::new(Keyring::bounded(&["key"], None, one).expect("one key"));
        let key = RequireKey::new(keyring, Quotas::default(), Recorder::off());
        let ask = async || {
            let message = || Body::new(Full::new(Bytes::from_static(b"message")));
            let answer = |_| async move { Ok::<_, Infallible>(Response::new(message())) };
            key.take(request(Some("Bearer key")), answer).await.unwrap_or_else(|never| match never {})
        };
        let code = |response: &Response<Body>| Status::from_header_map(response.headers()).map(|status| status.code());
        let first = ask().await;
        assert_eq!(code(&first), None, "answered by the service");
        assert_eq!(code(&ask().await), Some(Code::ResourceExhausted));
        drop(first);
        assert_eq!(code(&ask().await), None);
    }

    #[test]
    fn a_key_that_is_known_is_told_from_one_that_is_not() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (writer, entry) = KeyEntry::generate("writer", &[Scope::Write]);
        std::fs::write(file.path(), entry.to_toml()).expect("writable");
        let keyring = Arc::new(Keyring::new(&["key"], Some(file.path().to_owned())).expect("two keys"));
        let key = RequireKey::new(keyring, Quotas::default(), Recorder::off());
        let knows = |text: &str| key.knows(request(Some(text)).headers());
        assert!(knows("Bearer key") && knows(&format!("Bearer {writer}")), "whatever it is good for");
        assert!(!knows("Bearer other") && !knows("Bearer ") && !knows("Basic key"));
        assert!(!key.knows(request(None).headers()));
        let admit = |path: &str| {
            let request = request(Some(&format!("Bearer {writer}")));
            key.admit(&Extensions::new(), request.headers(), path).map(drop).map_err(|status| status.code())
        };
        assert_eq!(admit("/authzed.api.v1.PermissionsService/WriteRelationships"), Ok(()));
        for other in ["authzed.api.v1.SchemaService/WriteSchema", "quorate.v1.ClusterService/Remove", "no/such"] {
            assert_eq!(admit(&format!("/{other}")), Err(Code::PermissionDenied), "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_not_waited_for_for_ever_unless_it_is_an_import() {
        let keyring = Arc::new(Keyring::new(&["key"], None).expect("one key"));
        let key = RequireKey::new(keyring, Quotas::default(), Recorder::off());
        for (method, ends) in [("CheckPermission", true), ("ImportBulkRelationships", false)] {
            let mut request = request(Some("Bearer key"));
            *request.uri_mut() = format!("/authzed.api.v1.PermissionsService/{method}").parse().expect("a path");
            let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>().boxed();
            *request.body_mut() = Body::new(StreamBody::new(never));
            let read = |request: Request<Body>| async move {
                request.into_body().collect().await.expect_err("it never comes");
                Ok::<_, Infallible>(Response::new(Body::empty()))
            };
            let answered = tokio::time::timeout(std::time::Duration::from_secs(3600), key.take(request, read)).await;
            assert_eq!(answered.is_ok(), ends, "{method}");
        }
    }

    #[tokio::test]
    async fn who_is_not_let_in_is_recorded_without_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let target = AuditTarget::File { path: path.clone(), most_bytes: 0, keep: 0 };
        let options = TrailOptions { target, required: false, reads_sampled: 0 };
        let trail = Arc::new(Trail::open(options).expect("the folder is writable"));
        let recorder = Recorder::new(Some(Arc::clone(&trail)), Arc::new(TestAdmin));
        let keyring = Arc::new(Keyring::new(&["key"], None).expect("one key"));
        let key = RequireKey::new(keyring, Quotas::default(), recorder);
        let refused = request(Some("Bearer hunter2"));
        key.admit(&Extensions::new(), refused.headers(), "/a/b").map(drop).expect_err("it is no key");
        trail.flush().await;
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains(r#""kind":"refused""#) && !text.contains("hunter2"), "{text}");
    }
}
