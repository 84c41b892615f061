//! A span for each call, which goes on where the client's trace left off (`traceparent`). Names of objects and subjects are not
//! in it.

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tracing::{Instrument as _, Span, field};

use super::answer::{code_name, follow};
use super::scopes;
use super::step::{Answering, Step};
use crate::telemetry::{TRACE, TRACEPARENT, continue_trace, may_trace, noted};

/// Traces the calls of a service. Stands within what counts calls, and knows what was noted of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tracing;

impl<In> Step<In> for Tracing {
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let span = begin(&request);
        let answer = call(request);
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
            // The span ends with the body, behind which the code stands.
            Ok(follow(response, move |code| note_code(&span, code)))
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

fn note_code(span: &Span, code: Code) {
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
