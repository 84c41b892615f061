//! Reading at one revision.
//!
//! A view holds no snapshot of the engine, and needs none. Three facts make it stable:
//! 1. It is made for a revision `r` ≤ applied, and applied is published only after the batch that reached it is committed:
//!    every version ≤ `r` is there before the view is.
//! 2. A batch writes only above the applied revision that it began at (asserted in `bounds`), so nothing ≤ `r` is ever
//!    written again. What is written later is > `r`, and is passed over.
//! 3. Versions are removed by nobody but the collector of history, which leaves alone what a pin asks for (see `collect`),
//!    and an installed snapshot replaces the whole database: a view keeps the one it began with.
//!
//! So each call may open an iterator of its own, at whatever moment, and still see the same tuples.

use std::ops::ControlFlow;
use std::sync::Arc;

use rocksdb::{DBRawIteratorWithThreadMode, ReadOptions, ReadTier};

use crate::model::{
    Counter, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectRelationFilter,
    TupleFilter, TupleKey, TypeName,
};

use super::super::{Reach, ReadView, RequestRecord, ScanOrder, StoreError, StoredSchema, SubjectRow, TupleRow, codec};
use super::generation::{Database, Generation, engine};
use super::keys::{self, Names, Prefix};
use super::options::Family;
use super::pins::Pin;
use super::reader::RocksReader;
use super::record;

/// Versions that are stepped over one by one before a seek is cheaper.
const STEPS_BEFORE_SEEK: u32 = 8;

pub(super) type RawIterator<'a> = DBRawIteratorWithThreadMode<'a, Database>;

/// What is done with each live tuple: its names, when it was written, and what limits it.
pub(super) type Visit<'a> = dyn FnMut(Names<'_>, Revision, &Qualifiers) -> Result<ControlFlow<()>, StoreError> + 'a;

/// Whether the keys asked for lie in one group of the bloom filter, or in several.
#[derive(Clone, Copy)]
pub(super) enum Span {
    OneGroup,
    Any,
}

/// How far [`pass`] came.
pub(super) enum Passed {
    /// To the end.
    All,
    /// As far as the visitor wanted.
    Enough,
    /// As many rows as were to be passed, up to this tuple.
    Rows(Vec<u8>),
    /// The engine gave up behind this tuple, or before the first one.
    Stuck { behind: Option<Vec<u8>>, error: StoreError },
}

/// All of one store at one revision.
pub(super) struct RocksView {
    generation: Arc<Generation>,
    store: StoreId,
    pin: Pin,
}

impl RocksView {
    pub(super) fn new(generation: Arc<Generation>, store: StoreId, revision: Revision) -> Self {
        let pin = generation.pins().pin(revision);
        Self { generation, store, pin }
    }

    fn reader_of(&self, reach: Reach) -> RocksReader<'_> {
        RocksReader::new(self, reach)
    }

    pub(super) fn store(&self) -> StoreId {
        self.store
    }

    /// What all tuples of `resource#relation` begin with.
    pub(super) fn group(&self, resource: &ObjectRef, relation: &RelationName) -> Prefix {
        Prefix::new(self.store)
            .name(resource.object_type.as_str())
            .name(resource.object_id.as_str())
            .name(relation.as_str())
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Visits the newest version ≤ the view's revision of each tuple whose key begins with `within`, from `from` on, where
    /// that version is live. Stops behind a tuple when `rows` keys were passed, and returns that tuple's key.
    pub(super) fn walk(
        &self,
        order: ScanOrder,
        (within, span): (&Prefix, Span),
        from: &[u8],
        rows: usize,
        reach: Reach,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut iterator = iterate(&self.generation, Family::of_tuples(order), within, span, reach);
        iterator.seek(from);
        match pass(&mut iterator, order, self.pin.revision(), within, rows, visit)? {
            Passed::All | Passed::Enough => Ok(None),
            Passed::Rows(last) => Ok(Some(last)),
            Passed::Stuck { error, .. } => Err(error),
        }
    }
}

