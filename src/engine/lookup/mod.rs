//! Lookups: on which objects does a subject have a permission, and which subjects have one on an object?
//!
//! Both walk the tuples for candidates ([`resource_walk`] from the subject, [`subject_walk`] from the resource) and check
//! those that the walk itself does not settle. A lookup is a value that gives its results batch by batch, so that whoever
//! asks decides when to go on; between batches it holds on to nothing but what it has seen.

#[cfg(test)]
mod agreement;
mod bounds;
mod error;
mod resource_walk;
mod resources;
mod scan;
mod subject_walk;
mod subjects;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use agreement::World;
pub use bounds::{LookupBounds, Turn};
pub use error::LookupError;
pub use resources::{FoundResource, ResourceLookup, ResourceQuestion};
pub use subjects::{ExcludedSubject, FoundSubject, SubjectLookup, SubjectQuestion};
