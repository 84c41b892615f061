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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use http_body_util::Full;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tonic::Status;
    use tonic::codegen::Bytes;

    use super::*;
    use crate::api::audit::Recorder;
    use crate::api::quotas::Quotas;
    use crate::security::{Connection, ConnectionLimits, Keyring, Listener, ListenerSettings, Protocol};

    /// A connection that was taken, and its other end.
    async fn connect() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let limits = ConnectionLimits { most: 10, most_from_one: None };
        let settings = ListenerSettings { name: "test", protocol: Protocol::Http2, limits, tls: None };
        let mut listener = Listener::new(listener, settings).expect("it has an address");
        let client = TcpStream::connect(listener.address()).await.expect("the system takes it");
        (listener.accept().await.expect("it is taken"), client)
    }

    async fn ask(step: &Proving, over: &Connection, key: Option<&str>, answer: Response<Body>) -> Response<Body> {
        let mut request = Request::new(());
        request.extensions_mut().insert(over.standing().clone());
        let value = key.map(|key| format!("Bearer {key}").parse::<http::HeaderValue>().expect("ASCII"));
        request.headers_mut().extend(value.map(|value| (http::header::AUTHORIZATION, value)));
        let answered = step.take(request, |_| std::future::ready(Ok::<_, Infallible>(answer))).await;
        answered.unwrap_or_else(|never| match never {})
    }

    fn good() -> Response<Body> {
        Response::new(Body::new(Full::new(Bytes::from_static(b"message"))))
    }

    fn by_key() -> Proving {
        let keyring = Arc::new(Keyring::new(&["key"], None).expect("one key"));
        Proving::by_key(RequireKey::new(keyring, Quotas::default(), Recorder::off()))
    }

    #[tokio::test]
    async fn a_key_that_is_known_proves_who_it_is_and_an_answer_does_not() {
        let (over, _client) = connect().await;
        for (key, proved) in [(None, false), (Some("other"), false), (Some("key"), true)] {
            drop(ask(&by_key(), &over, key, good()).await);
            assert_eq!(over.standing().is_proved(), proved, "{key:?}");
        }
    }

    #[tokio::test]
    async fn between_nodes_a_good_answer_does_and_a_refusal_does_not() {
        let (over, _client) = connect().await;
        let StepLayer(step) = standing_of_nodes();
        drop(ask(&step, &over, None, Status::failed_precondition("another cluster").into_http()).await);
        assert!(!over.standing().is_proved());
        drop(ask(&step, &over, None, good()).await);
        assert!(over.standing().is_proved());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_holds_on_to_so_many_answers_and_no_more() {
        let (mut over, _client) = connect().await;
        let step = by_key();
        for _ in 0..2 * CALLS_OF_A_STRANGER {
            drop(ask(&step, &over, None, good()).await);
        }
        let mut held = Vec::new();
        for _ in 0..CALLS_OF_A_STRANGER {
            held.push(ask(&step, &over, None, good()).await);
        }
        let minute = Duration::from_secs(60);
        tokio::time::timeout(minute, over.read(&mut [0])).await.expect_err("it is still there");
        held.push(ask(&step, &over, None, good()).await);
        tokio::time::timeout(minute, over.read(&mut [0])).await.expect("it has ended").expect_err("with an error");
    }
}
