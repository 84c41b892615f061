//! The `quorate` binary: a runtime, and the command in it.

use std::process::ExitCode;

use clap::Parser;
use quorate::cli::{self, Cli};

/// Checks are evaluated recursively on the runtime's threads, as deep as the limit on depth allows. The default of 2 MiB
/// is not enough for the deepest; what is not used of this costs only address space.
const STACK_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(cli));
    // Nothing that is still waiting, for standard input for example, may hold up the end.
    runtime.shutdown_background();
    code
}
