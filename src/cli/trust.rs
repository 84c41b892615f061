//! Whom the command line trusts, and what it presents: the flags of TLS, and when a key may be sent without it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::failure::Failure;

/// What an endpoint with TLS begins with.
pub(super) const HTTPS: &str = "https://";
/// What an endpoint begins with that is meant to have none, also where whoever sees the network sees the key.
pub(super) const HTTP: &str = "http://";

/// How a node proves who it is, and this command too where nodes ask for that.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TrustArgs {
    /// Authorities in PEM that may vouch for a node; speaks TLS to every endpoint but http:// [default: the system's, for
    /// https://]
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
    /// The same from flags of another name.
    pub(super) fn new(ca: Option<PathBuf>, certificate: Option<PathBuf>, certificate_key: Option<PathBuf>) -> Self {
        Self { ca, certificate, certificate_key }
    }

    /// The way to `endpoint`, which is `HOST:PORT`, `https://HOST:PORT` or `http://HOST:PORT`; `has_key` if a key is sent
    /// there.
    pub(super) fn endpoint(&self, endpoint: &str, has_key: bool) -> Result<Endpoint, Failure> {
        let wrong =
            |error: tonic::transport::Error| Failure::usage(format!("{endpoint:?} is not an endpoint: {error}"));
        let (address, is_secure, is_plain_on_purpose) =
            match (endpoint.strip_prefix(HTTPS), endpoint.strip_prefix(HTTP)) {
                (Some(address), _) => (address, true, false),
                (None, Some(address)) => (address, false, true),
                (None, None) => (endpoint, self.ca.is_some(), false),
            };
        if !is_secure {
            if has_key && !is_plain_on_purpose && !is_loopback(address) {
                return Err(Failure::usage(format!(
                    "the key is not sent to {address}, which is another machine, without TLS: name it {HTTPS}{address}, or \
                     {HTTP}{address} if whoever sees this network may have the key"
                )));
            }
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

/// Whether what is sent to `address` stays on this machine.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_goes_to_another_machine_in_the_clear_only_where_that_is_written_out() {
        for (endpoint, has_key, is_sent) in [
            ("127.0.0.1:1", true, true),
            ("127.8.9.1:1", true, true),
            ("[::1]:1", true, true),
            ("localhost:1", true, true),
            ("10.0.0.1:1", true, false),
            ("node-1.internal:1", true, false),
            ("127.0.0.1.example.com:1", true, false),
            ("localhost.example.com:1", true, false),
            ("[::]:1", true, false),
            ("10.0.0.1:1", false, true),
            ("http://10.0.0.1:1", true, true),
            ("https://10.0.0.1:1", true, true),
        ] {
            let made = TrustArgs::default().endpoint(endpoint, has_key);
            assert_eq!(made.is_ok(), is_sent, "{endpoint} {has_key}: {made:?}");
            if let Err(failure) = made {
                assert!(failure.message().contains(&format!("http://{endpoint}")), "{failure:?}");
            }
        }
    }
}
