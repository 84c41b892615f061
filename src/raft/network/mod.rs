//! What nodes say to each other: `envelope` (who speaks to whom) with `announcement` (and what it says of itself) → `transport`
//! (the seam) → `connections` (gRPC) → `peers` (calls) → `outbound` (openraft's network) with `acknowledged` (what others said they
//! have) and `inbound` (the service that answers).

mod acknowledged;
mod announcement;
mod connections;
mod envelope;
mod inbound;
mod outbound;
mod peers;
mod transport;

pub use announcement::Announcement;
pub use connections::Connections;
pub use envelope::Removal;
pub(super) use envelope::{AdmitRequest, Admitted, Kind, PeerIdentity, PromoteRequest, Rejection};
pub use inbound::PeerServer;
pub(super) use outbound::Network;
pub(super) use peers::{Peers, forwarding};
pub use transport::{CallError, Rpc, Transport};
