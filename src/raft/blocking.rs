//! Work that may wait for the disk, on a thread of the runtime.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` here, and lets another thread take over what else this one would have run: a heartbeat must not wait behind a
/// write to the disk. A runtime of one thread has nobody to take over; only tests have one.
pub(super) fn run<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
