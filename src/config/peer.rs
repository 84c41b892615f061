//! `[peer]`: how the nodes of a cluster reach each other.

use std::net::{Ipv4Addr, SocketAddr};

use super::ConfigError;
use super::address::check_addresses;
use super::section::section;

section! {
    /// Where this node listens for the other nodes, and how they reach it. Keep this address inside a trusted network.
    #[derive(Debug)]
    PeerSection, PeerOverrides, "peer" {
        /// Address that this node listens on for other nodes (port 0: a free one) [default: 127.0.0.1:50151]
        #[arg(value_name = "HOST:PORT")]
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 50151)), "peer-listen", "QUORATE_PEER_LISTEN";
        /// Address at which other nodes reach this node [default: what it listens on]
        #[arg(value_name = "HOST:PORT")]
        advertise: String = listen.to_string(), "peer-advertise", "QUORATE_PEER_ADVERTISE";
    }
}

impl PeerSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_addresses("peer", self.listen, &self.advertise)
    }
}
