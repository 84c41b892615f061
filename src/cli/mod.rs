//! The commands of the `quorate` program: running nodes, and talking to them as any other client would.
//!
//! Only `serve` may know the node, and `recover` and `restore`, which make the data of one that is not running; every other
//! command goes through the public protocols. Output for machines is on standard output; progress, hints and errors are on
//! standard error.

// `println!` and `eprintln!` panic where nobody reads, which is none of a command's business: see `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod backup;
mod bench;
mod call_error;
mod cluster;
mod connection;
mod consistency;
mod dev;
mod failure;
mod floor;
#[cfg(test)]
mod fuzz;
mod health;
mod key;
mod lines;
mod migrate;
mod output;
mod permission;
mod private_file;
mod recover;
mod reference;
mod relationship;
mod restore;
mod schema;
mod serve;
mod text_file;
mod trust;
mod validate;
mod write_key;
mod zookie;

pub use args::{Cli, run};
