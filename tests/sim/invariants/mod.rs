//! What must hold in every run: a file each.

pub mod election_safety;
pub mod exactly_once;
mod floors;
pub mod log_matching;
pub mod monotonic_zookies;
pub mod no_new_enemy;
pub mod staleness;
pub mod watch_completeness;
