//! Tuples: write, delete, read, import, export.

mod delete;
mod export;
#[cfg(test)]
mod fuzz;
pub(super) mod guard;
mod import;
mod pages;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use delete::{DeleteAnswer, DeleteTuples};
pub use export::{ExportPage, ExportStream, ExportTuples};
pub use read::{ReadTuples, TupleStream, TupleWithCursor};
pub use write::WriteTuples;
