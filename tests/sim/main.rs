//! The seeded simulation: clusters of the product's own code on simulated disks, network and clocks, a process a seed.
//!
//! - `cargo test --test sim`: the kept seeds, and a few hundred more.
//! - `QUORATE_SIM_SEEDS=5000 cargo test --test sim`: so many more; `QUORATE_SIM_FIRST=1000` begins there.
//! - `QUORATE_SIM_SEED=123 cargo test --test sim`: one seed, with its trace.
//!
//! A run is a function of its seed: all of a process's randomness comes from it (`entropy.c` is preloaded), its one thread
//! decides the order of everything, and no clock of the machine is read. A seed that failed is kept in `seeds/`, named after
//! the invariant that it broke, and is run ever after.

mod client;
mod disk;
mod faults;
mod history;
mod invariants;
mod model;
mod net;
mod node;
mod observer;
mod run;
mod seeds;
mod trace;
mod watcher;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::var("QUORATE_SIM_DIR") {
        Ok(dir) => seeds::child(dir.as_ref()),
        Err(_) => seeds::parent(),
    }
}
