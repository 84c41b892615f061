//! Apply: the function from (state, entry) to (state, outcome).
//!
//! Reads no clock, no randomness, no configuration and no map in hash order; compiles no schema and evaluates nothing. The
//! same log gives the same bytes on every node, whatever the store and however the entries were cut into batches.

mod applier;
mod cluster;
mod counters;
mod floors;
mod judge;
mod requests;
mod state;
#[cfg(test)]
mod tests;

pub(super) use applier::{Applier, Apply, ApplyError};
pub use cluster::ClusterSettings;
pub use floors::FloorTable;
pub(super) use state::AppliedState;
