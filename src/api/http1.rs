//! HTTP/1.1 for the JSON gateway and for the operator's machines, over connections that are bounded.
//!
//! A body that nobody reads to its end, because its request was refused, is read and thrown away for a while: a connection that
//! is closed with bytes unread loses the answer that was sent last.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use http::Request;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::model::limits;
use crate::security::{Connection, Listener};

/// How long the head of the next request may take, from the end of the one before.
const NEXT_REQUEST: Duration = Duration::from_secs(75);
/// The longest head of a request.
const HEAD_BYTES: usize = 32 << 10;
/// For how long, and for how many bytes, a body that nobody reads is read all the same.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(5);
const LEFTOVER_BYTES: usize = limits::MESSAGE_BYTES;

/// Serves `router` on `listener` until `shutdown`, then lets requests that are under way end.
pub(super) async fn serve(mut listener: Listener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            () = shutdown.cancelled() => break,
        };
        let Some(connection) = connection else { break };
        connections.spawn(serve_one(connection, router.clone(), shutdown.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn serve_one(connection: Connection, router: Router, shutdown: CancellationToken) {
    let standing = connection.standing().clone();
    let service = service_fn(|mut request: Request<Incoming>| {
        standing.asked();
        request.extensions_mut().insert(standing.clone());
        let expects = request.headers().contains_key(EXPECT);
        let request = request.map(|body| Body::new(HeardOut { body: Some(body), expects }));
        router.clone().oneshot(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_REQUEST)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// A body that is read to its end, within bounds, even where nobody wants it.
struct HeardOut {
    /// None once it was read to its end.
    body: Option<Incoming>,
    /// Whether the client waits for a word before it sends anything. Then there is nothing to throw away.
    expects: bool,
}

impl HttpBody for HeardOut {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        match &frame {
            Poll::Ready(None | Some(Err(_))) => self.body = None,
            // What was asked for is on its way.
            Poll::Ready(Some(Ok(_))) => self.expects = false,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for HeardOut {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !self.expects && !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            // As many of them as there are connections, at the most.
            runtime.spawn(tokio::time::timeout(LEFTOVER_PATIENCE, throw_away(body)));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = LEFTOVER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = less;
    }
}
