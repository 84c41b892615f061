//! Who belongs to the cluster, and who leads it: joining, and what an operator asks for.
//!
//! Reads downward: `request` (any node: finds the leader and asks it) → `transfer`, `alter` and `upgrade` (on the leader) →
//! `judge` (what would be safe, of plain values) → `roster` (what the leader knows of its members) → `change` (the question and
//! its answers).

mod alter;
mod change;
#[cfg(test)]
mod half_made;
mod home;
mod join;
mod judge;
mod localities;
mod moved;
mod request;
mod roster;
mod transfer;
mod upgrade;

pub use change::{ChangeError, Changed, MemberChange};
pub(super) use join::Joining;
pub use join::{AdmissionError, request_admission, request_promotion};
