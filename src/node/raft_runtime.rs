//! The threads of Raft: the log, the state machine, and the connections of the other nodes.
//!
//! They are apart from those that serve clients, so that a heartbeat never waits in one queue with what clients ask for: the
//! scheduler of the system sees to it that both go on, however much is asked for.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Fewest threads. The log is applied on one, which may wait for the disk; the others go on meanwhile.
const MIN_THREADS: usize = 2;
/// For what still runs at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A runtime of its own.
pub(super) struct RaftRuntime(Option<Runtime>);

impl RaftRuntime {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |cores| cores.get().max(MIN_THREADS));
        let runtime = Builder::new_multi_thread().enable_all().worker_threads(threads).thread_name("raft").build()?;
        Ok(Self(Some(runtime)))
    }

    /// What spawns on it.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().expect("it is there until it is ended").handle().clone()
    }

    /// Ends what still runs, so that no thread uses the databases any more. What never returns is left behind after a while.
    pub(super) async fn end(mut self) {
        if let Some(runtime) = self.0.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
            ended.await.expect("to end a runtime does not panic");
        }
    }
}

impl Drop for RaftRuntime {
    /// Where the node ended by a panic. To wait is not allowed here.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs `work` on the threads of `raft`, and goes on here when it is done.
pub(super) async fn run_on<T: Send + 'static>(raft: &Handle, work: impl Future<Output = T> + Send + 'static) -> T {
    match raft.spawn(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime has ended, and with it whatever this was done for.
            Err(_) => std::future::pending().await,
        },
    }
}
