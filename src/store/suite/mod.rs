//! What every store must do, as cases generic over [`StateStore`]: written once, run on each implementation.
//!
//! Each case gets an empty store.

pub(super) mod histories;
mod scans;
pub(super) mod twins;
mod views;
mod writes;

use std::ops::ControlFlow;

use crate::model::{
    Counter, CounterName, IdempotencyKey, ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectFilter,
    SubjectRef, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName, UpdateKind,
};

use super::{ChangeRecord, MemoryStore, ReadView, RequestRecord, StateBatch, StateStore, SubjectRow, TupleRow};

pub(super) const STORE: StoreId = StoreId::DEFAULT;

/// A case: a name for the report, and what it does with an empty store.
type Case<S> = (&'static str, fn(&S));

/// Runs every case on a store of its own. `make` also returns what must outlive the store, such as its folder.
pub(super) fn conforms<S: StateStore, G>(make: impl Fn() -> (S, G)) {
    let cases: &[Case<S>] = &[
        ("an empty store answers", views::empty_store),
        ("the newest version wins", views::newest_version_wins),
        ("a later write of one revision replaces", views::last_write_of_a_revision_wins),
        ("stores are apart", views::stores_are_apart),
        ("names do not run together", views::names_do_not_run_together),
        ("subjects come in order", views::subjects_in_order),
        ("scans follow the filter", scans::scans_follow_the_filter),
        ("scans resume", scans::scans_resume),
        ("schemas are versions", writes::schemas_are_versions),
        ("changes come in order", writes::changes_in_order),
        ("revisions are bounded", writes::revisions_are_bounded),
        ("history expires", writes::history_expires),
        ("a batch reads itself", writes::batch_reads_itself),
        ("an abandoned batch leaves nothing", writes::abandoned_batch),
        ("meta is replaced", writes::meta_is_replaced),
        ("requests are remembered until they are forgotten", writes::requests_are_remembered),
        ("visitors may stop and ask again", views::visitors_stop_and_ask_again),
        ("many versions of one tuple", views::many_versions),
        ("qualifiers are kept", views::qualifiers_are_kept),
    ];
    for (name, case) in cases {
        eprintln!("case: {name}");
        let (store, guard) = make();
        case(&store);
        drop(store);
        drop(guard);
    }
}

#[test]
fn the_memory_store_conforms() {
    conforms(|| (MemoryStore::new(), ()));
}

/// Two writers at once are a bug of the caller.
pub(super) fn refuses_two_batches<S: StateStore>(store: &S) {
    let _first = store.batch();
    let _second = store.batch();
}

/// Nothing would be left to read.
pub(super) fn refuses_to_expire_the_latest<S: StateStore>(store: &S) {
    let mut batch = store.batch();
    batch.expire_below(rev(6));
    batch.commit(rev(5)).unwrap();
}

/// A write where views may already look is a bug of the caller.
pub(super) fn refuses_to_rewrite_history<S: StateStore>(store: &S) {
    store.batch().commit(rev(5)).unwrap();
    let _ = store.batch().delete(STORE, rev(5), &key("doc:a#viewer@user:x"));
}

#[test]
#[should_panic(expected = "a second writer")]
fn the_memory_store_refuses_two_batches() {
    refuses_two_batches(&MemoryStore::new());
}

#[test]
#[should_panic(expected = "nothing below 6 is kept")]
fn the_memory_store_refuses_to_expire_the_latest() {
    refuses_to_expire_the_latest(&MemoryStore::new());
}

#[test]
#[should_panic(expected = "views may already show")]
fn the_memory_store_refuses_to_rewrite_history() {
    refuses_to_rewrite_history(&MemoryStore::new());
}

/// Parses `doc:1#viewer@user:a` and `doc:1#viewer@group:g#member`.
pub(super) fn key(text: &str) -> TupleKey {
    let (resource, subject) = text.split_once('@').expect("a subject");
    let (resource, relation) = resource.split_once('#').expect("a relation");
    let (subject, subject_relation) = subject.split_once('#').unwrap_or((subject, ""));
    let (subject_type, subject_id) = subject.split_once(':').expect("type:id");
    TupleKey {
        resource: object(resource),
        relation: RelationName::new(relation).unwrap(),
        subject: SubjectRef::new(subject_type, subject_id, subject_relation).unwrap(),
    }
}

pub(super) fn object(text: &str) -> ObjectRef {
    let (object_type, id) = text.split_once(':').expect("type:id");
    ObjectRef::new(object_type, id).unwrap()
}

pub(super) fn rev(index: u64) -> Revision {
    Revision::new(index)
}

pub(super) fn put<B: StateBatch>(batch: &mut B, at: u64, texts: &[&str]) {
    for text in texts {
        batch.put(STORE, rev(at), &Tuple::unqualified(key(text))).unwrap();
    }
}

/// Writes and commits at one revision; a text that begins with `-` is a delete.
pub(super) fn write<S: StateStore>(store: &S, at: u64, texts: &[&str]) {
    let mut batch = store.batch();
    for text in texts {
        match text.strip_prefix('-') {
            Some(gone) => batch.delete(STORE, rev(at), &key(gone)).unwrap(),
            None => put(&mut batch, at, &[text]),
        }
    }
    batch.commit(rev(at)).unwrap();
}

pub(super) fn scan(view: &dyn ReadView, filter: &TupleFilter, after: Option<&TupleKey>) -> Vec<TupleRow> {
    let mut rows = Vec::new();
    let visit = &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    view.scan(filter, after, visit).unwrap();
    // Each piece begins anew, so that many of them take long.
    if rows.len() <= 20 {
        let most = 1 + rows.len() % 5;
        assert_eq!(scan_in_pieces(view, filter, after, most), rows, "in pieces of {most}");
    }
    rows
}

fn scan_in_pieces(view: &dyn ReadView, filter: &TupleFilter, after: Option<&TupleKey>, most: usize) -> Vec<TupleRow> {
    let mut rows = Vec::new();
    let mut after = after.cloned();
    loop {
        let visit = &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        };
        let before = after.take();
        after = view.scan_some(filter, before.as_ref(), most, visit).unwrap();
        assert!(after.is_none() || after != before, "a piece gets on");
        if after.is_none() {
            return rows;
        }
    }
}

