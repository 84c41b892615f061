//! Tuples: write, delete, read.

mod cursor;
mod delete;
#[cfg(test)]
mod fuzz;
pub(super) mod guard;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use delete::{DeleteAnswer, DeleteTuples};
pub use read::{ReadTuples, TupleStream, TupleWithCursor};
pub use write::WriteTuples;
