//! Founding a cluster from a state that is there already: what a disaster left of another one.
//!
//! Reads downward: `survivor` (a stopped node: its state, and what its log adds) and `restore` (the files of a backup) →
//! `found` (a state at an index becomes that of a cluster of one) → `forebears` (whose zookies still mean something in it).
//! Offline: nothing here speaks to another node, and nothing of what it is made from is changed.

mod forebears;
mod found;
mod restore;
mod survivor;
#[cfg(test)]
mod tests;

pub use forebears::{Forebear, forebears};
pub use restore::{BackedUp, RestoreError, inspect_backup, restore};
pub use survivor::{LostMember, SurvivalReport, Survivor, SurvivorError};
