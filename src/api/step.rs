//! A step on the way of each call: it has the request before the service has it, and the answer before it goes out.
//!
//! Must not know what any step does.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::{Layer, Service};

/// An answer that is on its way.
pub type Answering<E> = BoxFuture<'static, Result<Response<Body>, E>>;

/// What is done with each call whose request has a body of this kind.
pub trait Step<In> {
    /// Answers `request`: by `call`, unless the step has an answer itself.
    fn take<E, F>(&self, request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static;
}

/// Puts a step before a service.
#[derive(Debug, Clone, Copy)]
pub struct StepLayer<T>(pub(super) T);

impl<T: Clone, S> Layer<S> for StepLayer<T> {
    type Service = Stepped<T, S>;

    fn layer(&self, service: S) -> Self::Service {
        Stepped { step: self.0.clone(), service }
    }
}

/// A service behind a step.
#[derive(Debug, Clone)]
pub struct Stepped<T, S> {
    step: T,
    service: S,
}

impl<T, S: NamedService> NamedService for Stepped<T, S> {
    const NAME: &'static str = S::NAME;
}

impl<T, S, In> Service<Request<In>> for Stepped<T, S>
where
    T: Step<In>,
    S: Service<Request<In>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        self.step.take(request, |request| self.service.call(request))
    }
}