fn texts(rows: &[TupleRow]) -> Vec<String> {
    rows.iter().map(|row| row.tuple.key.to_string()).collect()
}

pub(super) fn all(view: &dyn ReadView) -> Vec<String> {
    texts(&scan(view, &TupleFilter::default(), None))
}

pub(super) fn subjects(view: &dyn ReadView, resource: &str, relation: &str) -> Vec<(String, Qualifiers)> {
    let (mut found, relation) = (Vec::new(), RelationName::new(relation).unwrap());
    view.subjects(&object(resource), &relation, &mut |row| note_subject(&mut found, row)).unwrap();
    found
}

pub(super) fn subjects_of_type(
    view: &dyn ReadView,
    resource: &str,
    relation: &str,
    subject_type: &TypeName,
) -> Vec<(String, Qualifiers)> {
    let (mut found, relation) = (Vec::new(), RelationName::new(relation).unwrap());
    let visit = &mut |row: SubjectRow<'_>| note_subject(&mut found, row);
    view.subjects_of_type(&object(resource), &relation, subject_type, visit).unwrap();
    found
}

fn note_subject(found: &mut Vec<(String, Qualifiers)>, row: SubjectRow<'_>) -> ControlFlow<()> {
    let relation = row.subject_relation.map(|r| format!("#{r}")).unwrap_or_default();
    found.push((format!("{}:{}{relation}", row.subject_type, row.subject_id), row.qualifiers.clone()));
    ControlFlow::Continue(())
}

pub(super) fn changes<S: StateStore>(store: &S, tenant: StoreId, after: u64, through: u64) -> Vec<(u64, ChangeRecord)> {
    let mut found = Vec::new();
    let visit = &mut |at: Revision, change| {
        found.push((at.index(), change));
        ControlFlow::Continue(())
    };
    store.changes(tenant, rev(after), rev(through), visit).unwrap();
    found
}

pub(super) fn change(op_id: u128, texts: &[&str]) -> ChangeRecord {
    let update = |text: &&str| TupleUpdate { kind: UpdateKind::Touch, tuple: Tuple::unqualified(key(text)) };
    let updates = texts.iter().map(update).collect();
    ChangeRecord { op_id, updates, schema_changed: op_id % 2 == 1, metadata_json: format!("{{\"op\":{op_id}}}") }
}

pub(super) fn counter(name: &str) -> Counter {
    let filter = TupleFilter { subject: Some(user_subjects()), ..TupleFilter::default() };
    Counter { name: CounterName::new(name).unwrap(), filter }
}

/// The key of number `n`, and what is remembered of a request that took effect at `at`.
pub(super) fn request(n: u8, at: u64) -> (IdempotencyKey, RequestRecord) {
    let record =
        RequestRecord { at: rev(at), time: TimestampMs(1000 * at), digest: [n; 32], outcome: vec![n; usize::from(n)] };
    (IdempotencyKey::new(&format!("request {n}")).unwrap(), record)
}

pub(super) fn user_subjects() -> SubjectFilter {
    SubjectFilter {
        subject_type: TypeName::new("user").unwrap(),
        subject_id: None,
        relation: SubjectRelationFilter::Any,
    }
}
