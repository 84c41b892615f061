//! What requests say of the connection that they come over: that it is in use, and whether the other side has proved who it is.
//! Until it has, only few calls may be open on it at the same time: each could hold on to an answer that nobody takes.

use http::{Request, Response};
use tonic::body::Body;

use super::answer::{has_ended, hold};
use super::auth::RequireKey;
use super::step::{Answering, Step, StepLayer};
use crate::security::Standing;

/// Calls that a stranger may have open on one connection; with one more it ends. Health checks and reflection need a few.
const CALLS_OF_A_STRANGER: usize = 32;

/// Tells connections what is asked over them.
#[derive(Debug, Clone)]
pub struct Proving {
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

impl Proving {
    /// For clients.
    pub(super) fn by_key(key: RequireKey) -> Self {
        Self { proof: Proof::Key(key) }
    }
}

/// Tells the connections of nodes without certificates what is asked over them.
#[must_use]
pub fn standing_of_nodes() -> StepLayer<Proving> {
    StepLayer(Proving { proof: Proof::Answer })
}

impl<In> Step<In> for Proving {
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let Some(standing) = request.extensions().get::<Standing>().cloned() else {
            return Box::pin(call(request));
        };
        standing.asked();
        if standing.is_proved() {
            return Box::pin(call(request));
        }
        match &self.proof {
            Proof::Key(key) if key.knows(request.headers()) => {
                standing.prove();
                Box::pin(call(request))
            }
            Proof::Key(_) => {
                // The call is open until its answer has gone out.
                let open = standing.open_call(CALLS_OF_A_STRANGER);
                let answer = call(request);
                Box::pin(async move { Ok(hold(answer.await?, open)) })
            }
            Proof::Answer => {
                let answer = call(request);
                Box::pin(async move {
                    let response = answer.await?;
                    if !has_ended(response.headers()) {
                        standing.prove();
                    }
                    Ok(response)
                })
            }
        }
    }
}
