//! A listener whose connections are encrypted. Handshakes go on beside each other, each for a bounded time; where there are too
//! many, the oldest gives way: who connects and says nothing keeps nobody out, and must keep connecting to be a nuisance.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Tls;

/// Handshakes at the same time; one more ends the oldest.
const HANDSHAKES: usize = 256;
/// How long one may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long, and for how many bytes, one who was refused may go on speaking.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;
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
    let mut handshakes = Handshakes::default();
    loop {
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
        handshakes.begin(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection).into_fallible()).await {
                Ok(Ok(stream)) => {
                    // Where nobody takes it any more, the node stops.
                    let _ = sender.send((stream, from)).await;
                }
                Ok(Err((error, connection))) => {
                    tracing::debug!(%from, %error, "a TLS handshake failed");
                    let _ = tokio::time::timeout(FAREWELL, hear_out(connection)).await;
                }
                Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
            }
        });
    }
}

/// Lets one who was refused hear why: a connection that is closed with bytes unread may lose what was sent last.
async fn hear_out(mut connection: TcpStream) -> io::Result<()> {
    connection.shutdown().await?;
    tokio::io::copy(&mut connection.take(FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The handshakes that go on. They end with it.
#[derive(Default)]
struct Handshakes {
    tasks: JoinSet<()>,
    /// Oldest first; some of them may have ended.
    by_age: VecDeque<AbortHandle>,
}

impl Handshakes {
    /// One more; where there are too many, in place of the oldest.
    fn begin(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        if self.by_age.len() >= HANDSHAKES {
            self.by_age.retain(|task| !task.is_finished());
        }
        if self.by_age.len() >= HANDSHAKES
            && let Some(oldest) = self.by_age.pop_front()
        {
            tracing::debug!("the oldest of {HANDSHAKES} TLS handshakes gives way to a new one");
            oldest.abort();
        }
        self.by_age.push_back(self.tasks.spawn(handshake));
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::security::{Protocol, TlsFiles};

    #[tokio::test]
    async fn who_connects_and_says_nothing_keeps_nobody_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
        std::fs::write(&certificate, made.cert.pem()).expect("writable");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
        let tls = Tls::load(TlsFiles { certificate, key, ca: None }, Protocol::Http2).expect("good files");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut listener = SecureListener::new(listener, Arc::new(tls)).expect("it has an address");

        let mut silent = Vec::new();
        for _ in 0..HANDSHAKES + 10 {
            silent.push(TcpStream::connect(listener.address()).await.expect("the system takes it"));
        }
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("PEM");
        roots.add(authority).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connect = async {
            let connection = TcpStream::connect(listener.address()).await.expect("the system takes it");
            let name = ServerName::try_from("localhost").expect("a name");
            TlsConnector::from(Arc::new(config)).connect(name, connection).await.expect("a handshake")
        };
        tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, connect).await.expect("before any silent one is given up");
        listener.accept().await.expect("it is served");
    }
}
