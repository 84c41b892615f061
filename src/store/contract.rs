//! What every store gives: consistent views to read from, and batches to write with. One conformance suite holds for all.
//!
//! Invariants:
//! - A view at revision `r` shows exactly the effects of batches written at revisions ≤ `r`, whatever is written later.
//! - A batch is atomic: after a crash all of it is there or none of it.
//! - Everything of one store id is invisible to every other.
//! - What is older than `oldest` is refused, whether it is still there or not: that is decided by what was committed, and not
//!   by how far anybody has come with removing it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::CheckpointInfo;
use crate::model::{
    Counter, Error, ErrorCode, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId,
    SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName,
};

/// Why a store could not answer. None of them is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage engine failed. The node stops.
    #[error("storage engine: {0}")]
    Engine(String),
    /// A record does not decode: the disk lies or a codec has a bug. The node stops.
    #[error("corrupt record in {place}: {what}")]
    Corrupt {
        /// Which keyspace.
        place: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The disk would have to be read, and was not to be: see [`Reach::Memory`].
    #[error("what was asked for is not in memory")]
    NotInMemory,
    /// The revision is above what this store has applied.
    #[error("revision {asked} is above the applied revision {applied}")]
    NotApplied {
        /// What was asked for.
        asked: Revision,
        /// What is there.
        applied: Revision,
    },
    /// The revision is below the retained history.
    #[error("revision {asked} is older than the retained history, which begins at {oldest}")]
    Expired {
        /// What was asked for.
        asked: Revision,
        /// The oldest readable revision.
        oldest: Revision,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Engine(_) | StoreError::Corrupt { .. } => ErrorCode::Internal,
            StoreError::NotInMemory | StoreError::NotApplied { .. } => ErrorCode::Unavailable,
            StoreError::Expired { .. } => ErrorCode::RevisionExpired,
        };
        Self::new(code, error.to_string())
    }
}

/// A schema as stored: an immutable version, known by the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchema {
    /// The revision of the entry that wrote it.
    pub revision: Revision,
    /// The text as it was written.
    pub text: Arc<str>,
}

/// One subject of a `resource#relation`, borrowed from the storage engine for the time of the visit.
#[derive(Debug, Clone, Copy)]
pub struct SubjectRow<'a> {
    /// The subject's type.
    pub subject_type: &'a str,
    /// The subject's id, or `*`.
    pub subject_id: &'a str,
    /// The subject's relation; `None` for the object itself.
    pub subject_relation: Option<&'a str>,
    /// What limits the tuple.
    pub qualifiers: &'a Qualifiers,
}

/// A tuple found by a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TupleRow {
    /// The tuple.
    pub tuple: Tuple,
    /// The revision that last wrote it.
    pub written_at: Revision,
}

/// The order in which a scan yields tuples, which decides what a cursor means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanOrder {
    /// By resource type, resource id, relation, subject type, subject id, subject relation.
    ByResource,
    /// By subject type, subject id, subject relation, resource type, relation, resource id.
    BySubject,
}

impl ScanOrder {
    /// The order that answers `filter` with the narrower scan: by subject where that is fixed to one object and the resource
    /// is not, or where only the subject is given at all.
    #[must_use]
    pub fn for_filter(filter: &TupleFilter) -> Self {
        let Some(subject) = &filter.subject else { return Self::ByResource };
        let resource_is_open = filter.resource_id.is_none() && filter.resource_id_prefix.is_none();
        let narrower = filter.resource_type.is_none() || (subject.subject_id.is_some() && resource_is_open);
        if narrower { Self::BySubject } else { Self::ByResource }
    }

    /// The names that all tuples which `filter` can match begin with in this order; a subject without a relation has an empty
    /// one.
    pub(in crate::store) fn fixed(self, filter: &TupleFilter) -> impl Iterator<Item = &str> {
        let subject = filter.subject.as_ref();
        let subject_type = subject.map(|s| s.subject_type.as_str());
        let subject_id = subject.and_then(|s| s.subject_id.as_ref()).map(|id| id.as_str());
        let subject_relation = subject.and_then(|s| match &s.relation {
            SubjectRelationFilter::Any => None,
            SubjectRelationFilter::Direct | SubjectRelationFilter::Concrete => Some(""),
            SubjectRelationFilter::Relation(name) => Some(name.as_str()),
        });
        let resource_type = filter.resource_type.as_ref().map(|name| name.as_str());
        let resource_id = filter.resource_id.as_ref().map(|id| id.as_str());
        let relation = filter.relation.as_ref().map(|name| name.as_str());
        let parts = match self {
            Self::ByResource => [resource_type, resource_id, relation, subject_type, subject_id, subject_relation],
            Self::BySubject => [subject_type, subject_id, subject_relation, resource_type, relation, resource_id],
        };
        parts.into_iter().map_while(|part| part)
    }
}

