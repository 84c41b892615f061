//! Storage of tuples, schemas and the changelog: key codecs, MVCC over RocksDB, and an in-memory twin.
//!
//! Knows nothing of Raft (an index is just a [`Revision`](crate::model::Revision)) and nothing of evaluation.

mod bounds;
mod codec;
mod contract;
#[cfg(test)]
mod fuzz;
mod memory;
mod memory_files;
mod rocks;
#[cfg(test)]
mod suite;
mod writer;

pub use contract::{
    ChangeRecord, CheckpointStore, Footprint, MetaKey, Reach, ReadView, RequestRecord, ScanOrder, StateBatch,
    StateStore, StoreError, StoredSchema, SubjectRow, TupleRow,
};
pub use memory::{MemoryBatch, MemoryStore};
pub use rocks::{
    CheckpointInfo, Collector, FileEntry, Inspection, RocksBatch, RocksStore, StoreOptions, decode_tuple_key,
    inspect_checkpoint, tuple_key, verify_checkpoint,
};