/// Goes on from where `iterator` stands, as [`RocksView::walk`] does.
pub(super) fn pass(
    iterator: &mut RawIterator<'_>,
    order: ScanOrder,
    revision: Revision,
    within: &Prefix,
    rows: usize,
    visit: &mut Visit<'_>,
) -> Result<Passed, StoreError> {
    let mut decided: Vec<u8> = Vec::new();
    let mut steps = 0;
    let mut passed = 0_usize;
    let mut last: Option<Vec<u8>> = None;
    while let Some((key, value)) = iterator.item() {
        // Not every iterator ends there by itself.
        if !key.starts_with(within.bytes()) {
            return Ok(Passed::All);
        }
        let (tuple, at) = keys::split_version(order, key)?;
        if let Some(last) = last.take_if(|last| last.as_slice() != tuple) {
            return Ok(Passed::Rows(last));
        }
        passed += 1;
        if passed >= rows && last.is_none() {
            last = Some(tuple.to_vec());
        }
        let target = if tuple == decided.as_slice() {
            // Older than the version that decided: on to the next tuple. No version has index 0.
            Revision::ZERO
        } else if at > revision {
            revision
        } else {
            if let Some(qualifiers) = record::decode_tuple(keys::place(order), value)?
                && visit(keys::decode_names(order, tuple)?, at, &qualifiers)?.is_break()
            {
                return Ok(Passed::Enough);
            }
            decided.clear();
            decided.extend_from_slice(tuple);
            steps = 0;
            iterator.next();
            continue;
        };
        steps += 1;
        if steps > STEPS_BEFORE_SEEK {
            let target = keys::versioned(tuple, target);
            steps = 0;
            iterator.seek(target);
        } else {
            iterator.next();
        }
    }
    Ok(match iterator.status() {
        Ok(()) => Passed::All,
        Err(error) => Passed::Stuck { behind: Some(decided).filter(|tuple| !tuple.is_empty()), error: engine(error) },
    })
}

/// What is told of each tuple, for a visitor of subjects.
pub(super) fn subject_rows(
    visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
) -> impl FnMut(Names<'_>, Revision, &Qualifiers) -> Result<ControlFlow<()>, StoreError> {
    move |names, _, qualifiers| {
        Ok(visit(SubjectRow {
            subject_type: names.subject_type,
            subject_id: names.subject_id,
            subject_relation: Some(names.subject_relation).filter(|name| !name.is_empty()),
            qualifiers,
        }))
    }
}

/// An iterator over any group of tuples: over that into which it was last put. It gives up at so many deletions in a row.
pub(super) fn iterate_groups(
    generation: &Generation,
    order: ScanOrder,
    patience: u64,
    reach: Reach,
) -> RawIterator<'_> {
    let mut options = ReadOptions::default();
    options.set_prefix_same_as_start(true);
    options.set_max_skippable_internal_keys(patience);
    if reach == Reach::Memory {
        options.set_read_tier(ReadTier::BlockCache);
    }
    generation.db().raw_iterator_cf_opt(generation.handle(Family::of_tuples(order)), options)
}

/// An iterator over what begins with `within`.
pub(super) fn iterate<'a>(
    generation: &'a Generation,
    family: Family,
    within: &Prefix,
    span: Span,
    reach: Reach,
) -> RawIterator<'a> {
    let mut options = ReadOptions::default();
    if reach == Reach::Memory {
        options.set_read_tier(ReadTier::BlockCache);
    }
    match span {
        Span::OneGroup => options.set_prefix_same_as_start(true),
        Span::Any => options.set_total_order_seek(true),
    }
    if let Some(end) = within.end() {
        options.set_iterate_upper_bound(end);
    }
    generation.db().raw_iterator_cf_opt(generation.handle(family), options)
}

/// The newest version of `key` at or below `revision`: one seek.
pub(super) fn newest(
    generation: &Generation,
    store: StoreId,
    key: &TupleKey,
    revision: Revision,
    reach: Reach,
) -> Result<Option<Qualifiers>, StoreError> {
    let order = ScanOrder::ByResource;
    let tuple = keys::tuple_prefix(store, order, Names::of(key));
    let mut iterator = iterate(generation, Family::TuplesByResource, &tuple, Span::OneGroup, reach);
    iterator.seek(keys::versioned(tuple.bytes(), revision));
    match iterator.value() {
        Some(value) => record::decode_tuple(keys::place(order), value),
        None => iterator.status().map_err(engine).map(|()| None),
    }
}

/// The newest version at or below `revision` of what a store has one of, read from its value.
pub(super) fn newest_version<T>(
    generation: &Generation,
    family: Family,
    store: StoreId,
    revision: Revision,
    read: impl FnOnce(Revision, &[u8]) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut iterator = iterate(generation, family, &Prefix::new(store), Span::Any, Reach::Disk);
    iterator.seek(keys::version_key(store, revision));
    match iterator.item() {
        Some((key, value)) => keys::decode_version_key(family.name(), key).and_then(|at| read(at, value)).map(Some),
        None => iterator.status().map_err(engine).map(|()| None),
    }
}

/// The counters at `revision`.
pub(super) fn newest_counters(
    generation: &Generation,
    store: StoreId,
    revision: Revision,
) -> Result<Vec<Counter>, StoreError> {
    let read = |_, value: &[u8]| codec::decode_counters(value);
    Ok(newest_version(generation, Family::Counters, store, revision, read)?.unwrap_or_default())
}

/// What is remembered of a request.
pub(super) fn remembered(
    generation: &Generation,
    store: StoreId,
    key: &IdempotencyKey,
) -> Result<Option<RequestRecord>, StoreError> {
    let family = generation.handle(Family::Requests);
    let value = generation.db().get_pinned_cf(family, keys::request_key(store, key)).map_err(engine)?;
    value.map(|value| record::decode_request(&value)).transpose()
}

