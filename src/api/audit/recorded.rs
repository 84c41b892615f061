//! A service whose calls are recorded: inside of what asks for a key, so that it is known whose call it is.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::{Recorder, caller};
use crate::telemetry::note_key;

/// The name of the key that a request came with.
#[derive(Debug, Clone)]
pub(in crate::api) struct KeyName(pub(in crate::api) Arc<str>);

/// Records the calls of a service.
#[derive(Debug, Clone)]
pub(in crate::api) struct Recorded<S> {
    service: S,
    recorder: Recorder,
}

impl Recorder {
    /// `service`, with a record of what is asked of it.
    pub(in crate::api) fn record_calls_of<S>(&self, service: S) -> Recorded<S> {
        Recorded { service, recorder: self.clone() }
    }
}

impl<S: NamedService> NamedService for Recorded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, In> Service<Request<In>> for Recorded<S>
where
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let key = request.extensions().get::<KeyName>().map(|name| Arc::clone(&name.0));
        let path = request.uri().path();
        let recorded = self.recorder.wants(path).map(|kind| {
            let caller = caller(request.extensions(), request.headers(), path, key.as_deref());
            (kind, caller, self.recorder.clone())
        });
        // Nothing happens before it is polled, and a call that must be recorded and cannot be is not.
        let call = self.service.call(request);
        Box::pin(async move {
            if let Some(key) = &key {
                note_key(key);
            }
            match recorded {
                Some((kind, caller, recorder)) => recorder.record(kind, caller, call).await,
                None => call.await,
            }
        })
    }
}
