//! Ports that no other process takes, not even while the node that owns them is down.
//!
//! A port that the kernel hands out (bind to 0) comes from the range of outgoing connections: once its node is killed, any
//! connection made meanwhile may take it, or a client may even connect to itself. So ports are taken from below that range, in
//! blocks, each guarded by a lock on a file that lives as long as the block is used; other test processes respect the locks.

use std::fs::{self, File};
use std::net::TcpListener;

const FIRST_PORT: u16 = 20_000;
const PORTS_PER_BLOCK: u16 = 200;
const BLOCKS: u16 = 60;
const PEER_OFFSET: u16 = 100;

const _: () = assert!(FIRST_PORT + PORTS_PER_BLOCK * BLOCKS <= 32_768, "Linux hands out ports from 32768 on");

/// A block of ports, owned until it is dropped.
#[derive(Debug)]
pub(crate) struct PortBlock {
    first: u16,
    _lock: File,
}

impl PortBlock {
    /// Takes a free block.
    pub(crate) fn claim() -> Self {
        let locks = std::env::temp_dir().join("quorate-test-ports");
        fs::create_dir_all(&locks).expect("the folder for port locks can be made");
        let start = std::process::id() as u16 % BLOCKS; // Truncated on purpose: any spread does.
        for step in 0..BLOCKS {
            let block = (start + step) % BLOCKS;
            let lock = File::create(locks.join(block.to_string())).expect("a lock file can be made");
            let first = FIRST_PORT + block * PORTS_PER_BLOCK;
            if lock.try_lock().is_ok() && Self::is_free(first) {
                return Self { first, _lock: lock };
            }
        }
        panic!("all {BLOCKS} blocks of test ports are taken; lock files are in {}", locks.display());
    }

    /// Whether nobody listens on the ports that tests use.
    fn is_free(first: u16) -> bool {
        (0..8)
            .flat_map(|node| [first + node, first + PEER_OFFSET + node])
            .all(|p| TcpListener::bind(("127.0.0.1", p)).is_ok())
    }

    /// The first port, which is the client port of node 0.
    pub(crate) fn first(&self) -> u16 {
        self.first
    }

    /// Where node `index` listens for clients.
    pub(crate) fn client(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.first + Self::small(index))
    }

    /// Where node `index` listens for other nodes.
    pub(crate) fn peer(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.first + PEER_OFFSET + Self::small(index))
    }

    fn small(index: usize) -> u16 {
        u16::try_from(index).ok().filter(|i| *i < PEER_OFFSET).expect("tests form small clusters")
    }
}
