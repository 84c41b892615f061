//! `[client]`: the public API of a node, and who may use it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::address::check_addresses;
use super::section::section;
use super::tls::{Files, check_exposure};
use super::{ConfigError, invalid};
use crate::security::TlsFiles;

section! {
    /// Where the public API listens, how others reach it, and the keys that it accepts.
    ClientSection, ClientOverrides, "client" {
        /// Address that the public API listens on (port 0: a free one) [default: 127.0.0.1:50051]
        #[arg(value_name = "HOST:PORT")]
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 50051)), "client-listen", "QUORATE_CLIENT_LISTEN";
        /// Address at which clients reach this node [default: what it listens on]
        #[arg(value_name = "HOST:PORT")]
        advertise: String = listen.to_string(), "client-advertise", "QUORATE_CLIENT_ADVERTISE";
        /// Bearer key that clients must present; repeat it to accept several, at least one is needed
        #[serde(skip_serializing)]
        #[arg(value_name = "KEY", value_delimiter = ',')]
        keys: Vec<String> = Vec::new(), "key", "QUORATE_KEYS";
        /// File with the hashes of further keys, each with its scopes; read again when it changes; none: no further keys
        #[arg(value_name = "FILE")]
        key_file: PathBuf = PathBuf::new(), "key-file", "QUORATE_KEY_FILE";
        /// Certificate of the public API, of the JSON gateway and of the console, in PEM; none: no TLS
        #[arg(value_name = "FILE")]
        tls_certificate: PathBuf = PathBuf::new(), "client-tls-certificate", "QUORATE_CLIENT_TLS_CERTIFICATE";
        /// Private key of that certificate, in PEM
        #[arg(value_name = "FILE")]
        tls_key: PathBuf = PathBuf::new(), "client-tls-key", "QUORATE_CLIENT_TLS_KEY";
        /// Authorities in PEM, one of which must have signed a certificate of every client; none: clients need none
        #[arg(value_name = "FILE")]
        tls_ca: PathBuf = PathBuf::new(), "client-tls-ca", "QUORATE_CLIENT_TLS_CA";
        /// Serve clients on other machines without TLS: who sees the network sees keys and answers [default: false]
        #[arg(value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        plaintext: bool = false, "client-plaintext", "QUORATE_CLIENT_PLAINTEXT";
    }
}

impl ClientSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_addresses("client", self.listen, &self.advertise)?;
        self.files().validate()?;
        if self.keys.is_empty() && self.key_file().is_none() {
            return Err(invalid(
                "client.keys",
                "is empty; give the node at least one key, by --key, QUORATE_KEYS, the file or client.key_file",
            ));
        }
        // A key travels in an HTTP header, and a comma divides keys in QUORATE_KEYS.
        let usable = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        if !self.keys.iter().all(usable) {
            return Err(invalid(
                "client.keys",
                "holds a key that cannot be used; a key is one or more visible ASCII characters without spaces and commas",
            ));
        }
        Ok(())
    }
}

impl ClientSection {
    /// The file of further keys.
    #[must_use]
    pub fn key_file(&self) -> Option<PathBuf> {
        (!self.key_file.as_os_str().is_empty()).then(|| self.key_file.clone())
    }

    /// What clients are served with; `None` for no TLS.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        self.files().chosen()
    }

    /// Whether clients of this listener may be on other machines.
    pub(super) fn check_exposure(&self, key: &str, listen: SocketAddr) -> Result<(), ConfigError> {
        check_exposure("client", key, listen, self.tls().is_some(), self.plaintext)
    }

    fn files(&self) -> Files<'_> {
        Files { table: "client", certificate: &self.tls_certificate, key: &self.tls_key, ca: &self.tls_ca }
    }
}

/// Keys never reach a log.
impl fmt::Debug for ClientSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSection")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("keys", &format_args!("{} redacted", self.keys.len()))
            .field("key_file", &self.key_file)
            .field("tls_certificate", &self.tls_certificate)
            .field("tls_key", &self.tls_key)
            .field("tls_ca", &self.tls_ca)
            .field("plaintext", &self.plaintext)
            .finish()
    }
}
