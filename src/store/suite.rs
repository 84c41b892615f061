//! What every store must do, as cases generic over [`StateStore`]: written once, run on each implementation.
//!
//! Each case gets an empty store.

use std::ops::ControlFlow;

use crate::model::{
    Error, ErrorCode, ObjectId, ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectFilter, SubjectRef,
    SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName, UpdateKind,
};

use super::{ChangeRecord, MemoryStore, MetaKey, ReadView, StateBatch, StateStore, StoreError, StoredSchema, TupleRow};

const STORE: StoreId = StoreId::DEFAULT;

/// A case: a name for the report, and what it does with an empty store.
type Case<S> = (&'static str, fn(&S));

/// Runs every case on a store of its own. `make` also returns what must outlive the store, such as its folder.
pub(super) fn conforms<S: StateStore, G>(make: impl Fn() -> (S, G)) {
    let cases: &[Case<S>] = &[
        ("an empty store answers", empty_store),
        ("the newest version wins", newest_version_wins),
        ("a later write of one revision replaces", last_write_of_a_revision_wins),
        ("stores are apart", stores_are_apart),
        ("names do not run together", names_do_not_run_together),
        ("subjects come in order", subjects_in_order),
        ("scans follow the filter", scans_follow_the_filter),
        ("scans resume", scans_resume),
        ("schemas are versions", schemas_are_versions),
        ("changes come in order", changes_in_order),
        ("revisions are bounded", revisions_are_bounded),
        ("a batch reads itself", batch_reads_itself),
        ("an abandoned batch leaves nothing", abandoned_batch),
        ("meta is replaced", meta_is_replaced),
        ("visitors may stop and ask again", visitors_stop_and_ask_again),
        ("many versions of one tuple", many_versions),
        ("qualifiers are kept", qualifiers_are_kept),
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
    rows
}

fn texts(rows: &[TupleRow]) -> Vec<String> {
    rows.iter().map(|row| row.tuple.key.to_string()).collect()
}

pub(super) fn all(view: &dyn ReadView) -> Vec<String> {
    texts(&scan(view, &TupleFilter::default(), None))
}

pub(super) fn subjects(view: &dyn ReadView, resource: &str, relation: &str) -> Vec<(String, Qualifiers)> {
    let mut found = Vec::new();
    let relation = RelationName::new(relation).unwrap();
    let visit = &mut |row: super::SubjectRow<'_>| {
        let relation = row.subject_relation.map(|r| format!("#{r}")).unwrap_or_default();
        found.push((format!("{}:{}{relation}", row.subject_type, row.subject_id), row.qualifiers.clone()));
        ControlFlow::Continue(())
    };
    view.subjects(&object(resource), &relation, visit).unwrap();
    found
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

fn empty_store<S: StateStore>(store: &S) {
    assert_eq!(store.applied(), Revision::ZERO);
    let view = store.view(STORE, Revision::ZERO).unwrap();
    assert_eq!(view.revision(), Revision::ZERO);
    assert_eq!(view.lookup(&key("doc:a#viewer@user:x")).unwrap(), None);
    assert!(all(&*view).is_empty());
    assert!(subjects(&*view, "doc:a", "viewer").is_empty());
    assert_eq!(view.schema().unwrap(), None);
    assert!(changes(store, STORE, 0, 0).is_empty());
    assert_eq!(store.meta(MetaKey::Applied).unwrap(), None);
}

fn newest_version_wins<S: StateStore>(store: &S) {
    let tuple = "doc:a#viewer@user:x";
    write(store, 3, &[tuple]);
    write(store, 5, &["-doc:a#viewer@user:x"]);
    write(store, 8, &[tuple]);
    write(store, 9, &[]);
    assert_eq!(store.applied(), rev(9));
    for (at, written_at) in
        [(0, None), (2, None), (3, Some(3)), (4, Some(3)), (5, None), (7, None), (8, Some(8)), (9, Some(8))]
    {
        let view = store.view(STORE, rev(at)).unwrap();
        assert_eq!(view.lookup(&key(tuple)).unwrap().is_some(), written_at.is_some(), "lookup at {at}");
        assert_eq!(subjects(&*view, "doc:a", "viewer").len(), usize::from(written_at.is_some()), "subjects at {at}");
        let found = scan(&*view, &TupleFilter::default(), None).first().map(|row| row.written_at.index());
        assert_eq!(found, written_at, "scan at {at}");
    }
}

fn last_write_of_a_revision_wins<S: StateStore>(store: &S) {
    write(store, 1, &["doc:a#viewer@user:x", "-doc:a#viewer@user:x", "-doc:b#viewer@user:x", "doc:b#viewer@user:x"]);
    assert_eq!(all(&*store.view(STORE, rev(1)).unwrap()), ["doc:b#viewer@user:x"]);
}

fn stores_are_apart<S: StateStore>(store: &S) {
    let (low, high) = (StoreId::new(7), StoreId::new(8));
    let mut batch = store.batch();
    for (tenant, text) in [(low, "doc:a#viewer@user:x"), (high, "doc:a#viewer@user:y")] {
        batch.put(tenant, rev(1), &Tuple::unqualified(key(text))).unwrap();
        batch.put_schema(tenant, rev(1), text).unwrap();
        batch.put_change(tenant, rev(1), &change(u128::from(tenant.get()), &[text])).unwrap();
    }
    assert_eq!(batch.lookup(low, &key("doc:a#viewer@user:y")).unwrap(), None);
    assert_eq!(batch.schema_revision(StoreId::new(9)).unwrap(), None);
    batch.commit(rev(1)).unwrap();

    for (tenant, text) in [(low, "doc:a#viewer@user:x"), (high, "doc:a#viewer@user:y")] {
        let view = store.view(tenant, rev(1)).unwrap();
        assert_eq!(all(&*view), [text]);
        let by_subject = TupleFilter { subject: Some(user_subjects()), ..TupleFilter::default() };
        assert_eq!(texts(&scan(&*view, &by_subject, None)), [text]);
        assert_eq!(&*view.schema().unwrap().unwrap().text, text);
        assert_eq!(changes(store, tenant, 0, 1), [(1, change(u128::from(tenant.get()), &[text]))]);
    }
    assert!(all(&*store.view(StoreId::new(u32::MAX), rev(1)).unwrap()).is_empty());
}

fn user_subjects() -> SubjectFilter {
    SubjectFilter {
        subject_type: TypeName::new("user").unwrap(),
        subject_id: None,
        relation: SubjectRelationFilter::Any,
    }
}

fn names_do_not_run_together<S: StateStore>(store: &S) {
    // Each is a prefix of its neighbour in some part, which an encoding without separators would confuse.
    let tuples = [
        "doc:a#viewer@user:x",
        "doc:aa#viewer@user:x",
        "docu:a#viewer@user:x",
        "doc:a#view@user:x",
        "doc:a#viewer@user:xx",
        "doc:a#viewer@user:x#mem",
        "doc:a#viewer@user:x#member",
        "doc:a#viewer@use:rx",
    ];
    write(store, 1, &tuples);
    let view = store.view(STORE, rev(1)).unwrap();
    assert_eq!(all(&*view).len(), tuples.len());
    let found: Vec<_> = subjects(&*view, "doc:a", "viewer").into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(found, ["use:rx", "user:x", "user:x#mem", "user:x#member", "user:xx"]);
    assert_eq!(subjects(&*view, "doc:aa", "viewer").len(), 1);
    assert!(subjects(&*view, "doc:a", "vie").is_empty());
    for gone in tuples {
        assert!(view.lookup(&key(gone)).unwrap().is_some(), "{gone}");
    }
    assert_eq!(view.lookup(&key("doc:a#viewer@user:xxx")).unwrap(), None);
}

fn subjects_in_order<S: StateStore>(store: &S) {
    write(
        store,
        1,
        &["doc:a#viewer@user:b", "doc:a#viewer@group:z#member", "doc:a#viewer@user:*", "doc:a#viewer@user:B"],
    );
    write(store, 2, &["doc:a#viewer@user:a", "-doc:a#viewer@user:b", "doc:a#editor@user:q"]);
    let names = |at| -> Vec<String> {
        let view = store.view(STORE, rev(at)).unwrap();
        subjects(&*view, "doc:a", "viewer").into_iter().map(|(subject, _)| subject).collect()
    };
    assert_eq!(names(1), ["group:z#member", "user:*", "user:B", "user:b"]);
    assert_eq!(names(2), ["group:z#member", "user:*", "user:B", "user:a"]);
}

const SCANNED: [&str; 8] = [
    "doc:a#editor@user:y",
    "doc:a#viewer@group:g",
    "doc:a#viewer@group:g#member",
    "doc:a#viewer@user:x",
    "doc:ab#viewer@user:x",
    "doc:b#viewer@user:*",
    "folder:a#viewer@group:g#member",
    "folder:a#viewer@user:x",
];

fn scans_follow_the_filter<S: StateStore>(store: &S) {
    write(store, 1, &SCANNED);
    let view = store.view(STORE, rev(1)).unwrap();
    let doc = || Some(TypeName::new("doc").unwrap());
    let viewer = || Some(RelationName::new("viewer").unwrap());
    let group = |relation| {
        let (subject_type, subject_id) = (TypeName::new("group").unwrap(), Some(ObjectId::new("g").unwrap()));
        Some(SubjectFilter { subject_type, subject_id, relation })
    };
    let user = |id: &str| Some(SubjectFilter { subject_id: Some(ObjectId::new(id).unwrap()), ..user_subjects() });
    let open = TupleFilter::default;
    let member = || SubjectRelationFilter::Relation(RelationName::new("member").unwrap());
    let cases: Vec<(TupleFilter, &[usize])> = vec![
        (open(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (TupleFilter { resource_type: doc(), ..open() }, &[0, 1, 2, 3, 4, 5]),
        (TupleFilter { resource_id: Some(ObjectId::new("a").unwrap()), ..open() }, &[0, 1, 2, 3, 6, 7]),
        (TupleFilter { resource_type: doc(), resource_id: Some(ObjectId::new("a").unwrap()), ..open() }, &[0, 1, 2, 3]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some("a".into()), ..open() }, &[0, 1, 2, 3, 4]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some("a\0".into()), ..open() }, &[]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some(String::new()), ..open() }, &[0, 1, 2, 3, 4, 5]),
        (TupleFilter { resource_id_prefix: Some("b".into()), ..open() }, &[5]),
        (TupleFilter { relation: viewer(), ..open() }, &[1, 2, 3, 4, 5, 6, 7]),
        (TupleFilter { resource_type: doc(), relation: viewer(), subject: user("x"), ..open() }, &[3, 4]),
        (
            TupleFilter {
                resource_type: doc(),
                resource_id: Some(ObjectId::new("a").unwrap()),
                relation: viewer(),
                subject: group(SubjectRelationFilter::Direct),
                ..open()
            },
            &[1],
        ),
        // From here on by subject: subject type, id, relation, then resource type, relation, id.
        (TupleFilter { subject: group(SubjectRelationFilter::Any), ..open() }, &[1, 2, 6]),
        (TupleFilter { subject: group(SubjectRelationFilter::Direct), ..open() }, &[1]),
        (TupleFilter { subject: group(member()), ..open() }, &[2, 6]),
        (TupleFilter { subject: Some(user_subjects()), ..open() }, &[5, 3, 4, 7, 0]),
        (TupleFilter { subject: user("x"), ..open() }, &[3, 4, 7]),
        (TupleFilter { subject: user("*"), ..open() }, &[5]),
        (TupleFilter { subject: user("y"), relation: viewer(), ..open() }, &[]),
        (TupleFilter { subject: user("x"), resource_id_prefix: Some("a".into()), ..open() }, &[3, 4, 7]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<&str> = expected.iter().map(|i| SCANNED[*i]).collect();
        assert_eq!(texts(&scan(&*view, &filter, None)), expected, "{filter:?}");
    }
}

fn scans_resume<S: StateStore>(store: &S) {
    write(store, 1, &SCANNED);
    write(store, 2, &["-doc:a#viewer@user:x", "doc:aa#viewer@user:x"]);
    let view = store.view(STORE, rev(2)).unwrap();
    let by_subject = TupleFilter { subject: Some(user_subjects()), ..TupleFilter::default() };
    let in_doc_a = TupleFilter {
        resource_type: Some(TypeName::new("doc").unwrap()),
        resource_id: Some(ObjectId::new("a").unwrap()),
        ..TupleFilter::default()
    };
    for filter in [TupleFilter::default(), by_subject, in_doc_a.clone()] {
        let whole = scan(&*view, &filter, None);
        for (i, row) in whole.iter().enumerate() {
            let rest = scan(&*view, &filter, Some(&row.tuple.key));
            assert_eq!(rest, whole[i + 1..], "{filter:?} after {}", row.tuple.key);
        }
    }
    // A cursor need not name a tuple that exists, nor one that the filter matches.
    let after = |text: &str| texts(&scan(&*view, &in_doc_a, Some(&key(text))));
    assert_eq!(after("doc:a#viewer@group:g#member"), Vec::<String>::new());
    assert_eq!(after("doc:a#viewer@group:f"), ["doc:a#viewer@group:g", "doc:a#viewer@group:g#member"]);
    assert_eq!(after("doc:Z#viewer@user:x").len(), 3);
    assert_eq!(after("zzz:a#viewer@user:x"), Vec::<String>::new());
}

fn schemas_are_versions<S: StateStore>(store: &S) {
    for (at, text) in [(2, "first"), (5, "second")] {
        let mut batch = store.batch();
        batch.put_schema(STORE, rev(at), text).unwrap();
        assert_eq!(batch.schema_revision(STORE).unwrap(), Some(rev(at)));
        batch.commit(rev(at)).unwrap();
    }
    let schema = |at| store.view(STORE, rev(at)).unwrap().schema().unwrap();
    let stored = |at, text: &str| Some(StoredSchema { revision: rev(at), text: text.into() });
    assert_eq!(schema(1), None);
    assert_eq!([schema(2), schema(4), schema(5)], [stored(2, "first"), stored(2, "first"), stored(5, "second")]);
    assert_eq!(store.batch().schema_revision(STORE).unwrap(), Some(rev(5)));
}

fn changes_in_order<S: StateStore>(store: &S) {
    for at in [1, 2, 4] {
        let mut batch = store.batch();
        batch.put_change(STORE, rev(at), &change(at.into(), &["doc:a#viewer@user:x", "doc:b#viewer@user:x"])).unwrap();
        batch.commit(rev(at)).unwrap();
    }
    store.batch().commit(rev(6)).unwrap();
    let at = |after, through| -> Vec<u64> { changes(store, STORE, after, through).iter().map(|(at, _)| *at).collect() };
    assert_eq!(at(0, 6), [1, 2, 4]);
    assert_eq!(at(1, 4), [2, 4]);
    assert_eq!(at(1, 3), [2]);
    assert_eq!(at(4, 6), Vec::<u64>::new());
    assert_eq!(at(4, 2), Vec::<u64>::new());
    assert_eq!(changes(store, STORE, 3, 4), [(4, change(4, &["doc:a#viewer@user:x", "doc:b#viewer@user:x"]))]);
}

fn revisions_are_bounded<S: StateStore>(store: &S) {
    write(store, 4, &["doc:a#viewer@user:x"]);
    let above = |result: Result<(), StoreError>| match result {
        Err(StoreError::NotApplied { asked, applied }) => (asked, applied) == (rev(5), rev(4)),
        Ok(()) | Err(_) => false,
    };
    assert!(above(store.view(STORE, rev(5)).map(|_| ())));
    assert!(above(store.changes(STORE, rev(0), rev(5), &mut |_, _| ControlFlow::Continue(()))));
    assert!(above(store.changes(STORE, rev(5), rev(4), &mut |_, _| ControlFlow::Continue(()))));
    let error: Error = store.view(STORE, rev(5)).map(|_| ()).unwrap_err().into();
    assert_eq!(error.code, ErrorCode::Unavailable);
}

fn batch_reads_itself<S: StateStore>(store: &S) {
    write(store, 1, &["doc:a#viewer@user:x", "doc:b#viewer@user:x"]);
    let mut batch = store.batch();
    assert!(batch.lookup(STORE, &key("doc:a#viewer@user:x")).unwrap().is_some());
    batch.delete(STORE, rev(2), &key("doc:a#viewer@user:x")).unwrap();
    put(&mut batch, 2, &["doc:c#viewer@user:x"]);
    assert_eq!(batch.lookup(STORE, &key("doc:a#viewer@user:x")).unwrap(), None);
    assert!(batch.lookup(STORE, &key("doc:b#viewer@user:x")).unwrap().is_some());
    assert!(batch.lookup(STORE, &key("doc:c#viewer@user:x")).unwrap().is_some());
    put(&mut batch, 3, &["doc:a#viewer@user:x"]);
    assert!(batch.lookup(STORE, &key("doc:a#viewer@user:x")).unwrap().is_some());
    // Until the commit nobody else sees any of it.
    assert_eq!(store.applied(), rev(1));
    assert_eq!(all(&*store.view(STORE, rev(1)).unwrap()).len(), 2);
    batch.commit(rev(4)).unwrap();
    // One batch may hold several revisions, and each can be read by itself.
    let at = |at| all(&*store.view(STORE, rev(at)).unwrap());
    assert_eq!(at(1), ["doc:a#viewer@user:x", "doc:b#viewer@user:x"]);
    assert_eq!(at(2), ["doc:b#viewer@user:x", "doc:c#viewer@user:x"]);
    assert_eq!(at(3), ["doc:a#viewer@user:x", "doc:b#viewer@user:x", "doc:c#viewer@user:x"]);
    assert_eq!(at(4), at(3));
}

fn abandoned_batch<S: StateStore>(store: &S) {
    let mut batch = store.batch();
    put(&mut batch, 1, &["doc:a#viewer@user:x"]);
    batch.put_meta(MetaKey::Applied, b"never").unwrap();
    drop(batch);
    assert_eq!(store.applied(), Revision::ZERO);
    assert_eq!(store.meta(MetaKey::Applied).unwrap(), None);
    let mut batch = store.batch();
    assert_eq!(batch.lookup(STORE, &key("doc:a#viewer@user:x")).unwrap(), None);
    batch.commit(rev(1)).unwrap();
    assert!(all(&*store.view(STORE, rev(1)).unwrap()).is_empty());
}

fn meta_is_replaced<S: StateStore>(store: &S) {
    for (i, value) in [b"one".as_slice(), b"", b"three"].into_iter().enumerate() {
        let mut batch = store.batch();
        batch.put_meta(MetaKey::Cluster, value).unwrap();
        batch.commit(rev(i as u64)).unwrap();
        assert_eq!(store.meta(MetaKey::Cluster).unwrap().as_deref(), Some(value));
        assert_eq!(store.meta(MetaKey::Identity).unwrap(), None);
    }
}

fn visitors_stop_and_ask_again<S: StateStore>(store: &S) {
    write(store, 1, &SCANNED);
    let view = store.view(STORE, rev(1)).unwrap();
    let mut seen = 0;
    let stop = |seen: &mut usize| {
        *seen += 1;
        // A visitor of an evaluator looks further while it is being called.
        assert_eq!(all(&*view).len(), SCANNED.len());
        ControlFlow::Break(())
    };
    view.scan(&TupleFilter::default(), None, &mut |_| stop(&mut seen)).unwrap();
    view.subjects(&object("doc:a"), &RelationName::new("viewer").unwrap(), &mut |_| stop(&mut seen)).unwrap();
    assert_eq!(seen, 2);

    // A view outlives later writes without noticing them.
    let before = all(&*view);
    write(store, 2, &["-doc:a#editor@user:y", "doc:c#viewer@user:x"]);
    assert_eq!(all(&*view), before);
}

fn many_versions<S: StateStore>(store: &S) {
    // More versions than an iterator would step over one by one, with neighbours on both sides.
    write(store, 1, &["doc:a#viewer@user:a", "doc:a#viewer@user:c"]);
    for at in 2..=60 {
        write(store, at, &[if at % 2 == 0 { "doc:a#viewer@user:b" } else { "-doc:a#viewer@user:b" }]);
    }
    for at in 1..=60 {
        let view = store.view(STORE, rev(at)).unwrap();
        let live = at % 2 == 0;
        assert_eq!(subjects(&*view, "doc:a", "viewer").len(), 2 + usize::from(live), "at {at}");
        let rows = scan(&*view, &TupleFilter::default(), None);
        assert_eq!(rows.len(), 2 + usize::from(live), "at {at}");
        assert!(!live || rows[1].written_at == rev(at), "at {at}");
        assert_eq!(view.lookup(&key("doc:a#viewer@user:b")).unwrap().is_some(), live, "at {at}");
    }
}

fn qualifiers_are_kept<S: StateStore>(store: &S) {
    let caveat = |context: &str| crate::model::CaveatUse { name: "limited".into(), context_json: context.into() };
    let cases = [
        Qualifiers::default(),
        Qualifiers { caveat: Some(caveat("{\"a\":1}")), expires_at: None },
        Qualifiers { caveat: None, expires_at: Some(TimestampMs(u64::MAX)) },
        Qualifiers { caveat: Some(caveat("")), expires_at: Some(TimestampMs(0)) },
    ];
    for (i, qualifiers) in cases.into_iter().enumerate() {
        let at = rev(i as u64 + 1);
        let tuple = Tuple { key: key("doc:a#viewer@user:x"), qualifiers };
        let mut batch = store.batch();
        batch.put(STORE, at, &tuple).unwrap();
        assert_eq!(batch.lookup(STORE, &tuple.key).unwrap().as_ref(), Some(&tuple.qualifiers));
        batch.commit(at).unwrap();
        let view = store.view(STORE, at).unwrap();
        assert_eq!(view.lookup(&tuple.key).unwrap().as_ref(), Some(&tuple.qualifiers));
        assert_eq!(subjects(&*view, "doc:a", "viewer"), [("user:x".to_owned(), tuple.qualifiers.clone())]);
        assert_eq!(scan(&*view, &TupleFilter::default(), None), [TupleRow { tuple, written_at: at }]);
    }
}
