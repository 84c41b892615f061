//! Work that may wait for the disk, on a thread of the runtime.

use std::io;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` here, and lets another thread take over what else this one would have run: a heartbeat must not wait behind a
/// write to the disk. A runtime of one thread has nobody to take over; only tests have one, and
/// a simulation relies on it: nothing happens there beside the one thread.
pub(super) fn run<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Runs `work` on a thread of its own where there is one: for what may take long, and others go on meanwhile.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::spawn_blocking(work).await?,
        _ => work(),
    }
}
