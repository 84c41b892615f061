//! From what a request demands to a view at one index that satisfies it.
//!
//! Must not know evaluation. What cannot be satisfied before the deadline is an error, never an older view.

mod changes;
mod contract;
mod floors;
mod freshness;
#[cfg(test)]
mod fuzz;
mod requirement;
mod views;
mod zookie;

pub use changes::{Change, ChangeSource, Changes, ReplicaChanges};
pub use contract::{Kinship, ViewSource};
pub use floors::{BelowFloor, Demand, Raised, Scope};
pub use requirement::Requirement;
pub use views::{FreshnessOptions, ReplicaViews};
pub use zookie::{Zookie, ZookieError};
