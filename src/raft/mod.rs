//! Replication: everything between "this command should happen" and "it happened at this index, on every node".
//!
//! openraft's types stay inside this folder. It must not know evaluation or the public API.

mod command;
mod contract;

pub use command::{Command, CommandBody, DeleteTuples, NodeAddress, Outcome, Refusal, WriteSchema, WriteTuples};
pub use contract::{Applied, Propose, ProposeError};
