//! One connection, with or without TLS, which ends by itself where the other side does nothing that a connection is for: asks
//! for nothing, or takes nothing of what it asked for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::Protocol;
use super::admission::{End, Place, Standing};

/// So many bytes must come first, in [`FIRST_BYTES_PATIENCE`]: the preface of HTTP/2 (RFC 9113, 3.4). A request of HTTP/1 with
/// a method, a path, a version and a host is no shorter.
const FIRST_BYTES: u64 = 24;
const FIRST_BYTES_PATIENCE: Duration = Duration::from_secs(5);
/// When the first request must be there. Clients of gRPC connect before they have anything to ask.
const FIRST_CALL_PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAGE_PATIENCE: Duration = Duration::from_secs(8);
/// Who takes nothing of what is sent for so long is given up.
const READER_PATIENCE: Duration = Duration::from_secs(120);

/// A connection that was taken.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    place: Place,
    opening: Option<Opening>,
    received: u64,
    /// Runs while nothing can be sent.
    stalled: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// The time until the first request.
#[derive(Debug)]
struct Opening {
    timer: Pin<Box<Sleep>>,
    first_request_by: Instant,
}

impl Connection {
    pub(super) fn new(io: Io, place: Place, protocol: Protocol) -> Self {
        let patience = match protocol {
            Protocol::Http2 => FIRST_CALL_PATIENCE,
            Protocol::Http1 => FIRST_PAGE_PATIENCE,
        };
        let timer = Box::pin(sleep(FIRST_BYTES_PATIENCE));
        let opening = Opening { timer, first_request_by: Instant::now() + patience };
        Self { io, place, opening: Some(opening), received: 0, stalled: None }
    }

    /// How it stands with its listener.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        self.place.standing()
    }

    fn check(&self, context: &mut Context<'_>) -> io::Result<()> {
        match self.standing().poll_ended(context) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection gave way to others"))
            }
            Poll::Pending => Ok(()),
        }
    }

    /// While nothing arrives: whether it has taken too long.
    fn wait_for_request(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(opening) = &mut self.opening else { return Poll::Pending };
        loop {
            if self.place.standing().has_asked() {
                self.opening = None;
                return Poll::Pending;
            }
            ready!(opening.timer.as_mut().poll(context));
            if self.received < FIRST_BYTES || Instant::now() >= opening.first_request_by {
                self.place.standing().end(End::Silent);
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "nothing was asked for in time"));
            }
            opening.timer = Box::pin(sleep_until(opening.first_request_by));
        }
    }

    /// `wrote`, unless nothing could be written for too long.
    fn judge<T>(&mut self, wrote: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(READER_PATIENCE)));
        ready!(timer.as_mut().poll(context));
        self.standing().end(End::Stalled);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing that was sent was taken for too long")))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        let before = into.filled().len();
        let read = match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_read(context, into),
            Io::Secure(io) => Pin::new(io).poll_read(context, into),
        };
        if read.is_ready() {
            this.received = this.received.saturating_add((into.filled().len() - before) as u64);
            return read;
        }
        this.wait_for_request(context).map(Err)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        let wrote = match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Io::Secure(io) => Pin::new(io).poll_write(context, bytes),
        };
        this.judge(wrote, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        let wrote = match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Io::Secure(io) => Pin::new(io).poll_write_vectored(context, slices),
        };
        this.judge(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Secure(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        let flushed = match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Secure(io) => Pin::new(io).poll_flush(context),
        };
        this.judge(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        let shut = match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Secure(io) => Pin::new(io).poll_shutdown(context),
        };
        this.judge(shut, context)
    }
}

impl Connected for Connection {
    type ConnectInfo = Standing;

    fn connect_info(&self) -> Standing {
        self.standing().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::security::ConnectionLimits;
    use crate::security::admission::Admission;

    /// A connection that was taken, and its other end. Time stands still until everybody waits for it.
    async fn connect(protocol: Protocol) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("the system takes it");
        let (taken, from) = listener.accept().await.expect("it is there");
        (Connection::new(Io::Plain(taken), place(from), protocol), client)
    }

    fn place(from: SocketAddr) -> Place {
        let admission = Admission::new("test", ConnectionLimits { most: 1, most_from_one: None });
        admission.admit(from).expect("room")
    }

    /// How long `connection` is borne while nothing more comes.
    async fn borne(connection: &mut Connection) -> Duration {
        let begin = Instant::now();
        let read = tokio::time::timeout(2 * FIRST_CALL_PATIENCE, connection.read(&mut [0; 64])).await;
        let error = read.expect("not for ever").expect_err("it is given up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        Duration::from_secs(begin.elapsed().as_secs_f64().round() as u64)
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_little_and_who_asks_nothing_is_given_up() {
        for (protocol, bytes, expected) in [
            (Protocol::Http2, 0, FIRST_BYTES_PATIENCE),
            (Protocol::Http2, FIRST_BYTES - 1, FIRST_BYTES_PATIENCE),
            (Protocol::Http2, FIRST_BYTES, FIRST_CALL_PATIENCE),
            (Protocol::Http1, FIRST_BYTES, FIRST_PAGE_PATIENCE),
        ] {
            let (mut taken, mut client) = connect(protocol).await;
            let said = vec![0; bytes as usize];
            client.write_all(&said).await.expect("the other side is there");
            taken.read_exact(&mut vec![0; said.len()]).await.expect("it was said");
            assert_eq!(borne(&mut taken).await, expected, "{protocol:?} after {bytes} bytes");
            taken.write_all(b"late").await.expect_err("it has ended");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_asked_may_be_silent() {
        let (mut taken, _client) = connect(Protocol::Http2).await;
        taken.standing().asked();
        let silence = tokio::time::timeout(10 * FIRST_CALL_PATIENCE, taken.read(&mut [0; 64])).await;
        silence.expect_err("nothing comes, and nothing ends it");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (mut taken, _client) = connect(Protocol::Http2).await;
        taken.standing().asked();
        // More than the system keeps for a reader.
        let much = vec![0; 64 << 20];
        let begin = Instant::now();
        let written = tokio::time::timeout(2 * READER_PATIENCE, taken.write_all(&much)).await;
        let error = written.expect("not for ever").expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() >= READER_PATIENCE);
    }
}
