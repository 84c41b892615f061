//! The durable store: MVCC over RocksDB. See [`keys`] for what is on disk and [`view`] for why views need no snapshot.

mod batch;
mod checkpoint;
mod collect;
mod files;
#[cfg(test)]
mod fuzz;
mod generation;
mod inspect;
mod install;
mod keys;
mod layout;
mod merge;
mod options;
mod pins;
mod reader;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod view;

pub use batch::RocksBatch;
pub(super) use checkpoint::describe;
pub use checkpoint::{CheckpointInfo, FileEntry, verify_checkpoint};
pub use collect::Collector;
pub use inspect::{Inspection, inspect_checkpoint};
pub use keys::{decode_tuple_key, tuple_key};
pub use options::StoreOptions;
pub use store::RocksStore;
