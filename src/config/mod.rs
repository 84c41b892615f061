//! The configuration of a node: one documented struct a section, read from a TOML file, `QUORATE_*` variables and flags.
//!
//! A leaf: it must not know what the rest of the node does with a value.

mod address;
mod audit;
mod client;
mod console;
mod error;
mod gateway;
mod history;
mod limits;
mod locality;
mod log;
mod metrics;
mod node;
mod peer;
mod raft;
mod reads;
mod section;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod traces;

pub use audit::{AuditFile, AuditOverrides, AuditSection};
pub use client::{ClientOverrides, ClientSection};
pub use console::{ConsoleOverrides, ConsoleSection};
pub use error::ConfigError;
pub use gateway::{GatewayOverrides, GatewaySection, OptionalListen};
pub use history::{HistoryOverrides, HistorySection};
pub use limits::{LimitsOverrides, LimitsSection};
pub use locality::{NodeSection, NodeSectionOverrides};
pub use log::{LogFormat, LogOverrides, LogSection};
pub use metrics::{MetricsOverrides, MetricsSection};
pub use node::{NodeConfig, NodeOverrides};
pub use peer::{PeerOverrides, PeerSection};
pub use raft::{RaftOverrides, RaftSection};
pub use reads::{ReadsOverrides, ReadsSection};
pub use store::{StoreOverrides, StoreSection};
pub use traces::{Ratio, TracesOverrides, TracesSection};

use error::invalid;
