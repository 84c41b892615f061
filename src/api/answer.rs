//! An answer on its way out: where it says how the call ended, and what it holds until it is gone.
//!
//! The status of a call is among the headers of an answer without a body, and else behind the body, in its trailers.

use http::{HeaderMap, HeaderName, Response};
use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;

/// Under which the code stands.
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether the call has ended with these headers: there is no body behind them.
pub(super) fn has_ended(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// Tells `ended` the code of the call, wherever in the answer it stands. It is dropped with the answer, told or not.
pub(super) fn follow(response: Response<Body>, mut ended: impl FnMut(Code) + Send + 'static) -> Response<Body> {
    let mut look = move |headers: &HeaderMap| {
        if let Some(status) = headers.get(STATUS) {
            ended(Code::from_bytes(status.as_bytes()));
        }
    };
    look(response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                look(trailers);
            }
            frame
        }))
    })
}

/// The answer, which holds `held` until it has gone out.
pub(super) fn hold<T: Send + 'static>(response: Response<Body>, held: T) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &held;
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::HeaderValue;
    use http_body_util::Full;
    use parking_lot::Mutex;
    use tonic::codegen::Bytes;

    use super::*;

    fn status(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(STATUS, HeaderValue::from_static(code))])
    }

    #[tokio::test]
    async fn the_code_is_found_behind_a_body_and_in_an_answer_without_one() {
        let codes = Arc::new(Mutex::new(Vec::new()));
        let note = || {
            let codes = Arc::clone(&codes);
            move |code| codes.lock().push(code)
        };
        let mut bare = Response::new(Body::empty());
        *bare.headers_mut() = status("5");
        assert!(has_ended(bare.headers()));
        drop(follow(bare, note()));
        assert_eq!(*codes.lock(), [Code::NotFound], "without reading the body");
        let body = Full::new(Bytes::from_static(b"message")).with_trailers(std::future::ready(Some(Ok(status("8")))));
        let response = Response::new(Body::new(body.map_err(|error: Infallible| error)));
        assert!(!has_ended(response.headers()));
        let response = follow(response, note());
        assert_eq!(codes.lock().len(), 1, "not before the trailers");
        response.into_body().collect().await.expect("whole");
        assert_eq!(*codes.lock(), [Code::NotFound, Code::ResourceExhausted]);
        assert_eq!(Arc::strong_count(&codes), 1, "dropped with the answer");
    }

    #[tokio::test]
    async fn what_is_held_is_dropped_with_the_answer() {
        let held = Arc::new(());
        let response = hold(Response::new(Body::new(Full::new(Bytes::from_static(b"message")))), Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 2);
        let mut body = response.into_body();
        body.frame().await.expect("the message").expect("whole");
        assert_eq!(Arc::strong_count(&held), 2, "until it is gone");
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
