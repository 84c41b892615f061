//! The public API over gRPC: the authzed protocol, the cluster protocol, health and reflection.
//!
//! Converts, authenticates, maps errors; decides nothing. Must not know storage or replication.

mod admin;
mod auth;
mod authzed;
mod deadline;
mod errors;
mod request_id;
mod server;
#[cfg(test)]
mod tests;

pub use authzed::{from_json_text, to_json_text};
pub use errors::to_status;
pub use server::{ApiServices, ServeError, serve};
