//! Where connections come in: taken as long as there is room, encrypted where there is a certificate. Handshakes go on beside
//! each other, each for a bounded time; one that says nothing gives way like any other stranger.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::admission::{Admission, Place};
use super::connection::Io;
use super::{Connection, ConnectionLimits, Protocol, Tls};

/// Connections that are ready and wait for their server.
const WAITING: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long, and for how many bytes, one who was refused may go on speaking.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;
/// After an error of the listener, such as too many open files, before the next connection is taken.
const PAUSE: Duration = Duration::from_millis(100);

/// What a listener is for.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// For the log and the metrics.
    pub name: &'static str,
    /// What is spoken.
    pub protocol: Protocol,
    /// How many connections there may be.
    pub limits: ConnectionLimits,
    /// What connections are encrypted with; `None` for not at all.
    pub tls: Option<Arc<Tls>>,
}

/// Where connections come in.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
    _ends_with_it: DropGuard,
}

impl Listener {
    /// Takes the connections of `listener`, with what `tls` has when each of them begins.
    pub fn new(listener: TcpListener, settings: ListenerSettings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, connections) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = take(listener, settings, sender) => {}
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

    /// The next connection, after its handshake; `None` never comes before the listener is dropped.
    pub async fn accept(&mut self) -> Option<Connection> {
        self.connections.recv().await
    }

    /// All connections, one after the other.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        futures::stream::unfold(self, async |mut listener| {
            let connection = listener.accept().await?;
            Some((Ok(connection), listener))
        })
    }
}

async fn take(listener: TcpListener, settings: ListenerSettings, sender: mpsc::Sender<Connection>) {
    let ListenerSettings { name, protocol, limits, tls } = settings;
    let admission = Admission::new(name, limits);
    // They end with the listener.
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let (connection, from) = match listener.accept().await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(listener = name, %error, "a connection could not be taken");
                admission.make_room();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Dropped where there is no place, and so closed.
        let Some(place) = admission.admit(from) else { continue };
        // Only latency suffers where the system refuses.
        let _ = connection.set_nodelay(true);
        let Some(tls) = &tls else {
            let connection = Connection::new(Io::Plain(connection), place, protocol);
            if sender.send(connection).await.is_err() {
                return; // Nobody takes it any more: the node stops.
            }
            continue;
        };
        let (acceptor, sender, proves) = (TlsAcceptor::from(tls.server()), sender.clone(), tls.asks_for_certificates());
        handshakes.spawn(async move {
            let Some(stream) = shake_hands(acceptor, connection, &place).await else { return };
            if proves {
                place.standing().prove();
            }
            // Where nobody takes it any more, the node stops.
            let _ = sender.send(Connection::new(Io::Secure(Box::new(stream)), place, protocol)).await;
        });
    }
}

async fn shake_hands(acceptor: TlsAcceptor, connection: TcpStream, place: &Place) -> Option<TlsStream<TcpStream>> {
    let from = place.standing().from();
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection).into_fallible());
    let shaken = tokio::select! {
        shaken = shaken => shaken,
        () = poll_fn(|context| place.standing().poll_ended(context)) => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err((error, connection))) => {
            tracing::debug!(%from, %error, "a TLS handshake failed");
            let _ = tokio::time::timeout(FAREWELL, hear_out(connection)).await;
        }
        Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
    }
    None
}

