//! Storage of tuples, schemas and the changelog: key codecs, MVCC over RocksDB, and an in-memory twin.
//!
//! Knows nothing of Raft (an index is just a [`Revision`](crate::model::Revision)) and nothing of evaluation.

mod contract;

pub use contract::{
    ChangeRecord, MetaKey, ReadView, ScanOrder, StateBatch, StateStore, StoreError, StoredSchema, SubjectRow, TupleRow,
};
