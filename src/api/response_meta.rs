//! What stands beside the messages. For clients of SpiceDB: trailers that name the request and count its work, the version for
//! whoever asks, and a word on what is not served. For whoever looks into a cluster: which node answered, and how far it had
//! come when the request arrived, which tells whether a read had to wait.
//!
//! Work is not split into parts that are sent elsewhere, so each request counts as one operation that came from no cache.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;

use super::answer::STATUS;
use super::request_id::HEADER as REQUEST_ID;
use super::step::{Answering, Step};
use crate::service::{ClusterAdmin, NodePosition};

/// Under which the request's id was found in the trailers before it had the header's name.
const EARLIER_REQUEST_ID: HeaderName = HeaderName::from_static("io.spicedb.respmeta.requestid");
const DISPATCHED: HeaderName = HeaderName::from_static("io.spicedb.respmeta.dispatchedoperationscount");
const CACHED: HeaderName = HeaderName::from_static("io.spicedb.respmeta.cachedoperationscount");
/// A request that has it wants [`VERSION`] among the headers.
const WANTS_VERSION: HeaderName = HeaderName::from_static("io.spicedb.requestversion");
const VERSION: HeaderName = HeaderName::from_static("io.spicedb.debug.version");
const OUR_VERSION: HeaderValue = HeaderValue::from_static(concat!("quorate v", env!("CARGO_PKG_VERSION")));
/// The id of the node that answers.
const NODE: HeaderName = HeaderName::from_static("quorate-node");
/// The last index that the node had applied when the request arrived.
const APPLIED: HeaderName = HeaderName::from_static("quorate-applied");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// UNIMPLEMENTED.
const NOT_SERVED: &str = "12";

/// Adds trailers and headers to what a service answers. Stands outside of the one that gives requests their ids.
#[derive(Clone)]
pub(super) struct ResponseMeta {
    node: Arc<dyn ClusterAdmin>,
}

impl ResponseMeta {
    /// For the answers of `node`.
    pub(super) fn new(node: Arc<dyn ClusterAdmin>) -> Self {
        Self { node }
    }
}

impl<In> Step<In> for ResponseMeta {
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let wants_version = request.headers().contains_key(WANTS_VERSION);
        let position = self.node.position();
        let answer = call(request);
        Box::pin(async move { Ok(annotate(answer.await?, wants_version, position)) })
    }
}

fn annotate(mut response: Response<Body>, wants_version: bool, position: Option<NodePosition>) -> Response<Body> {
    let id = response.headers().get(REQUEST_ID).cloned();
    let headers = response.headers_mut();
    if wants_version {
        headers.insert(VERSION, OUR_VERSION);
    }
    let Some(status) = headers.get(STATUS) else {
        // The status comes after the body, and what is ours with it.
        return response.map(|body| {
            Body::new(body.map_frame(move |mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    add_trailers(trailers, id.as_ref(), position);
                }
                frame
            }))
        });
    };
    // An answer without a body: its headers are its trailers.
    if status.as_bytes() == NOT_SERVED.as_bytes() && !headers.contains_key(MESSAGE) {
        headers.insert(MESSAGE, HeaderValue::from_static("this server does not serve the method that was called"));
    }
    add_trailers(headers, id.as_ref(), position);
    response
}

fn add_trailers(trailers: &mut HeaderMap, id: Option<&HeaderValue>, position: Option<NodePosition>) {
    if let Some(id) = id {
        trailers.insert(REQUEST_ID, id.clone());
        trailers.insert(EARLIER_REQUEST_ID, id.clone());
    }
    if let Some(NodePosition { node_id, applied }) = position {
        trailers.insert(NODE, HeaderValue::from(node_id));
        trailers.insert(APPLIED, HeaderValue::from(applied.index()));
    }
    trailers.insert(DISPATCHED, HeaderValue::from_static("1"));
    trailers.insert(CACHED, HeaderValue::from_static("0"));
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::model::Revision;

    const POSITION: Option<NodePosition> = Some(NodePosition { node_id: 2, applied: Revision::new(41) });

    fn answer(headers: &[(HeaderName, &'static str)], body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    #[tokio::test]
    async fn trailers_name_the_request_behind_a_body_and_in_an_answer_without_one() {
        let status = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
        let body = Full::new(tonic::codegen::Bytes::from_static(b"message"));
        let body = body.with_trailers(std::future::ready(Some(Ok::<_, std::convert::Infallible>(status))));
        let response = annotate(answer(&[(REQUEST_ID, "id-1")], Body::new(body)), false, POSITION);
        assert!(!response.headers().contains_key(VERSION) && !response.headers().contains_key(DISPATCHED));
        let collected = response.into_body().collect().await.expect("whole");
        let trailers = collected.trailers().expect("there were some");
        for (name, value) in [(STATUS, "0"), (REQUEST_ID, "id-1"), (EARLIER_REQUEST_ID, "id-1"), (DISPATCHED, "1")] {
            assert_eq!(trailers[&name], value, "{name}");
        }
        assert_eq!((&trailers[&NODE], &trailers[&APPLIED]), (&HeaderValue::from(2), &HeaderValue::from(41)));
        let response = annotate(answer(&[(REQUEST_ID, "id-2"), (STATUS, "5")], Body::empty()), true, None);
        assert!(!response.headers().contains_key(NODE));
        for (name, value) in [(EARLIER_REQUEST_ID, "id-2"), (CACHED, "0")] {
            assert_eq!(response.headers()[&name], value, "{name}");
        }
        assert_eq!(response.headers()[VERSION], OUR_VERSION);
        assert!(!response.headers().contains_key(MESSAGE));
    }

    #[test]
    fn what_is_not_served_says_so_and_what_says_more_is_left_alone() {
        let silent = annotate(answer(&[(STATUS, NOT_SERVED)], Body::empty()), false, None);
        assert!(silent.headers()[MESSAGE].to_str().expect("text").contains("does not serve"));
        let told = annotate(answer(&[(STATUS, NOT_SERVED), (MESSAGE, "why")], Body::empty()), false, None);
        assert_eq!(told.headers()[MESSAGE], "why");
    }
}
