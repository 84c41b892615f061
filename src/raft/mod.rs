//! Replication: everything between "this command should happen" and "it happened at this index, on every node".
//!
//! Reads downward: `replica` (one node's part) → `propose`, `read_index`, `membership` → `network`, `state_machine` →
//! `apply`, `log`, `snapshot` → `codec`. openraft's types stay inside this folder. It must not know evaluation or the public
//! API.

mod apply;
mod blocking;
mod clock;
mod codec;
mod command;
mod contract;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fuzz;
mod leader;
mod log;
mod membership;
mod network;
mod propose;
mod read_index;
mod replica;
mod snapshot;
mod state_machine;
mod status;
#[cfg(test)]
mod storage_suite;
#[cfg(test)]
mod testing;
mod types;

pub use clock::wall_clock;
pub use command::{
    ChangeCounter, Command, CommandBody, DeleteTuples, NodeAddress, Outcome, Refusal, WriteSchema, WriteTuples,
};
pub use contract::{Applied, Propose, ProposeError};
pub use membership::{request_admission, request_promotion};
pub use network::PeerServer;
pub use propose::Proposer;
pub use read_index::ReadIndex;
pub use replica::{Membership, Replica, ReplicaError, ReplicaOptions};
pub use state_machine::AppliedMark;
pub use status::{MemberStatus, ReplicaStatus, Role};
#[cfg(test)]
pub(crate) use testing::apply_alone;
