//! What requests say of the connection that they come over: that it is in use, and whether the other side has proved who it is.
//! Until it has, only few calls may be open on it at the same time: each could hold on to an answer that nobody takes.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::security::{OpenCall, Standing};

/// Calls that a stranger may have open on one connection; with one more it ends. Health checks and reflection need a few.
const CALLS_OF_A_STRANGER: usize = 32;

/// Tells connections what is asked over them.
#[derive(Debug, Clone, Copy)]
pub struct StandingLayer {
    answers_prove: bool,
}

impl StandingLayer {
    /// For clients, who prove who they are by a key.
    #[must_use]
    pub fn for_clients() -> Self {
        Self { answers_prove: false }
    }

    /// For nodes without certificates: who got a good answer sent something that only nodes send.
    #[must_use]
    pub fn for_nodes() -> Self {
        Self { answers_prove: true }
    }
}

impl<S> Layer<S> for StandingLayer {
    type Service = WithStanding<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithStanding { inner, answers_prove: self.answers_prove }
    }
}

/// A service whose requests tell their connection of it.
#[derive(Debug, Clone)]
pub struct WithStanding<S> {
    inner: S,
    answers_prove: bool,
}

impl<S, In> Service<Request<In>> for WithStanding<S>
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
        let Some(standing) = request.extensions().get::<Standing>().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        standing.asked();
        // A call that brings a proof counts like the others, until it ends.
        let open = (!standing.is_proved()).then(|| standing.open_call(CALLS_OF_A_STRANGER));
        let answer = self.inner.call(request);
        let answers_prove = self.answers_prove;
        Box::pin(async move {
            let response = answer.await?;
            if answers_prove && !response.headers().contains_key("grpc-status") {
                standing.prove();
            }
            Ok(match open.filter(|_| !standing.is_proved()) {
                Some(open) => hold(response, open),
                None => response,
            })
        })
    }
}

/// The call is open until its answer has gone out.
fn hold(response: Response<Body>, open: OpenCall) -> Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &open;
            frame
        }))
    })
}
