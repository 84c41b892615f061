//! Cases on what a view shows.

use std::ops::ControlFlow;

use crate::model::{CaveatUse, Qualifiers, RelationName, Revision, StoreId, TimestampMs, Tuple, TupleFilter};

use super::scans::SCANNED;
use super::{STORE, all, change, changes, key, object, rev, scan, subjects, texts, user_subjects, write};
use crate::store::{MetaKey, StateBatch, StateStore, TupleRow};

pub(super) fn empty_store<S: StateStore>(store: &S) {
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

pub(super) fn newest_version_wins<S: StateStore>(store: &S) {
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

pub(super) fn last_write_of_a_revision_wins<S: StateStore>(store: &S) {
    write(store, 1, &["doc:a#viewer@user:x", "-doc:a#viewer@user:x", "-doc:b#viewer@user:x", "doc:b#viewer@user:x"]);
    assert_eq!(all(&*store.view(STORE, rev(1)).unwrap()), ["doc:b#viewer@user:x"]);
}

pub(super) fn stores_are_apart<S: StateStore>(store: &S) {
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

pub(super) fn names_do_not_run_together<S: StateStore>(store: &S) {
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

pub(super) fn subjects_in_order<S: StateStore>(store: &S) {
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

pub(super) fn visitors_stop_and_ask_again<S: StateStore>(store: &S) {
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

pub(super) fn many_versions<S: StateStore>(store: &S) {
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

pub(super) fn qualifiers_are_kept<S: StateStore>(store: &S) {
    let caveat = |context: &str| CaveatUse { name: "limited".into(), context_json: context.into() };
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
