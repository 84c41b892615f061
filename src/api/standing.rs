//! What requests say of the connection that they come over: that it is in use, and whether the other side has proved who it is.
//! Until it has, only few calls may be open on it at the same time: each could hold on to an answer that nobody takes.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{Layer, Service};

use super::auth::RequireKey;
use crate::security::{OpenCall, Standing};

/// Calls that a stranger may have open on one connection; with one more it ends. Health checks and reflection need a few.
const CALLS_OF_A_STRANGER: usize = 32;

/// Tells connections what is asked over them.
#[derive(Debug, Clone)]
pub struct StandingLayer {
    proof: Proof,
}

/// By what the other side proves who it is.
#[derive(Debug, Clone)]
enum Proof {
    /// A key with the request. It is looked at before the request goes anywhere: many may come at once over a new connection.
    Key(RequireKey),
    /// A good answer: what it was asked for is what only nodes ask. Calls of strangers are not bounded there, since a new
    /// connection between nodes may begin with many.
    Answer,
}

impl StandingLayer {
    /// For clients.
    pub(super) fn for_clients(key: RequireKey) -> Self {
        Self { proof: Proof::Key(key) }
    }

    /// For nodes without certificates.
    #[must_use]
    pub fn for_nodes() -> Self {
        Self { proof: Proof::Answer }
    }
}

impl<S> Layer<S> for StandingLayer {
    type Service = WithStanding<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithStanding { inner, proof: self.proof.clone() }
    }
}

/// A service whose requests tell their connection of it.
#[derive(Debug, Clone)]
pub struct WithStanding<S> {
    inner: S,
    proof: Proof,
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
        if standing.is_proved() {
            return Box::pin(self.inner.call(request));
        }
        match &self.proof {
            Proof::Key(key) if key.knows(request.headers()) => {
                standing.prove();
                Box::pin(self.inner.call(request))
            }
            Proof::Key(_) => {
                let open = standing.open_call(CALLS_OF_A_STRANGER);
                let answer = self.inner.call(request);
                Box::pin(async move { Ok(hold(answer.await?, open)) })
            }
            Proof::Answer => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let response = answer.await?;
                    if !response.headers().contains_key("grpc-status") {
                        standing.prove();
                    }
                    Ok(response)
                })
            }
        }
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
