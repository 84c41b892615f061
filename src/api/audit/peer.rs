//! Who called: what the connection and the headers say, for the audit log.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap};

use crate::api::request_id::HEADER as REQUEST_ID;
use crate::api::scopes;
use crate::audit::Caller;
use crate::security::Standing;

/// Where a request to the JSON gateway came from. The gateway passes it on to the services.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct PeerAddress(pub(in crate::api) SocketAddr);

/// Who makes the call at `path`; `key` is the name of the key, where it is known.
pub(in crate::api) fn caller(extensions: &Extensions, headers: &HeaderMap, path: &str, key: Option<&str>) -> Caller {
    let by_gateway = extensions.get::<PeerAddress>().map(|peer| peer.0);
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    Caller {
        request_id: id.to_owned(),
        key: key.map(str::to_owned),
        peer: by_gateway
            .or_else(|| extensions.get::<Standing>().map(Standing::from))
            .map(|address| address.to_string()),
        via: if by_gateway.is_some() { "json" } else { "grpc" },
        // What is none of ours was chosen by the client, and is of any length.
        method: if scopes::method(path).is_some() { path[1..].to_owned() } else { "other".to_owned() },
    }
}
