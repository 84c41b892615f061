//! Whether all ports are free, before anything is started: half a cluster helps nobody.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::folder::NodePlace;
use crate::cli::failure::Failure;

/// Fails with the first port that is taken.
pub(super) fn check_free(places: impl Iterator<Item = NodePlace>) -> Result<(), Failure> {
    for place in places {
        let needed = [(place.client, "clients"), (place.peer, "the other nodes")];
        let gateway = place.gateway.map(|address| (address, "its JSON gateway"));
        let console = place.console.map(|address| (address, "its web console"));
        for (address, purpose) in needed.into_iter().chain(gateway).chain(console) {
            check(address, place.number, purpose)?;
        }
    }
    Ok(())
}

fn check(address: SocketAddr, number: u16, purpose: &str) -> Result<(), Failure> {
    let Err(error) = TcpListener::bind(address) else {
        return Ok(());
    };
    let port = address.port();
    let problem = match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {port} is taken; node {number} needs it for {purpose}"),
        _ => format!("cannot listen on {address}, which node {number} needs for {purpose}: {error}"),
    };
    Err(Failure::new(problem).hint(
        "is another `quorate dev` running? else choose other ports with --base-port (and another --dir, if this one has \
         data)",
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = |client, peer, gateway| NodePlace {
            number: 2,
            client,
            peer,
            gateway: Some(gateway),
            console: None,
            data: PathBuf::new(),
            log: PathBuf::new(),
        };
        let free = "127.0.0.1:0".parse().unwrap();
        let taken = taken.local_addr().unwrap();
        check_free([place(free, free, free)].into_iter()).unwrap();
        for (place, purpose) in [
            (place(taken, free, free), "clients"),
            (place(free, taken, free), "the other nodes"),
            (place(free, free, taken), "its JSON gateway"),
        ] {
            let failure = check_free([place].into_iter()).unwrap_err();
            let expected = format!("port {} is taken; node 2 needs it for {purpose}", taken.port());
            assert_eq!(failure.message(), expected);
        }
    }
}
