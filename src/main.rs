//! The `quorate` binary: a runtime, and the command in it.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use quorate::cli::{self, Cli};

/// A request is read, evaluated and answered on different threads: memory goes from one to another all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fewest threads of the runtime.
const MIN_THREADS: usize = 4;
/// Of their stacks. Checks that nest deeply are evaluated on threads of their own; what is tried on these is bounded to a small
/// part of this. Untouched stack costs no memory.
const STACK_BYTES: usize = 4 << 20;
/// For what still runs when the command is done.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Some of these threads may wait for the disk: on a small machine, too, others must go on meanwhile. Raft has its own.
    let threads = std::thread::available_parallelism().map_or(MIN_THREADS, |cores| cores.get().max(MIN_THREADS));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().worker_threads(threads).thread_stack_size(STACK_BYTES);
    let runtime = match runtime.build() {
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
