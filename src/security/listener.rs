//! A listener whose connections are encrypted. Handshakes go on beside each other, each for a bounded time: one who connects
//! and says nothing keeps nobody out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Tls;

/// Handshakes at the same time; more connections wait in the system's queue.
const HANDSHAKES: usize = 256;
/// How long one may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After an error of the listener, such as too many open files, before the next connection is taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come in.
pub enum Listener {
    /// Without TLS.
    Plain(TcpListener),
    /// With TLS.
    Secure(SecureListener),
}

/// Connections, after their handshake.
pub struct SecureListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    _ends_with_it: DropGuard,
}

impl SecureListener {
    /// Takes the connections of `listener`, with what `tls` has when each of them begins.
    pub fn new(listener: TcpListener, tls: Arc<Tls>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, connections) = mpsc::channel(HANDSHAKES);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = take(listener, tls, sender) => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { address, connections, _ends_with_it: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; `None` never comes before the listener is dropped.
    pub async fn accept(&mut self) -> Option<(TlsStream<TcpStream>, SocketAddr)> {
        self.connections.recv().await
    }

    /// All connections, one after the other.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
        futures::stream::unfold(self, async |mut listener| {
            let (connection, _) = listener.accept().await?;
            Some((Ok(connection), listener))
        })
    }
}

async fn take(listener: TcpListener, tls: Arc<Tls>, sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let (connection, from) = match listener.accept().await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Only latency suffers where the system refuses.
        let _ = connection.set_nodelay(true);
        let (acceptor, sender) = (TlsAcceptor::from(tls.server()), sender.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await {
                Ok(Ok(stream)) => {
                    // Where nobody takes it any more, the node stops.
                    let _ = sender.send((stream, from)).await;
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
            }
            drop(place);
        });
    }
}
