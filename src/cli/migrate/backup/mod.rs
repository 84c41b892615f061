//! Backup files as `zed backup create` writes them: an Avro object container with the schema first, then the relationships.
//!
//! What is in a file may come from anywhere. Reading needs a bounded amount of memory, whatever the file says.

mod format;
#[cfg(test)]
mod fuzz;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use reader::{BackupError, BackupReader};
pub(super) use writer::BackupWriter;
