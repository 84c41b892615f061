//! `[peer]`: how the nodes of a cluster reach each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::address::check_addresses;
use super::section::section;
use super::tls::{Files, check_exposure};
use super::{ConfigError, invalid};
use crate::security::TlsFiles;

section! {
    /// Where this node listens for the other nodes, and how they reach it. Keep this address inside a trusted network
    /// where there is no TLS.
    #[derive(Debug)]
    PeerSection, PeerOverrides, "peer" {
        /// Address that this node listens on for other nodes (port 0: a free one) [default: 127.0.0.1:50151]
        #[arg(value_name = "HOST:PORT")]
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 50151)), "peer-listen", "QUORATE_PEER_LISTEN";
        /// Address at which other nodes reach this node [default: what it listens on]
        #[arg(value_name = "HOST:PORT")]
        advertise: String = listen.to_string(), "peer-advertise", "QUORATE_PEER_ADVERTISE";
        /// Certificate of this node for the other nodes, in PEM; none: no TLS
        #[arg(value_name = "FILE")]
        tls_certificate: PathBuf = PathBuf::new(), "peer-tls-certificate", "QUORATE_PEER_TLS_CERTIFICATE";
        /// Private key of that certificate, in PEM
        #[arg(value_name = "FILE")]
        tls_key: PathBuf = PathBuf::new(), "peer-tls-key", "QUORATE_PEER_TLS_KEY";
        /// Authorities in PEM, one of which must have signed the certificate of every node; whom they sign is a node
        #[arg(value_name = "FILE")]
        tls_ca: PathBuf = PathBuf::new(), "peer-tls-ca", "QUORATE_PEER_TLS_CA";
        /// Speak to nodes on other machines without TLS: who reaches this port owns the cluster [default: false]
        #[arg(value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        plaintext: bool = false, "peer-plaintext", "QUORATE_PEER_PLAINTEXT";
    }
}

impl PeerSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_addresses("peer", self.listen, &self.advertise)?;
        self.files().validate()?;
        if let Some(TlsFiles { ca: None, .. }) = self.tls() {
            let problem = "is missing; without authorities a node cannot tell another node from anybody else";
            return Err(invalid("peer.tls_ca", problem));
        }
        check_exposure("peer", "peer.listen", self.listen, self.tls().is_some(), self.plaintext)
    }

    /// What nodes identify themselves with; `None` for no TLS.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        self.files().chosen()
    }

    fn files(&self) -> Files<'_> {
        Files { table: "peer", certificate: &self.tls_certificate, key: &self.tls_key, ca: &self.tls_ca }
    }
}