/// Lets one who was refused hear why: a connection that is closed with bytes unread may lose what was sent last.
async fn hear_out(mut connection: TcpStream) -> io::Result<()> {
    connection.shutdown().await?;
    tokio::io::copy(&mut connection.take(FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::time::Instant;
    use tokio_rustls::{TlsConnector, client};

    use super::*;
    use crate::security::TlsFiles;

    /// A listener with a certificate that signs itself, and the way of a client to it.
    struct Encrypted {
        listener: Listener,
        roots: RootCertStore,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        _folder: tempfile::TempDir,
    }

    impl Encrypted {
        /// With `asks`, clients must show a certificate too; that of the listener is good for it.
        async fn new(limits: ConnectionLimits, asks: bool) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
            let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
            std::fs::write(&certificate, made.cert.pem()).expect("writable");
            std::fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
            let files = TlsFiles { ca: asks.then(|| certificate.clone()), certificate, key };
            let tls = Some(Arc::new(Tls::load(files, Protocol::Http2).expect("good files")));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let settings = ListenerSettings { name: "test", protocol: Protocol::Http2, limits, tls };
            let mut roots = RootCertStore::empty();
            let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("PEM");
            roots.add(certificate.clone()).expect("an authority");
            Self {
                listener: Listener::new(listener, settings).expect("it has an address"),
                roots,
                certificate,
                key: PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("PEM"),
                _folder: folder,
            }
        }

        /// A client, who shows the certificate or none.
        async fn connect(&self, shows: bool) -> client::TlsStream<TcpStream> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("there are versions")
                .with_root_certificates(self.roots.clone());
            let config = match shows {
                true => builder.with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key()),
                false => Ok(builder.with_no_client_auth()),
            };
            let connection = TcpStream::connect(self.listener.address()).await.expect("the system takes it");
            let name = ServerName::try_from("localhost").expect("a name");
            let connector = TlsConnector::from(Arc::new(config.expect("the key is that of the certificate")));
            connector.connect(name, connection).await.expect("a handshake")
        }
    }

    #[tokio::test]
    async fn who_connects_and_says_nothing_keeps_nobody_out() {
        let limits = ConnectionLimits { most: 20, most_from_one: None };
        let mut here = Encrypted::new(limits, false).await;
        let mut silent = Vec::new();
        for _ in 0..limits.most + 10 {
            silent.push(TcpStream::connect(here.listener.address()).await.expect("the system takes it"));
        }
        let connect = here.connect(false);
        tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, connect).await.expect("before any silent one is given up");
        let served = here.listener.accept().await.expect("it is served");
        assert!(!served.standing().is_proved(), "whoever likes can encrypt");
    }

    #[tokio::test]
    async fn a_certificate_proves_who_it_is_and_nobody_is_served_without_one() {
        let mut here = Encrypted::new(ConnectionLimits { most: 20, most_from_one: None }, true).await;
        // In TLS 1.3 the client hears only after its handshake that it was refused.
        let mut stranger = here.connect(false).await;
        let heard = tokio::time::timeout(HANDSHAKE_TIMEOUT, stranger.read_exact(&mut [0])).await;
        heard.expect("it hears so at once").expect_err("it was refused");
        let known = here.connect(true).await;
        let served = here.listener.accept().await.expect("it is served");
        assert_eq!(
            served.standing().from(),
            known.get_ref().0.local_addr().expect("connected"),
            "and the other is not"
        );
        assert!(served.standing().is_proved());
    }

    /// How long `connection`, over which nothing is said, is borne. Time stands still until everybody waits for it.
    async fn borne(mut connection: TcpStream) -> Duration {
        let begin = Instant::now();
        let read = tokio::time::timeout(10 * HANDSHAKE_TIMEOUT, connection.read(&mut [0])).await;
        assert_eq!(read.expect("not for ever").expect("it is closed"), 0);
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_is_not_begun_ends() {
        let here = Encrypted::new(ConnectionLimits { most: 1, most_from_one: None }, false).await;
        let silent = TcpStream::connect(here.listener.address()).await.expect("the system takes it");
        assert!(borne(silent).await >= HANDSHAKE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_whose_place_is_wanted_ends_at_once() {
        let here = Encrypted::new(ConnectionLimits { most: 1, most_from_one: None }, false).await;
        let silent = TcpStream::connect(here.listener.address()).await.expect("the system takes it");
        let _newcomer = TcpStream::connect(here.listener.address()).await.expect("the system takes it");
        assert!(borne(silent).await < HANDSHAKE_TIMEOUT);
    }
}
