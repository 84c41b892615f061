//! The way to the node of this machine, by what it was configured with. Its certificate names the machine as others see it, and
//! is not verified: whoever can listen in its place here can do more than lie about its health.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{answered, unreachable};
use crate::cli::failure::Failure;
use crate::config::{NodeConfig, NodeOverrides};
use crate::security::TlsFiles;

/// Names the file of a node's configuration, as for `quorate serve`.
const CONFIG: &str = "QUORATE_CONFIG";

/// Asks the node that runs with the configuration in `file`, or in the one that the environment names.
pub(super) async fn ask(file: Option<&Path>) -> Result<HealthCheckResponse, Failure> {
    let file = file.map(Path::to_owned).or_else(|| std::env::var_os(CONFIG).map(PathBuf::from));
    let lower = file.as_deref().map(NodeOverrides::from_file).transpose()?.unwrap_or_default();
    let config = NodeOverrides::from_environment()?.over(lower).with_defaults();
    let channel = connect(&config).await?;
    answered(HealthClient::new(channel).check(HealthCheckRequest::default()).await)
}

async fn connect(config: &NodeConfig) -> Result<Channel, Failure> {
    let address = reachable(config.client.listen);
    let failed = |error: &dyn std::fmt::Display| unreachable(format!("the node at {address} does not answer: {error}"));
    // The connector alone decides about TLS; the address is for its messages.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| failed(&error))?;
    let connected = match config.client.tls() {
        None => endpoint.connect().await,
        Some(files) => {
            let tls = TlsConnector::from(Arc::new(trusting(&files)?));
            let connector = tower::service_fn(move |_: http::Uri| {
                let tls = tls.clone();
                async move {
                    let connection = TcpStream::connect(address).await?;
                    tls.connect(ServerName::from(address.ip()), connection).await.map(TokioIo::new)
                }
            });
            endpoint.connect_with_connector(connector).await
        }
    };
    connected.map_err(|error| failed(&error))
}

/// Where a listener of this machine is reached from within.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Believes any certificate; shows the node's own where it asks its clients for one.
fn trusting(files: &TlsFiles) -> Result<ClientConfig, Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::usage(format!("TLS cannot be used: {error}"));
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = if files.ca.is_some() {
        let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect);
        let chain: Vec<CertificateDer<'static>> = chain.map_err(|error| unusable(&error))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&error))?;
        config.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
    } else {
        config.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Accepts whatever certificate the node of this machine shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:50051", "127.0.0.1:50051"),
            ("[::]:50051", "[::1]:50051"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(reachable(address(listen)), address(asked));
        }
    }
}
