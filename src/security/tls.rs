//! Certificates: read from files, judged as a whole, and replaced while the node runs.
//!
//! What is in force is always a set that was read and found good. Files that are being replaced, or are wrong, change nothing:
//! an expired certificate can be repaired, a node that stopped for a typing error at night cannot.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::validity::{Doubt, Ends, doubt, first_end};

/// Where one listener's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: PathBuf,
    /// The private key of the certificate, in PEM.
    pub key: PathBuf,
    /// Certificates of authorities, in PEM. Where there are any, the other side must present a certificate that one of them
    /// signed.
    pub ca: Option<PathBuf>,
}

/// What is spoken over a connection; negotiated with it (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, for gRPC.
    Http2,
    /// HTTP/1.1.
    Http1,
}

/// Why files are not usable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The parts do not belong together.
    #[error("the certificate {} cannot be used: {problem}", certificate.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The texts of the files, for a library that reads them itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate and those that lead to its authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The authorities.
    pub ca: Option<Vec<u8>>,
}

/// Keys never reach a log.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pem({} bytes of certificates, the key redacted)", self.certificate.len())
    }
}

/// What a node presents and whom it trusts on one kind of connection.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    protocol: Protocol,
    current: RwLock<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    pem: Arc<Pem>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads `files` and judges them.
    pub fn load(files: TlsFiles, protocol: Protocol) -> Result<Self, TlsError> {
        let current = read(&files, protocol)?;
        Ok(Self { files, protocol, current: RwLock::new(current) })
    }

    /// Reads the files again; whether they say something new. After an error what was in force stays in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let found = read(&self.files, self.protocol)?;
        let mut current = self.current.write();
        if current.pem == found.pem {
            return Ok(false);
        }
        *current = found;
        Ok(true)
    }

    /// For a connection that somebody makes to this node.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().server)
    }

    /// For a connection that this node makes. Another one, by its address, after the files have changed.
    #[must_use]
    pub fn pem(&self) -> Arc<Pem> {
        Arc::clone(&self.current.read().pem)
    }

    /// What speaks against the certificate in force. `among_nodes` where it is shown to others that trust the same authorities;
    /// of any other one nothing is judged but its time, since nobody here knows whom those trust.
    #[must_use]
    pub fn doubt(&self, among_nodes: bool) -> Option<Doubt> {
        let (chain, authorities) = self.in_force()?;
        let trusted = authorities.filter(|_| among_nodes);
        doubt(&chain, trusted.as_deref(), UnixTime::now())
    }

    /// When what is in force ends.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let Some((chain, authorities)) = self.in_force() else { return Ends::default() };
        Ends { own: first_end(&chain), authority: authorities.as_deref().and_then(first_end) }
    }

    /// The certificates that are shown, and those of the authorities.
    fn in_force(&self) -> Option<(Vec<CertificateDer<'static>>, Option<Vec<CertificateDer<'static>>>)> {
        let pem = self.pem();
        let chain = certificates(&self.files.certificate, &pem.certificate).ok()?;
        let authorities = match (&self.files.ca, &pem.ca) {
            (Some(path), Some(text)) => Some(certificates(path, text).ok()?),
            _ => None,
        };
        Some((chain, authorities))
    }

    /// Whether the other side of a connection must have shown a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.files.ca.is_some()
    }

    /// Where it comes from.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }
}

fn read(files: &TlsFiles, protocol: Protocol) -> Result<Current, TlsError> {
    let load =
        |path: &Path| std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source });
    let pem = Pem {
        certificate: load(&files.certificate)?,
        key: load(&files.key)?,
        ca: files.ca.as_deref().map(load).transpose()?,
    };
    let server = server_config(files, &pem, protocol)?;
    Ok(Current { pem: Arc::new(pem), server: Arc::new(server) })
}

