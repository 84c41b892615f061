//! What every integration test stands on: node processes, clusters of them, clients, and waiting for conditions.

mod client;
mod cluster;
mod command;
mod faults;
mod folders;
mod http;
mod load;
mod node;
mod ports;
mod text;
mod wait;

pub(crate) use client::{Client, KEY, Outcome, check_item, is_allowed, outcome_of, reason_of};
pub(crate) use cluster::{Cluster, SETTLE_LIMIT, turn};
pub(crate) use command::{Ran, run, run_at, run_command, run_unread};
pub(crate) use faults::Fault;
pub(crate) use folders::{copy_folder, put_back};
pub(crate) use http::{exchange, metric};
pub(crate) use load::{Load, longest_gap};
pub(crate) use node::{Node, Settings, binary};
pub(crate) use ports::PortBlock;
pub(crate) use text::{
    at_least, context, create, delete, exactly, filter, fully, minimize, relationship, relationship_text, touch,
};
pub(crate) use wait::{eventually, say, within};

/// The generated messages and clients, by the names of their protocols.
pub(crate) mod wire {
    pub(crate) use quorate::wire::authzed::v1 as authzed;
    pub(crate) use quorate::wire::quorate::v1 as cluster;
}

/// The schema that most tests use.
pub(crate) const SCHEMA: &str = "
definition user {}

definition group {
    relation member: user | group#member
}

definition document {
    relation owner: user
    relation viewer: user | user:* | group#member
    relation banned: user
    permission edit = owner
    permission view = viewer + owner - banned
}
";
