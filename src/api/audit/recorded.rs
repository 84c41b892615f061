//! A service whose calls are recorded: inside of what asks for a key, so that it is known whose call it is.

use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;

use super::{Recorder, caller};
use crate::api::step::{Answering, Step};
use crate::telemetry::note_key;

/// The name of the key that a request came with.
#[derive(Debug, Clone)]
pub(in crate::api) struct KeyName(pub(in crate::api) Arc<str>);

impl<In> Step<In> for Recorder {
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let key = request.extensions().get::<KeyName>().map(|name| Arc::clone(&name.0));
        let path = request.uri().path();
        let recorded = self.wants(path).map(|kind| {
            let caller = caller(request.extensions(), request.headers(), path, key.as_deref());
            (kind, caller, self.clone())
        });
        // Nothing happens before it is polled, and a call that must be recorded and cannot be is not.
        let call = call(request);
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
