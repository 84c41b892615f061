//! What nodes say to each other: `envelope` (who speaks to whom) → `peers` (connections) → `outbound` (openraft's network)
//! and `inbound` (the service that answers).

mod envelope;
mod inbound;
mod outbound;
mod peers;

pub(super) use envelope::{AdmitRequest, Admitted, Kind, PeerIdentity, PromoteRequest, Rejection};
pub use inbound::PeerServer;
pub(super) use outbound::Network;
pub(super) use peers::{CallError, Peers, Rpc};
