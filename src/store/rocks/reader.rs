//! Reading a view step by step: one iterator for the whole of an evaluation, where every step of [`RocksView`] opens its own.
//! To open one costs about as much as to read with it.
//!
//! The iterator is the engine's snapshot of the moment in which it was opened. All that the view shows was there by then, and
//! the view's pin keeps it there, so it shows the same as one that is opened later.
//!
//! It has no bounds but those of a group of keys, so a long row of deletions behind what is asked for could hold it up. It
//! gives up after a few of them, and the step is done, or gone on with, as the view does it.

use std::ops::ControlFlow;

use parking_lot::Mutex;

use crate::model::{
    Counter, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId, TupleFilter, TupleKey, TypeName,
};

use super::super::{Reach, ReadView, RequestRecord, ScanOrder, StoreError, StoredSchema, SubjectRow, TupleRow};
use super::generation::Generation;
use super::keys::{self, Names, Prefix};
use super::record;
use super::view::{self, Passed, RawIterator, RocksView, Span, Visit, subject_rows};

/// So many deletions in a row are passed over.
const PATIENCE: u64 = 32;

const ORDER: ScanOrder = ScanOrder::ByResource;

/// Looks tuples up, one after the other, and walks over groups of them.
pub(super) struct Seeker<'a> {
    generation: &'a Generation,
    reach: Reach,
    iterator: RawIterator<'a>,
}

impl<'a> Seeker<'a> {
    pub(super) fn new(generation: &'a Generation, reach: Reach) -> Self {
        Self { generation, reach, iterator: view::iterate_groups(generation, PATIENCE, reach) }
    }

    /// The newest version of `key` at or below `revision`.
    pub(super) fn newest(
        &mut self,
        store: StoreId,
        key: &TupleKey,
        revision: Revision,
    ) -> Result<Option<Qualifiers>, StoreError> {
        let tuple = keys::tuple_prefix(store, ORDER, Names::of(key));
        self.iterator.seek(keys::versioned(tuple.bytes(), revision));
        match self.iterator.item() {
            Some((found, value)) if keys::split_version(ORDER, found)?.0 == tuple.bytes() => {
                record::decode_tuple(keys::place(ORDER), value)
            }
            Some(_) => Ok(None),
            None if self.iterator.status().is_ok() => Ok(None),
            // Whatever it is, one that has bounds meets it as well, or gets past it.
            None => view::newest(self.generation, store, key, revision, self.reach),
        }
    }
}

/// Reads one view, on one thread at a time.
pub(super) struct RocksReader<'a> {
    view: &'a RocksView,
    reach: Reach,
    /// Taken out while it is in use, so that a visitor may read on its part.
    kept: Mutex<Option<Seeker<'a>>>,
}

impl<'a> RocksReader<'a> {
    pub(super) fn new(view: &'a RocksView, reach: Reach) -> Self {
        Self { view, reach, kept: Mutex::new(None) }
    }

    fn take(&self) -> Seeker<'a> {
        self.kept.lock().take().unwrap_or_else(|| Seeker::new(self.view.generation(), self.reach))
    }

    fn keep(&self, seeker: Seeker<'a>) {
        *self.kept.lock() = Some(seeker);
    }

    /// Visits the subjects whose tuples begin with `within`, which is no less than a group.
    fn rows(&self, within: &Prefix, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut seeker = self.take();
        seeker.iterator.seek(within.bytes());
        let passed = view::pass(&mut seeker.iterator, ORDER, self.view.revision(), within, usize::MAX, visit)?;
        self.keep(seeker);
        let from = match passed {
            Passed::All | Passed::Enough | Passed::Rows(_) => return Ok(()),
            Passed::Stuck { behind: None, .. } => within.bytes().to_vec(),
            Passed::Stuck { behind: Some(tuple), .. } => keys::versioned(&tuple, Revision::ZERO),
        };
        self.view.walk(ORDER, (within, Span::OneGroup), &from, usize::MAX, self.reach, visit).map(drop)
    }
}

impl ReadView for RocksReader<'_> {
    fn revision(&self) -> Revision {
        self.view.revision()
    }

    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        let mut seeker = self.take();
        let found = seeker.newest(self.view.store(), key, self.view.revision())?;
        self.keep(seeker);
        Ok(found)
    }

    fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.rows(&self.view.group(resource, relation), &mut subject_rows(visit))
    }

    fn subjects_of_type(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        subject_type: &TypeName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.rows(&self.view.group(resource, relation).name(subject_type.as_str()), &mut subject_rows(visit))
    }

    fn scan_some(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<Option<TupleKey>, StoreError> {
        self.view.scan_within(filter, after, rows, self.reach, visit)
    }

    fn schema(&self) -> Result<Option<StoredSchema>, StoreError> {
        self.view.schema()
    }

    fn schema_revision(&self) -> Result<Option<Revision>, StoreError> {
        self.view.schema_revision()
    }

    fn counters(&self) -> Result<Vec<Counter>, StoreError> {
        self.view.counters()
    }

    fn request(&self, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        self.view.request(key)
    }
}
