//! The body of a gRPC request as it arrives: it takes its share of the memory, and does not take for ever.
//!
//! A client that sends half a message and waits holds on to that half; without a bound, many of them hold all memory there is.
//! One that goes away in the middle is no fault of the node, and none that it should be seen to have.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::errors::to_status;
use super::quotas::Admitted;
use crate::model::{Error, ErrorCode, limits};

/// How long the message of a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// `body`, which ends with ABORTED where its client breaks it off. The transport has many words for that, some of which it has
/// for faults of this node, too. CANCELLED would say it better, but tonic takes that for the end of all that the client has to
/// say: half an import would be a whole one.
pub(super) fn aborted_if_broken(body: Body) -> Body {
    Body::new(Whole { body, ended: false })
}

/// A body that is whole, or ends with ABORTED.
struct Whole {
    body: Body,
    ended: bool,
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let broken = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => Some(error.message().to_owned()),
            // Where a connection is given up because nobody answers on it, the transport says no more than this: there is
            // nothing more, and it was not the end of the stream.
            None => (!this.body.is_end_stream()).then(|| "the connection ended".to_owned()),
        };
        this.ended = true;
        Poll::Ready(broken.map(|why| Err(Status::aborted(format!("the request broke off: {why}")))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of one message.
pub(super) struct Arriving {
    body: Body,
    admitted: Admitted,
    received: usize,
    /// Runs from the first time that nothing is there.
    late: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// `body`, whose memory is taken in the name of `admitted`.
    pub(super) fn new(body: Body, admitted: Admitted) -> Self {
        Self { body, admitted, received: 0, late: None }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let late = this.late.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            ready!(late.as_mut().poll(context));
            const LATE: &str = "the message of this request did not arrive in time";
            return Poll::Ready(Some(Err(to_status(Error::new(ErrorCode::DeadlineExceeded, LATE)))));
        };
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            let before = this.received.max(limits::GRPC_FREE_BYTES);
            this.received = this.received.saturating_add(bytes.len());
            if let Err(full) = this.admitted.take(this.received.saturating_sub(before)) {
                return Poll::Ready(Some(Err(full)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::api::quotas::Quotas;
    use crate::security::{Allowance, KeyHolder, Usage};
    use std::sync::Arc;

    fn admitted(quotas: &Quotas) -> Admitted {
        let holder = KeyHolder { name: "k".into(), usage: Arc::new(Usage::new(Allowance::default())) };
        quotas.begin(&holder, "/a/b").expect("nothing is bounded")
    }

    fn pieces(count: usize, bytes: usize) -> Body {
        let pieces = (0..count).map(move |_| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; bytes]))));
        Body::new(StreamBody::new(futures::stream::iter(pieces)))
    }

    #[tokio::test]
    async fn bodies_take_memory_until_their_requests_end() {
        let quotas = Quotas::default();
        let one = limits::GRPC_BODIES_BYTES / 2;
        let (first, second, third) = (admitted(&quotas), admitted(&quotas), admitted(&quotas));
        for of in [&first, &second] {
            Arriving::new(pieces(1024, one / 1024), of.clone()).collect().await.expect("room");
        }
        let refused = Arriving::new(pieces(1024, one / 1024), third.clone()).collect().await;
        assert_eq!(refused.expect_err("no room").code(), Code::ResourceExhausted);
        Arriving::new(pieces(1, limits::GRPC_FREE_BYTES), admitted(&quotas)).collect().await.expect("a small one");
        drop(first);
        Arriving::new(pieces(512, one / 1024), third).collect().await.expect("room again");
    }

    #[tokio::test]
    async fn what_its_client_breaks_off_is_no_fault_of_the_node() {
        for lost in [Status::internal("reset"), Status::unknown("broken pipe"), Status::cancelled("gone")] {
            let half = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(lost)];
            let body = Body::new(StreamBody::new(futures::stream::iter(half)));
            let arriving = Arriving::new(aborted_if_broken(body), admitted(&Quotas::default()));
            assert_eq!(arriving.collect().await.expect_err("it broke off").code(), Code::Aborted);
        }
    }

    #[tokio::test]
    async fn what_ends_without_the_end_of_its_stream_broke_off() {
        // A stream body never says that it has ended, just as one of HTTP/2 does whose connection was given up.
        let broken = aborted_if_broken(pieces(2, 9)).collect().await;
        assert_eq!(broken.expect_err("it has no end").code(), Code::Aborted);
        let whole = aborted_if_broken(Body::new(Full::new(Bytes::from_static(b"whole")))).collect().await;
        assert_eq!(whole.expect("it has one").to_bytes(), "whole");
        assert!(
            aborted_if_broken(Body::empty()).collect().await.expect("nothing, and all of it").to_bytes().is_empty()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_comes_is_not_waited_for() {
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>().boxed();
        let arriving = Arriving::new(Body::new(StreamBody::new(never)), admitted(&Quotas::default()));
        let arrived = tokio::time::timeout(2 * PATIENCE, arriving.collect()).await.expect("not for ever");
        assert_eq!(arrived.expect_err("late").code(), Code::DeadlineExceeded);
    }
}
