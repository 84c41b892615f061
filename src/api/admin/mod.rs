//! Administration, `quorate.v1`, over what the node can do for its operator.

mod backup;
mod cluster;
mod consistency;
mod schema;

pub(super) use backup::Backup;
pub(super) use cluster::Cluster;
pub use cluster::write_report;
pub(super) use consistency::Consistency;
pub(super) use schema::SchemaPlanning;