/// The first request in their order at or above `from` of which `skip` does not say that it is to be left out.
pub(super) fn oldest_request(
    generation: &Generation,
    from: Revision,
    skip: impl Fn(StoreId, &IdempotencyKey) -> bool,
) -> Result<Option<(Revision, StoreId, IdempotencyKey)>, StoreError> {
    let mut iterator = generation.db().raw_iterator_cf(generation.handle(Family::RequestOrder));
    iterator.seek(keys::request_order_start(from));
    while let Some(key) = iterator.key() {
        let (at, store, key) = keys::decode_request_order_key(key)?;
        if !skip(store, &key) {
            return Ok(Some((at, store, key)));
        }
        iterator.next();
    }
    iterator.status().map_err(engine).map(|()| None)
}

impl ReadView for RocksView {
    fn revision(&self) -> Revision {
        self.pin.revision()
    }

    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        newest(&self.generation, self.store, key, self.pin.revision(), Reach::Disk)
    }

    fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.reader_of(Reach::Disk).subjects(resource, relation, visit)
    }

    fn subjects_of_type(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        subject_type: &TypeName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.reader_of(Reach::Disk).subjects_of_type(resource, relation, subject_type, visit)
    }

    fn reader(&self, reach: Reach) -> Option<Box<dyn ReadView + '_>> {
        Some(Box::new(self.reader_of(reach)))
    }

    fn scan_some(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<Option<TupleKey>, StoreError> {
        self.reader_of(Reach::Disk).scan_some(filter, after, rows, visit)
    }

    fn scan_if_few(
        &self,
        filter: &TupleFilter,
        rows: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        self.reader_of(Reach::Disk).scan_if_few(filter, rows, visit)
    }

    fn schema(&self) -> Result<Option<StoredSchema>, StoreError> {
        newest_version(&self.generation, Family::Schemas, self.store, self.pin.revision(), |revision, value| {
            Ok(StoredSchema { revision, text: record::decode_schema(value)?.into() })
        })
    }

    fn schema_revision(&self) -> Result<Option<Revision>, StoreError> {
        let (newest, at) = (self.generation.newest_schema(self.store)?, self.pin.revision());
        if newest.is_none_or(|newest| newest <= at) {
            return Ok(newest);
        }
        newest_version(&self.generation, Family::Schemas, self.store, at, |revision, _| Ok(revision))
    }

    fn counters(&self) -> Result<Vec<Counter>, StoreError> {
        newest_counters(&self.generation, self.store, self.pin.revision())
    }

    fn request(&self, key: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        let found = remembered(&self.generation, self.store, key)?;
        Ok(found.filter(|record| record.at <= self.pin.revision()))
    }
}

/// The longest prefix that all keys in `order` share which `filter` can match.
pub(super) fn narrowest(store: StoreId, order: ScanOrder, filter: &TupleFilter) -> (Prefix, Span) {
    let (mut prefix, mut count) = (Prefix::new(store), 0);
    for part in order.fixed(filter) {
        prefix = prefix.name(part);
        count += 1;
    }
    if let (ScanOrder::ByResource, 1, Some(beginning)) = (order, count, &filter.resource_id_prefix) {
        prefix = prefix.beginning(beginning);
    }
    let span = if keys::has_group(prefix.bytes()) { Span::OneGroup } else { Span::Any };
    (prefix, span)
}

/// What of [`TupleFilter::matches`] is about names, on borrowed ones, so that a row that does not match costs no allocation.
pub(super) fn matches(filter: &TupleFilter, names: Names<'_>) -> bool {
    let is = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
    let subject_fits = filter.subject.as_ref().is_none_or(|subject| {
        let relation_fits = match &subject.relation {
            SubjectRelationFilter::Any => true,
            SubjectRelationFilter::Direct => names.subject_relation.is_empty(),
            SubjectRelationFilter::Concrete => {
                names.subject_relation.is_empty() && names.subject_id != crate::model::ObjectId::WILDCARD
            }
            SubjectRelationFilter::Relation(wanted) => wanted.as_str() == names.subject_relation,
        };
        subject.subject_type.as_str() == names.subject_type
            && is(subject.subject_id.as_ref().map(|id| id.as_str()), names.subject_id)
            && relation_fits
    });
    is(filter.resource_type.as_ref().map(|name| name.as_str()), names.resource_type)
        && is(filter.resource_id.as_ref().map(|id| id.as_str()), names.resource_id)
        && filter.resource_id_prefix.as_ref().is_none_or(|prefix| names.resource_id.starts_with(prefix.as_str()))
        && is(filter.relation.as_ref().map(|name| name.as_str()), names.relation)
        && subject_fits
}
