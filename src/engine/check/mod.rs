//! Check: does a subject have a relation or permission on a resource?
//!
//! [`request`] takes questions apart and [`session`] keeps what related ones share; [`evaluation`] walks members that need
//! nesting, [`closure`] walks those that do not, [`reader`] turns single steps into reads, [`held`] says when many of them are
//! one, [`conditions`] judges what qualifies a tuple, and [`memo`] keeps what is known. How cycles are treated stands in [`memo`], how conditions are in
//! [`objects::Mode`], and what a conditional answer hangs on is found by [`missing`].

mod closure;
#[cfg(test)]
mod condition_tests;
mod conditions;
mod evaluation;
mod explain;
#[cfg(test)]
mod explain_tests;
mod held;
mod knowledge;
mod memo;
mod missing;
mod names;
mod objects;
mod reader;
mod request;
#[cfg(test)]
mod scale;
mod session;
mod support;
#[cfg(test)]
mod tests;

pub(super) use conditions::earlier;
pub(super) use names::{kind, member, resource_member, subject_kind};
pub use request::{CheckItem, CheckOutcome, check, check_bulk, explain};
pub(super) use session::{ResourceChecks, SubjectChecks};
