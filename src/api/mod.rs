//! The public API: the authzed protocol, the cluster protocol, health and reflection over gRPC; the first as JSON over HTTP;
//! and the console, pages for people.
//!
//! Converts, authenticates, maps errors; decides nothing. Must not know storage or replication.

mod admin;
mod answer;
mod arriving;
mod audit;
mod auth;
mod authzed;
mod console;
mod deadline;
mod errors;
mod gateway;
mod http1;
mod idempotency;
mod memory;
mod metering;
mod operator;
mod quotas;
mod raised;
mod request_id;
mod response_meta;
mod scopes;
mod server;
mod staleness;
mod standing;
mod step;
#[cfg(test)]
mod tests;
mod traced;

pub use admin::write_report;
pub use authzed::{from_json_text, to_json_text};
pub use errors::to_status;
pub use quotas::RequestLimits;
pub use server::{ApiServices, Listeners, ServeError, serve};
pub use standing::standing_of_nodes;