/// What a reader may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: what is not in memory is [`StoreError::NotInMemory`], and says nothing about what is stored.
    Memory,
    /// The disk.
    Disk,
}

/// All tuples and the schema of one store at one revision. Cheap to make, safe to keep for the length of a request.
pub trait ReadView: Send + Sync {
    /// The revision that every answer of this view is about.
    fn revision(&self) -> Revision;

    /// The tuple's qualifiers, or `None` when it does not exist. One point look-up.
    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError>;

    /// Visits the direct subjects of `resource#relation` in order of type, id and relation until `visit` breaks.
    fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// The same for the subjects of one type.
    fn subjects_of_type(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        subject_type: &TypeName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.subjects(resource, relation, &mut |row| match row.subject_type == subject_type.as_str() {
            true => visit(row),
            false => ControlFlow::Continue(()),
        })
    }

    /// A reader of this view for one evaluation: it keeps what it opened for one step for the next, and reads tuples no further
    /// than `reach`. `None` where the view itself is as good: it opens nothing, and waits for no disk.
    fn reader(&self, reach: Reach) -> Option<Box<dyn ReadView + '_>> {
        let _ = reach;
        None
    }

    /// Visits the tuples that match `filter`, in [`ScanOrder::for_filter`] order, strictly after `after` where it is given,
    /// until `visit` breaks. Cost follows the fixed prefix of the filter, not its result.
    fn scan(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.scan_some(filter, after, usize::MAX, visit).map(drop)
    }

    /// The same, but stops when about `rows` stored rows were passed, whether they match or not. Returns after which tuple to
    /// go on, which need not match; `None` at the end, and where `visit` broke.
    fn scan_some(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<Option<TupleKey>, StoreError>;

    /// Visits the tuples that match `filter`, if they are few and near: whether these were all. They are not where `visit` broke,
    /// where more than about `rows` stored rows would have to be passed, and where so much was removed there that it is work to
    /// get past it.
    fn scan_if_few(
        &self,
        filter: &TupleFilter,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let (mut all, mut seen) = (true, 0);
        let more = self.scan_some(filter, None, rows, &mut |row| {
            seen += 1;
            all = seen <= rows && visit(row).is_continue();
            if all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(all && more.is_none())
    }

    /// The schema in force at this revision.
    fn schema(&self) -> Result<Option<StoredSchema>, StoreError>;

    /// The revision that wrote the schema in force. Does not copy its text.
    fn schema_revision(&self) -> Result<Option<Revision>, StoreError>;

    /// The relationship counters that are registered at this revision, in order of their names.
    fn counters(&self) -> Result<Vec<Counter>, StoreError>;

    /// What is remembered of the request under `key`, where it took effect at or below this revision. Forgetting leaves no
    /// version behind: what is forgotten by now is gone from every view.
    fn request(&self, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError>;
}

/// One transaction in the changelog: what happened at one revision, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// The operation that asked for it.
    pub op_id: u128,
    /// The tuples that really changed: a touch that changed nothing and a delete of what was absent leave no trace.
    pub updates: Vec<TupleUpdate>,
    /// Whether the schema was replaced.
    pub schema_changed: bool,
    /// The caller's metadata as JSON text; empty for none.
    pub metadata_json: String,
}

/// What is remembered of a request that took effect, so that its repetition does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The revision of its effect.
    pub at: Revision,
    /// The cluster's time then.
    pub time: TimestampMs,
    /// Of what was asked.
    pub digest: [u8; 32],
    /// What became of it, as the Raft layer encodes it.
    pub outcome: Vec<u8>,
}

/// The single records beside the data, each written in the same batch as what it describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetaKey {
    /// The last applied log id and the membership, as the Raft layer encodes them.
    Applied,
    /// Which cluster and node the data belongs to.
    Identity,
    /// Counters and settings of the cluster that are replicated.
    Cluster,
    /// The floors of all stores, as the Raft layer encodes them.
    Floors,
    /// The feature level and what else the cluster has settled about itself, as the Raft layer encodes it.
    Settings,
}

