//! `[gateway]`: the JSON gateway.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::section::section;

/// Where something optional listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OptionalListen {
    /// Nowhere.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl OptionalListen {
    const OFF: &str = "off";

    /// The address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for OptionalListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Self::OFF {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|error| format!("{error}; write HOST:PORT, or {}", Self::OFF))
    }
}

impl fmt::Display for OptionalListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(Self::OFF),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for OptionalListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<OptionalListen> for String {
    fn from(listen: OptionalListen) -> Self {
        listen.to_string()
    }
}

section! {
    /// The public API as JSON over HTTP, for clients that cannot speak gRPC.
    #[derive(Debug)]
    GatewaySection, GatewayOverrides, "gateway" {
        /// Address that the JSON gateway listens on (port 0: a free one), or off [default: off]
        #[arg(value_name = "HOST:PORT")]
        listen: OptionalListen = OptionalListen::Off, "gateway-listen", "QUORATE_GATEWAY_LISTEN";
    }
}
