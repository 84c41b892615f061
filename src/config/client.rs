//! `[client]`: the public API of a node, and who may use it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use super::address::check_addresses;
use super::section::section;
use super::{ConfigError, invalid};

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
    }
}

impl ClientSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_addresses("client", self.listen, &self.advertise)?;
        if self.keys.is_empty() {
            return Err(invalid(
                "client.keys",
                "is empty; give the node at least one key, by --key, QUORATE_KEYS or the file",
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

/// Keys never reach a log.
impl fmt::Debug for ClientSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSection")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("keys", &format_args!("{} redacted", self.keys.len()))
            .finish()
    }
}
