//! The body of a gRPC request as it arrives: it takes its share of the memory, and does not take for ever.
//!
//! A client that sends half a message and waits holds on to that half; without a bound, many of them hold all memory there is.
//! One that goes away in the middle is no fault of the node, and none that it should be seen to have.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt as _;
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
    Body::new(body.map_err(|error| Status::aborted(format!("the request broke off: {}", error.message()))))
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
    use http_body_util::StreamBody;
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

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_comes_is_not_waited_for() {
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>().boxed();
        let arriving = Arriving::new(Body::new(StreamBody::new(never)), admitted(&Quotas::default()));
        let arrived = tokio::time::timeout(2 * PATIENCE, arriving.collect()).await.expect("not for ever");
        assert_eq!(arrived.expect_err("late").code(), Code::DeadlineExceeded);
    }
}
