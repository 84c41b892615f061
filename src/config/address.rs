//! What holds for every pair of a listening and an advertised address.

use std::net::SocketAddr;

use super::{ConfigError, invalid};

/// Checks that others can use `advertise` to reach what listens on `listen`.
pub(super) fn check_addresses(table: &str, listen: SocketAddr, advertise: &str) -> Result<(), ConfigError> {
    let key = format!("{table}.advertise");
    let Some((host, port)) = split_host_port(advertise) else {
        return Err(invalid(
            &key,
            format!("is {advertise:?}; write it as HOST:PORT, for example node-1.internal:50051"),
        ));
    };
    if matches!(host, "0.0.0.0" | "[::]") {
        let problem = format!(
            "would be {advertise}, which nobody can connect to; set it to the address at which others reach this node"
        );
        return Err(invalid(&key, problem));
    }
    // Port 0 asks the system for a free port, and what is advertised follows it.
    if port == 0 && listen.port() != 0 {
        return Err(invalid(&key, "has port 0; name the port at which others reach this node"));
    }
    Ok(())
}

fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let spaced = host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/');
    if host.is_empty() || bare_v6 || spaced {
        return None;
    }
    Some((host, port.parse().ok()?))
}
