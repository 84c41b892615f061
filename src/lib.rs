//! Quorate: an authorization cluster. Relationships (Zanzibar tuples) are replicated by Raft and kept in RocksDB on every
//! node; checks are answered from a view at one known log index.
//!
//! Layers, from the top: `cli → node → api → service → { consistency → raft, engine } → store → model`. Imports only
//! descend; `tests/tidy.rs` says so.

pub mod api;
pub mod audit;
pub mod caveat;
pub mod cli;
pub mod config;
pub mod consistency;
pub mod engine;
pub mod model;
pub mod mutants;
pub mod node;
pub mod raft;
pub mod schema;
pub mod security;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