fn server_config(files: &TlsFiles, pem: &Pem, protocol: Protocol) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.certificate, &pem.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| match error {
        // What was read is a key, and no part of it belongs in a message.
        pem::Error::NoItemsFound => malformed(&files.key, "holds no private key in PEM"),
        _ => malformed(&files.key, "is not PEM"),
    })?;
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let unusable = |problem: String| TlsError::Unusable { certificate: files.certificate.clone(), problem };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match (&files.ca, &pem.ca) {
        (Some(path), Some(text)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, text)? {
                roots.add(certificate).map_err(|error| malformed(path, format!("has no usable authority: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| malformed(path, format!("has no usable authority: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols = match protocol {
        Protocol::Http2 => vec![b"h2".to_vec()],
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(malformed(path, "holds no certificate in PEM")),
        Err(error) => Err(malformed(path, format!("is not PEM: {error}"))),
    }
}

fn malformed(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        /// A certificate that signs itself, and its key, in `name.pem` and `name.key`.
        fn issue(&self, name: &str) -> TlsFiles {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
            let files = TlsFiles {
                certificate: self.0.path().join(format!("{name}.pem")),
                key: self.0.path().join(format!("{name}.key")),
                ca: None,
            };
            fs::write(&files.certificate, made.cert.pem()).expect("writable");
            fs::write(&files.key, made.signing_key.serialize_pem()).expect("writable");
            files
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = Folder::new();
        let (one, other) = (folder.issue("one"), folder.issue("other"));
        let absent = folder.0.path().join("absent.pem");
        let empty = folder.0.path().join("empty.pem");
        fs::write(&empty, "nothing here").expect("writable");
        let cases = [
            (TlsFiles { certificate: absent, ..one.clone() }, "cannot read"),
            (TlsFiles { certificate: empty.clone(), ..one.clone() }, "holds no certificate"),
            (TlsFiles { key: empty.clone(), ..one.clone() }, "holds no private key"),
            (TlsFiles { key: one.certificate.clone(), ..one.clone() }, "holds no private key"),
            (TlsFiles { key: other.key.clone(), ..one.clone() }, "cannot be used"),
            (TlsFiles { ca: Some(empty), ..one.clone() }, "holds no certificate"),
        ];
        for (files, words) in cases {
            let error = Tls::load(files, Protocol::Http2).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        Tls::load(TlsFiles { ca: Some(other.certificate), ..one }, Protocol::Http2).expect("all is there");
    }

    #[test]
    fn files_that_change_are_taken_over_and_bad_ones_are_not() {
        let folder = Folder::new();
        let files = folder.issue("node");
        let tls = Tls::load(files.clone(), Protocol::Http1).expect("good files");
        let (first, server) = (tls.pem(), tls.server());
        assert!(!tls.reload().expect("unchanged") && Arc::ptr_eq(&first, &tls.pem()));
        fs::write(&files.certificate, "half a cert").expect("writable");
        tls.reload().expect_err("the certificate is damaged");
        assert!(Arc::ptr_eq(&first, &tls.pem()) && Arc::ptr_eq(&server, &tls.server()), "what was good stays");
        folder.issue("node");
        assert!(tls.reload().expect("good files again"));
        assert_ne!(tls.pem(), first);
        assert!(!Arc::ptr_eq(&server, &tls.server()), "it is presented to whoever connects");
    }

    #[test]
    fn a_certificate_that_others_will_refuse_is_noticed() {
        let folder = Folder::new();
        let hour = Duration::from_secs(3600);
        let now = std::time::SystemTime::now();
        let authority = {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = params.self_signed(&key).expect("an authority");
            fs::write(folder.0.path().join("ca.pem"), certificate.pem()).expect("writable");
            rcgen::Issuer::new(params, key)
        };
        let issue = |from: std::time::SystemTime, until: std::time::SystemTime| {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            (params.not_before, params.not_after) = (from.into(), until.into());
            let key = rcgen::KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            let file = |name: &str| folder.0.path().join(name);
            fs::write(file("node.pem"), certificate.pem()).expect("writable");
            fs::write(file("node.key"), key.serialize_pem()).expect("writable");
            TlsFiles { certificate: file("node.pem"), key: file("node.key"), ca: Some(file("ca.pem")) }
        };
        for (from, until, expected) in [
            (now - hour, now + hour * 48, None),
            (now - hour, now + hour, Some(Doubt::ExpiresSoon)),
            (now - hour * 2, now - hour, Some(Doubt::Expired)),
            (now + hour, now + hour * 48, Some(Doubt::NotYetValid)),
        ] {
            let tls = Tls::load(issue(from, until), Protocol::Http2).expect("good files");
            assert_eq!(tls.doubt(true), expected);
            let public = TlsFiles { ca: None, ..tls.files().clone() };
            let public = Tls::load(public, Protocol::Http2).expect("good files");
            assert_eq!(public.doubt(false), expected, "to clients");
        }
        let stranger = TlsFiles { ca: Some(folder.issue("other").certificate), ..issue(now - hour, now + hour * 48) };
        let stranger = Tls::load(stranger, Protocol::Http2).expect("each file is good");
        assert!(matches!(stranger.doubt(true), Some(Doubt::Unaccepted(_))), "{:?}", stranger.doubt(true));
        assert_eq!(stranger.doubt(false), None, "those who speak to it may trust others");
    }

    #[test]
    fn no_key_appears_in_debug_output() {
        let folder = Folder::new();
        let tls = Tls::load(folder.issue("node"), Protocol::Http2).expect("good files");
        let shown = format!("{:?}", tls.pem());
        assert!(shown.contains("redacted") && !shown.contains("PRIVATE"), "{shown}");
    }
}
