//! Counts the calls: how many ended how, and how long their answers took.

use std::time::Instant;

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;

use super::answer::{code_name, follow};
use super::scopes;
use super::step::{Answering, Step};
use crate::telemetry::{CallLabels, LatencyLabels, METRICS, seconds, with_notes};

/// Calls of health, reflection, and whatever is not served.
const OTHER: &str = "other";

/// Counts what a service answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metering;

impl<In> Step<In> for Metering {
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let begin = Instant::now();
        let method = scopes::method(request.uri().path()).unwrap_or(OTHER);
        // Dropped with the call where its client goes away before there is an answer.
        let mut open = Open { method, code: "CANCELLED" };
        let answer = with_notes(call(request));
        Box::pin(async move {
            let (answer, consistency) = answer.await;
            let labels = LatencyLabels { method, consistency };
            METRICS.call_duration.get_or_create(&labels).observe(seconds(begin.elapsed()));
            Ok(follow(answer?, move |code| open.ends_with(code)))
        })
    }
}

/// A call that has not ended. It is counted when this is dropped.
struct Open {
    method: &'static str,
    code: &'static str,
}

impl Open {
    fn ends_with(&mut self, code: Code) {
        self.code = code_name(code);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.calls.get_or_create(&CallLabels { method: self.method, code: self.code }).inc();
    }
}
