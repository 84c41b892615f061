//! Cases on batches, and on what is written beside tuples.

use std::ops::ControlFlow;

use crate::model::{Error, ErrorCode, Revision, StoreId};

use super::{STORE, all, change, changes, key, put, request, rev, write};
use crate::store::{MetaKey, RequestRecord, StateBatch, StateStore, StoreError, StoredSchema};

pub(super) fn schemas_are_versions<S: StateStore>(store: &S) {
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

pub(super) fn changes_in_order<S: StateStore>(store: &S) {
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

pub(super) fn revisions_are_bounded<S: StateStore>(store: &S) {
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

pub(super) fn history_expires<S: StateStore>(store: &S) {
    let tuple = "doc:a#viewer@user:x";
    for at in 1..=6 {
        write(store, at, &[if at % 2 == 1 { tuple } else { "-doc:a#viewer@user:x" }]);
    }
    let before = store.view(STORE, rev(3)).unwrap();
    let expire = |oldest, at| {
        let mut batch = store.batch();
        batch.expire_below(rev(oldest));
        batch.commit(rev(at)).unwrap();
    };
    assert_eq!(store.oldest(), Revision::ZERO);
    expire(5, 7);
    expire(2, 8);
    assert_eq!(store.oldest(), rev(5), "what is gone does not come back");
    let asked = |result: Result<(), StoreError>| match result {
        Err(error @ StoreError::Expired { .. }) => Error::from(error).code == ErrorCode::RevisionExpired,
        Ok(()) | Err(_) => false,
    };
    let mut nothing = |_, _| ControlFlow::Continue(());
    for at in 0..5 {
        assert!(asked(store.view(STORE, rev(at)).map(|_| ())), "a view at {at}");
        assert!(asked(store.changes(STORE, rev(at), rev(8), &mut nothing)), "changes after {at}");
    }
    for at in 5..=8 {
        assert_eq!(all(&*store.view(STORE, rev(at)).unwrap()).len(), usize::from(at == 5), "at {at}");
        store.changes(STORE, rev(at), rev(8), &mut nothing).unwrap();
    }
    assert_eq!(all(&*before), [tuple], "what is being read stays");
    // A batch that is given up lets go of nothing.
    let mut batch = store.batch();
    batch.expire_below(rev(8));
    drop(batch);
    assert_eq!(store.oldest(), rev(5));
}

pub(super) fn batch_reads_itself<S: StateStore>(store: &S) {
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

pub(super) fn abandoned_batch<S: StateStore>(store: &S) {
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

pub(super) fn meta_is_replaced<S: StateStore>(store: &S) {
    for (i, value) in [b"one".as_slice(), b"", b"three"].into_iter().enumerate() {
        let mut batch = store.batch();
        batch.put_meta(MetaKey::Cluster, value).unwrap();
        batch.commit(rev(i as u64)).unwrap();
        assert_eq!(store.meta(MetaKey::Cluster).unwrap().as_deref(), Some(value));
        assert_eq!(store.meta(MetaKey::Identity).unwrap(), None);
    }
}

pub(super) fn requests_are_remembered<S: StateStore>(store: &S) {
    const OTHER: StoreId = StoreId::new(2);
    let [(one, first), (two, second), (three, third)] = [request(1, 3), request(2, 4), request(3, 4)];
    let mut batch = store.batch();
    assert_eq!(batch.oldest_request(Revision::ZERO).unwrap(), None);
    batch.put_request(OTHER, &one, &first).unwrap();
    batch.put_request(STORE, &two, &second).unwrap();
    // Within the batch as after it.
    assert_eq!(batch.request(OTHER, &one).unwrap(), Some(first.clone()));
    assert_eq!(batch.request(STORE, &one).unwrap(), None);
    assert_eq!(batch.oldest_request(rev(3)).unwrap(), Some((OTHER, one.clone(), first.clone())));
    batch.commit(rev(5)).unwrap();

    let at = |tenant, at| store.view(tenant, rev(at)).unwrap();
    assert_eq!(at(OTHER, 2).request(&one).unwrap(), None, "its effect came later");
    assert_eq!(at(OTHER, 3).request(&one).unwrap(), Some(first.clone()));
    assert_eq!(at(STORE, 5).request(&one).unwrap(), None);
    let mut batch = store.batch();
    assert_eq!(batch.oldest_request(Revision::ZERO).unwrap(), Some((OTHER, one.clone(), first)));
    assert_eq!(batch.oldest_request(rev(4)).unwrap(), Some((STORE, two.clone(), second.clone())));
    batch.forget_request(OTHER, &one).unwrap();
    batch.forget_request(OTHER, &three).unwrap();
    assert_eq!(batch.request(OTHER, &one).unwrap(), None);
    assert_eq!(batch.oldest_request(Revision::ZERO).unwrap(), Some((STORE, two.clone(), second)));
    let again = RequestRecord { at: rev(7), ..third };
    batch.put_request(STORE, &two, &again).unwrap();
    assert_eq!(batch.oldest_request(Revision::ZERO).unwrap(), Some((STORE, two.clone(), again.clone())));
    batch.commit(rev(7)).unwrap();

    let mut batch = store.batch();
    assert_eq!(batch.oldest_request(Revision::ZERO).unwrap(), Some((STORE, two.clone(), again.clone())));
    assert_eq!(batch.oldest_request(rev(8)).unwrap(), None);
    assert_eq!(batch.request(STORE, &two).unwrap(), Some(again));
    assert_eq!(batch.request(OTHER, &one).unwrap(), None);
}