/// A durable state that one writer extends and many readers see.
pub trait StateStore: Send + Sync + 'static {
    /// The batch that this store writes with.
    type Batch<'a>: StateBatch
    where
        Self: Sized + 'a;

    /// Reads a single record.
    fn meta(&self, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// The revision of the last committed batch.
    fn applied(&self) -> Revision;

    /// The oldest revision that can still be read.
    fn oldest(&self) -> Revision;

    /// All of `store` at `revision`, which must lie in `oldest()..=applied()`.
    fn view(&self, store: StoreId, revision: Revision) -> Result<Arc<dyn ReadView>, StoreError>;

    /// Changelog records of `store` with revisions in `(after, through]`, in order, until `visit` breaks.
    fn changes(
        &self,
        store: StoreId,
        after: Revision,
        through: Revision,
        visit: &mut dyn FnMut(Revision, ChangeRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Whether anything was changed, in any store, at a revision in `(after, through]` that the changelog still names.
    fn changed_within(&self, after: Revision, through: Revision) -> Result<bool, StoreError>;

    /// What it takes, in bytes.
    fn footprint(&self) -> Footprint;

    /// A new batch. There is one writer, so at most one batch at a time.
    fn batch(&self) -> Self::Batch<'_>
    where
        Self: Sized;
}

/// What a store takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Writes that are in memory only, beside the log.
    pub memtables: u64,
    /// Blocks kept in memory.
    pub block_cache: u64,
    /// Files with tuples, history and all else.
    pub files: u64,
    /// What compaction has yet to rewrite.
    pub pending_compaction: u64,
}

/// A store whose whole state travels as files.
pub trait CheckpointStore: StateStore {
    /// Writes the whole state as files to the new folder `into`, on the same file system for cheap links. It is complete and
    /// durable when it appears.
    fn checkpoint(&self, into: &Path) -> Result<CheckpointInfo, StoreError>;

    /// Replaces everything by the checkpoint in `from`, whose files stay where they are. Views made before keep what they
    /// show.
    ///
    /// The files must have passed [`verify_checkpoint`](super::verify_checkpoint). A checkpoint older than the applied state
    /// is refused: what was readable must not vanish.
    fn install(&self, from: &Path) -> Result<(), StoreError>;

    /// A single record of the checkpoint in `from`, whose files stay as they are.
    fn peek(&self, from: &Path, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Changes that become visible and durable together. Reads through a batch see its own writes.
pub trait StateBatch {
    /// The tuple's latest qualifiers, this batch's writes included.
    fn lookup(&mut self, store: StoreId, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError>;

    /// Reads tuples that will be looked up, all at one go, which costs less than one by one. Changes no answer. To be called
    /// before anything is written.
    fn fetch(&mut self, keys: &mut dyn Iterator<Item = (StoreId, &TupleKey)>) -> Result<(), StoreError> {
        let _ = keys;
        Ok(())
    }

    /// The revision of the latest schema, this batch's writes included.
    fn schema_revision(&mut self, store: StoreId) -> Result<Option<Revision>, StoreError>;

    /// The relationship counters, this batch's writes included.
    fn counters(&mut self, store: StoreId) -> Result<Vec<Counter>, StoreError>;

    /// What is remembered of the request under `key`, this batch's writes included.
    fn request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError>;

    /// The request of the lowest revision at or above `from` that is remembered in any store, this batch's writes included.
    /// Whoever knows that there is none below `from` saves a walk over what was forgotten.
    fn oldest_request(
        &mut self,
        from: Revision,
    ) -> Result<Option<(StoreId, IdempotencyKey, RequestRecord)>, StoreError>;

    /// Writes a tuple at `at`.
    fn put(&mut self, store: StoreId, at: Revision, tuple: &Tuple) -> Result<(), StoreError>;

    /// Removes a tuple at `at`; earlier revisions still show it.
    fn delete(&mut self, store: StoreId, at: Revision, key: &TupleKey) -> Result<(), StoreError>;

    /// Writes a schema version at `at`.
    fn put_schema(&mut self, store: StoreId, at: Revision, text: &str) -> Result<(), StoreError>;

    /// Replaces the relationship counters at `at`; earlier revisions still show those of before.
    fn put_counters(&mut self, store: StoreId, at: Revision, counters: &[Counter]) -> Result<(), StoreError>;

    /// Appends to the changelog at `at`.
    fn put_change(&mut self, store: StoreId, at: Revision, change: &ChangeRecord) -> Result<(), StoreError>;

    /// Remembers a request under `key`, in the place of what was remembered under it.
    fn put_request(&mut self, store: StoreId, key: &IdempotencyKey, record: &RequestRecord) -> Result<(), StoreError>;

    /// Forgets the request under `key`, if it is remembered.
    fn forget_request(&mut self, store: StoreId, key: &IdempotencyKey) -> Result<(), StoreError>;

    /// Lets go of every revision below `oldest`: from the commit on they are [`StoreError::Expired`]. Never takes one back.
    fn expire_below(&mut self, oldest: Revision);

    /// Writes a single record.
    fn put_meta(&mut self, key: MetaKey, value: &[u8]) -> Result<(), StoreError>;

    /// Makes everything visible at once, as the state at revision `applied`.
    fn commit(self, applied: Revision) -> Result<(), StoreError>;
}
