//! Counts the calls: how many ended how, and how long their answers took.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::scopes;
use crate::telemetry::{CallLabels, LatencyLabels, METRICS, seconds, with_notes};

/// Calls of health, reflection, and whatever is not served.
const OTHER: &str = "other";

/// Adds [`Metered`] to a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeteringLayer;

impl<S> Layer<S> for MeteringLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metered { inner }
    }
}

/// Counts what a service answers.
#[derive(Debug, Clone)]
pub(super) struct Metered<S> {
    inner: S,
}

impl<S, In> Service<Request<In>> for Metered<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let begin = Instant::now();
        let method = scopes::method(request.uri().path()).unwrap_or(OTHER);
        // Dropped with the call where its client goes away before there is an answer.
        let open = Open { method, code: "CANCELLED" };
        let answer = with_notes(self.inner.call(request));
        Box::pin(async move {
            let (answer, consistency) = answer.await;
            let labels = LatencyLabels { method, consistency };
            METRICS.call_duration.get_or_create(&labels).observe(seconds(begin.elapsed()));
            Ok(follow(answer?, open))
        })
    }
}

/// A call that has not ended. It is counted when this is dropped.
struct Open {
    method: &'static str,
    code: &'static str,
}

impl Open {
    fn ends_with(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = code_name(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.calls.get_or_create(&CallLabels { method: self.method, code: self.code }).inc();
    }
}

/// The status is among the headers of an answer without a body, and else behind the body.
fn follow(response: Response<Body>, mut open: Open) -> Response<Body> {
    open.ends_with(response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                open.ends_with(trailers);
            }
            frame
        }))
    })
}

/// A code as gRPC writes it.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
