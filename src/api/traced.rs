//! A span for each call, which goes on where the client's trace left off (`traceparent`). Names of objects and subjects are not
//! in it.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::metering::code_name;
use super::scopes;
use crate::telemetry::{TRACE, TRACEPARENT, continue_trace, may_trace, noted};

/// Adds [`Traced`] to a service. Stands within what counts calls, and knows what was noted of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct TracingLayer;

impl<S> Layer<S> for TracingLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced { inner }
    }
}

/// Traces the calls of a service.
#[derive(Debug, Clone)]
pub(super) struct Traced<S> {
    inner: S,
}

impl<S, In> Service<Request<In>> for Traced<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let span = begin(&request);
        let answer = self.inner.call(request);
        if span.is_disabled() {
            return Box::pin(answer);
        }
        let of_call = span.clone();
        let call = async move {
            let response = answer.await?;
            let noted = noted();
            span.record("quorate.consistency", noted.consistency);
            span.record("quorate.index", noted.index);
            span.record("quorate.key", noted.key.as_deref());
            Ok(follow(response, span))
        };
        Box::pin(call.instrument(of_call))
    }
}

/// The span of a call; none where nobody traces, and for calls that are none of ours.
fn begin<In>(request: &Request<In>) -> Span {
    let path = request.uri().path();
    if !may_trace() || scopes::method(path).is_none() {
        return Span::none();
    }
    let span = tracing::trace_span!(
        target: TRACE,
        "request",
        otel.name = &path[1..],
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.grpc.status_code = field::Empty,
        quorate.code = field::Empty,
        quorate.consistency = field::Empty,
        quorate.index = field::Empty,
        quorate.key = field::Empty,
    );
    let parent = request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok());
    continue_trace(&span, parent.unwrap_or_default());
    span
}

/// The span ends with the body, behind which the code stands.
fn follow(response: Response<Body>, span: Span) -> Response<Body> {
    note_code(&span, response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                note_code(&span, trailers);
            }
            frame
        }))
    })
}

fn note_code(span: &Span, headers: &HeaderMap) {
    let Some(status) = headers.get("grpc-status") else { return };
    let code = Code::from_bytes(status.as_bytes());
    span.record("rpc.grpc.status_code", code as i32);
    span.record("quorate.code", code_name(code));
    // What a client did wrong is no error of the server, by the conventions for RPC.
    let is_fault = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if is_fault {
        span.record("otel.status_code", "ERROR");
    }
}
