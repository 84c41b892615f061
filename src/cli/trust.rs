//! Whom the command line trusts, and what it presents: the flags of TLS.

use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::failure::Failure;

/// What an endpoint with TLS begins with.
pub(super) const HTTPS: &str = "https://";

/// How a node proves who it is, and this command too where nodes ask for that.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TrustArgs {
    /// Authorities in PEM that may vouch for a node; speaks TLS to every endpoint [default: the system's, for https://]
    #[arg(long, global = true, env = "QUORATE_CA", value_name = "FILE", help_heading = "Connection")]
    ca: Option<PathBuf>,
    /// Certificate to present to a node that asks for one, in PEM
    #[arg(
        long,
        global = true,
        env = "QUORATE_CERTIFICATE",
        value_name = "FILE",
        requires = "certificate_key",
        help_heading = "Connection"
    )]
    certificate: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(
        long,
        global = true,
        env = "QUORATE_CERTIFICATE_KEY",
        value_name = "FILE",
        requires = "certificate",
        help_heading = "Connection"
    )]
    certificate_key: Option<PathBuf>,
}

impl TrustArgs {
    /// The way to `endpoint`, which is `HOST:PORT` or `https://HOST:PORT`.
    pub(super) fn endpoint(&self, endpoint: &str) -> Result<Endpoint, Failure> {
        let wrong =
            |error: tonic::transport::Error| Failure::usage(format!("{endpoint:?} is not an endpoint: {error}"));
        let (address, is_secure) = match endpoint.strip_prefix(HTTPS) {
            Some(address) => (address, true),
            None => (endpoint, self.ca.is_some()),
        };
        if !is_secure {
            return Endpoint::from_shared(format!("http://{address}")).map_err(wrong);
        }
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(read(ca)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.certificate_key) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        let endpoint = Endpoint::from_shared(format!("{HTTPS}{address}")).map_err(wrong)?;
        endpoint.tls_config(tls).map_err(|error| Failure::usage(format!("TLS cannot be used: {error}")))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}
