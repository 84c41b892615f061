//! Check: does a subject have a relation or permission on a resource?
//!
//! [`request`] takes the question apart, [`evaluation`] walks members that need nesting, [`closure`] walks those that do not,
//! [`reader`] turns single steps into reads, and [`memo`] keeps what is known. How cycles are treated stands in [`memo`].

mod closure;
mod evaluation;
mod knowledge;
mod memo;
mod objects;
mod reader;
mod request;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;

pub use request::{CheckItem, CheckOutcome, check, check_bulk};
