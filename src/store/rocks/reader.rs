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
    Counter, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId, Tuple, TupleFilter, TupleKey,
    TypeName,
};

use super::super::{Reach, ReadView, RequestRecord, ScanOrder, StoreError, StoredSchema, SubjectRow, TupleRow};
use super::generation::Generation;
use super::keys::{self, Names, Prefix};
use super::record;
use super::view::{self, Passed, RawIterator, RocksView, Span, Visit, subject_rows};

/// So many deletions in a row are passed over.
const PATIENCE: u64 = 32;

/// Looks tuples up, one after the other, and walks over groups of them.
pub(super) struct Seeker<'a> {
    generation: &'a Generation,
    order: ScanOrder,
    reach: Reach,
    iterator: RawIterator<'a>,
}

impl<'a> Seeker<'a> {
    pub(super) fn new(generation: &'a Generation, order: ScanOrder, reach: Reach) -> Self {
        Self { generation, order, reach, iterator: view::iterate_groups(generation, order, PATIENCE, reach) }
    }

    /// The newest version of `key` at or below `revision`.
    pub(super) fn newest(
        &mut self,
        store: StoreId,
        key: &TupleKey,
        revision: Revision,
    ) -> Result<Option<Qualifiers>, StoreError> {
        let tuple = keys::tuple_prefix(store, self.order, Names::of(key));
        self.iterator.seek(keys::versioned(tuple.bytes(), revision));
        match self.iterator.item() {
            Some((found, value)) if keys::split_version(self.order, found)?.0 == tuple.bytes() => {
                record::decode_tuple(keys::place(self.order), value)
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
    by_resource: Kept<'a>,
    by_subject: Kept<'a>,
}

/// Taken out while it is in use, so that a visitor may read on its part.
type Kept<'a> = Mutex<Option<Seeker<'a>>>;

impl<'a> RocksReader<'a> {
    pub(super) fn new(view: &'a RocksView, reach: Reach) -> Self {
        Self { view, reach, by_resource: Mutex::new(None), by_subject: Mutex::new(None) }
    }

    fn kept(&self, order: ScanOrder) -> &Kept<'a> {
        match order {
            ScanOrder::ByResource => &self.by_resource,
            ScanOrder::BySubject => &self.by_subject,
        }
    }

    fn take(&self, order: ScanOrder) -> Seeker<'a> {
        let kept = self.kept(order).lock().take();
        kept.unwrap_or_else(|| Seeker::new(self.view.generation(), order, self.reach))
    }

    fn keep(&self, seeker: Seeker<'a>) {
        let mut kept = self.kept(seeker.order).lock();
        *kept = Some(seeker);
    }

    /// [`RocksView::walk`], with what is kept where that suffices.
    fn walk(
        &self,
        order: ScanOrder,
        (within, span): (&Prefix, Span),
        from: &[u8],
        rows: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Span::OneGroup = span else {
            return self.view.walk(order, (within, span), from, rows, self.reach, visit);
        };
        let mut seeker = self.take(order);
        seeker.iterator.seek(from);
        let passed = view::pass(&mut seeker.iterator, order, self.view.revision(), within, rows, visit)?;
        self.keep(seeker);
        match passed {
            Passed::All | Passed::Enough => Ok(None),
            Passed::Rows(last) => Ok(Some(last)),
            Passed::Stuck { behind, .. } => {
                let resume = behind.map(|tuple| keys::versioned(&tuple, Revision::ZERO));
                let from = resume.as_deref().unwrap_or(from);
                self.view.walk(order, (within, span), from, rows, self.reach, visit)
            }
        }
    }

    /// Visits the subjects whose tuples begin with `within`, which is no less than a group.
    fn rows(&self, within: &Prefix, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.walk(ScanOrder::ByResource, (within, Span::OneGroup), within.bytes(), usize::MAX, visit).map(drop)
    }
}

/// What is told of each tuple, for a visitor of those that match `filter`.
fn matching(
    order: ScanOrder,
    filter: &TupleFilter,
    visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
) -> impl FnMut(Names<'_>, Revision, &Qualifiers) -> Result<ControlFlow<()>, StoreError> {
    move |names, written_at, qualifiers| {
        let fits =
            view::matches(filter, names) && filter.traits.as_ref().is_none_or(|traits| traits.matches(qualifiers));
        if !fits {
            return Ok(ControlFlow::Continue(()));
        }
        let tuple = Tuple { key: names.to_key(order)?, qualifiers: qualifiers.clone() };
        Ok(visit(TupleRow { tuple, written_at }))
    }
}

impl ReadView for RocksReader<'_> {
    fn revision(&self) -> Revision {
        self.view.revision()
    }

    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        let mut seeker = self.take(ScanOrder::ByResource);
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
        let store = self.view.store();
        let order = ScanOrder::for_filter(filter);
        let (prefix, span) = view::narrowest(store, order, filter);
        // Behind every version of `after`: no version has index 0, so this is the last key that it could have.
        let resume = after.map(|key| keys::tuple_key(store, order, key, Revision::ZERO));
        let from = match &resume {
            Some(resume) if resume.as_slice() > prefix.bytes() => resume,
            Some(_) | None => prefix.bytes(),
        };
        if prefix.end().is_some_and(|end| *from >= *end) {
            return Ok(None);
        }
        let last = self.walk(order, (&prefix, span), from, rows, &mut matching(order, filter, visit))?;
        last.map(|tuple| keys::decode_names(order, &tuple)?.to_key(order)).transpose()
    }

    fn scan_if_few(
        &self,
        filter: &TupleFilter,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let order = ScanOrder::for_filter(filter);
        let (prefix, Span::OneGroup) = view::narrowest(self.view.store(), order, filter) else { return Ok(false) };
        let mut seeker = self.take(order);
        seeker.iterator.seek(prefix.bytes());
        let visit = &mut matching(order, filter, visit);
        // Where the engine gives up, whoever asks can do without.
        let passed = view::pass(&mut seeker.iterator, order, self.view.revision(), &prefix, rows, visit)?;
        self.keep(seeker);
        Ok(matches!(passed, Passed::All))
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
