//! The `quorate` binary: a runtime, and the command in it.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use quorate::cli::{self, Cli};

/// Fewest threads of the runtime.
const MIN_THREADS: usize = 4;
/// For what still runs when the command is done.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Some of these threads may wait for the disk: on a small machine, too, others must go on meanwhile. Their stacks can be
    // small: checks are evaluated on threads of their own, and Raft has its own as well.
    let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |cores| cores.get().max(MIN_THREADS));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(threads).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(cli));
    // The databases must be closed before the process ends: the end of a C++ program takes its locks apart, and a thread
    // that still uses them would crash. But nothing that never returns may hold up the end for ever.
    runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
    code
}
