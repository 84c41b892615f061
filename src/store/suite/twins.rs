//! Random histories for two stores that must not differ: what is written, and everything that can be asked about it.

use proptest::prelude::*;

use super::{change, changes, counter, key, put, request, rev, scan, subjects, subjects_of_type};
use crate::model::{
    IdempotencyKey, ObjectId, RelationName, Revision, StoreId, SubjectFilter, SubjectRelationFilter, Tuple,
    TupleFilter, TypeName,
};
use crate::store::{MetaKey, Reach, ReadView, RequestRecord, StateBatch, StateStore, StoreError};

pub(super) const TENANTS: [StoreId; 2] = [StoreId::DEFAULT, StoreId::new(0xff)];

/// One write, and how far the revision moves before it.
#[derive(Debug, Clone)]
pub(in crate::store) struct Step {
    forward: u64,
    tenant: StoreId,
    write: Write,
}

#[derive(Debug, Clone)]
enum Write {
    Put(usize),
    Delete(usize),
    Schema(u8),
    Counters(u8),
    Change(u8),
    Meta(u8),
    Request(u8),
    Forget(u8),
}

/// Keys of requests in a history.
const REQUESTS: u8 = 6;

/// Tuples that are close to one another in every part.
pub(super) fn universe() -> Vec<String> {
    let subjects = ["user:a", "user:*", "group:a", "group:a#mem", "group:ab#member", "group:b"];
    let mut tuples = Vec::new();
    for resource in ["doc:a", "doc:ab", "doc:b", "docs:a"] {
        for relation in ["view", "viewer"] {
            tuples.extend(subjects.iter().map(|subject| format!("{resource}#{relation}@{subject}")));
        }
    }
    tuples
}

fn step() -> impl Strategy<Value = Step> {
    let tuples = universe().len();
    let write = prop_oneof![
        6 => (0..tuples).prop_map(Write::Put),
        4 => (0..tuples).prop_map(Write::Delete),
        1 => any::<u8>().prop_map(Write::Schema),
        1 => (0..3u8).prop_map(Write::Counters),
        2 => any::<u8>().prop_map(Write::Change),
        1 => any::<u8>().prop_map(Write::Meta),
        3 => (0..REQUESTS).prop_map(Write::Request),
        2 => (0..REQUESTS).prop_map(Write::Forget),
    ];
    (0u64..3, 0..TENANTS.len(), write).prop_map(|(forward, tenant, write)| Step {
        forward,
        tenant: TENANTS[tenant],
        write,
    })
}

/// A history: batches, each of some writes.
pub(in crate::store) fn history() -> impl Strategy<Value = Vec<Vec<Step>>> {
    proptest::collection::vec(proptest::collection::vec(step(), 0..14), 1..7)
}

/// Writes one batch of a history. What was the oldest remembered request on the way.
pub(in crate::store) fn apply<S: StateStore>(
    store: &S,
    steps: &[Step],
) -> Vec<Option<(StoreId, IdempotencyKey, RequestRecord)>> {
    let mut remembered = Vec::new();
    let universe = universe();
    let base = store.applied();
    let mut batch = store.batch();
    let mut at = rev(base.index() + 1);
    for step in steps {
        at = rev(at.index() + step.forward);
        let tuple = |i: usize| Tuple::unqualified(key(&universe[i]));
        match &step.write {
            Write::Put(i) => batch.put(step.tenant, at, &tuple(*i)).unwrap(),
            Write::Delete(i) => batch.delete(step.tenant, at, &tuple(*i).key).unwrap(),
            Write::Schema(n) => batch.put_schema(step.tenant, at, &format!("schema {n}")).unwrap(),
            Write::Counters(n) => {
                let counters: Vec<_> = (0..*n).map(|n| counter(&format!("counter_{n}"))).collect();
                batch.put_counters(step.tenant, at, &counters).unwrap();
                assert_eq!(batch.counters(step.tenant).unwrap(), counters);
            }
            Write::Change(n) => {
                batch.put_change(step.tenant, at, &change((*n).into(), &[&universe[usize::from(*n) % 7]])).unwrap();
            }
            Write::Meta(n) => batch.put_meta(MetaKey::Applied, &[*n]).unwrap(),
            Write::Request(n) => {
                let (key, record) = request(*n, at.index());
                batch.put_request(step.tenant, &key, &record).unwrap();
                assert_eq!(batch.request(step.tenant, &key).unwrap(), Some(record));
            }
            Write::Forget(n) => {
                let (key, _) = request(*n, 0);
                batch.forget_request(step.tenant, &key).unwrap();
                assert_eq!(batch.request(step.tenant, &key).unwrap(), None);
            }
        }
        remembered.push(batch.oldest_request(base).unwrap());
    }
    batch.commit(at).unwrap();
    remembered
}

/// Every shape that a filter can take.
fn filters() -> Vec<TupleFilter> {
    let subject = |id: Option<&str>, relation| {
        let subject_id = id.map(|id| ObjectId::new(id).unwrap());
        Some(SubjectFilter { subject_type: TypeName::new("group").unwrap(), subject_id, relation })
    };
    let mem = || SubjectRelationFilter::Relation(RelationName::new("mem").unwrap());
    let subject_filters = [
        None,
        subject(None, SubjectRelationFilter::Any),
        subject(Some("a"), SubjectRelationFilter::Any),
        subject(Some("a"), SubjectRelationFilter::Direct),
        subject(Some("a"), mem()),
        subject(None, mem()),
    ];
    let mut filters = Vec::new();
    for resource_type in [None, Some("doc")] {
        for (id, prefix) in [(None, None), (Some("a"), None), (None, Some("a")), (None, Some(""))] {
            for relation in [None, Some("view")] {
                for subject in &subject_filters {
                    filters.push(TupleFilter {
                        traits: None,
                        resource_type: resource_type.map(|name| TypeName::new(name).unwrap()),
                        resource_id: id.map(|id| ObjectId::new(id).unwrap()),
                        resource_id_prefix: prefix.map(str::to_owned),
                        relation: relation.map(|name| RelationName::new(name).unwrap()),
                        subject: subject.clone(),
                    });
                }
            }
        }
    }
    filters
}

/// Everything that two stores can be asked about is the same.
pub(in crate::store) fn assert_agree<A: StateStore, B: StateStore>(model: &A, store: &B) {
    assert_eq!((model.applied(), model.oldest()), (store.applied(), store.oldest()));
    for meta in [MetaKey::Applied, MetaKey::Identity, MetaKey::Cluster, MetaKey::Floors, MetaKey::Settings] {
        assert_eq!(model.meta(meta).unwrap(), store.meta(meta).unwrap(), "{meta:?}");
    }
    let (oldest, applied) = (model.oldest().index(), model.applied().index());
    for tenant in TENANTS {
        for at in oldest..=applied {
            let (expected, found) = (model.view(tenant, rev(at)).unwrap(), store.view(tenant, rev(at)).unwrap());
            assert_views_agree(&*expected, &*found);
            assert_eq!(changes(model, tenant, oldest, at), changes(store, tenant, oldest, at));
            assert_eq!(changes(model, tenant, at, applied), changes(store, tenant, at, applied));
        }
        let latest = (model.view(tenant, rev(applied)).unwrap(), store.view(tenant, rev(applied)).unwrap());
        assert_scans_resume_alike(&*latest.0, &*latest.1);
    }
    assert_batches_agree(model, store);
}

fn assert_views_agree(expected: &dyn ReadView, found: &dyn ReadView) {
    assert_eq!(expected.revision(), found.revision());
    let at = expected.revision();
    assert_eq!(expected.schema().unwrap(), found.schema().unwrap(), "schema at {at}");
    assert_eq!(expected.schema_revision().unwrap(), found.schema_revision().unwrap(), "schema at {at}");
    assert_eq!(expected.counters().unwrap(), found.counters().unwrap(), "counters at {at}");
    for (key, _) in (0..REQUESTS).map(|n| request(n, 0)) {
        assert_eq!(expected.request(&key).unwrap(), found.request(&key).unwrap(), "request {key} at {at}");
    }
    for tuple in universe() {
        let key = key(&tuple);
        assert_eq!(expected.lookup(&key).unwrap(), found.lookup(&key).unwrap(), "{tuple} at {at}");
        let (resource, relation) = (key.resource.to_string(), key.relation.as_str());
        assert_eq!(subjects(expected, &resource, relation), subjects(found, &resource, relation), "{tuple} at {at}");
    }
    for filter in filters() {
        assert_eq!(scan(expected, &filter, None), scan(found, &filter, None), "{filter:?} at {at}");
    }
    assert_readers_agree(expected, found);
}

/// One reader that is asked everything, one thing after the other, says what the view says; one of what is in memory does, or
/// says nothing.
fn assert_readers_agree(expected: &dyn ReadView, view: &dyn ReadView) {
    let (all, in_memory) = (view.reader(Reach::Disk), view.reader(Reach::Memory));
    let (all, in_memory) = (all.as_deref().unwrap_or(view), in_memory.as_deref().unwrap_or(view));
    for tuple in universe() {
        let key = key(&tuple);
        let found = expected.lookup(&key).unwrap();
        assert_eq!(all.lookup(&key).unwrap(), found, "{tuple}");
        match in_memory.lookup(&key) {
            Err(StoreError::NotInMemory) => {}
            answer => assert_eq!(answer.unwrap(), found, "{tuple}"),
        }
        let (resource, relation) = (key.resource.to_string(), key.relation.as_str());
        let mut found = subjects(expected, &resource, relation);
        assert_eq!(subjects(all, &resource, relation), found, "{tuple}");
        let subject_type = &key.subject.object.object_type;
        found.retain(|(subject, _)| subject.split_once(':').is_some_and(|(name, _)| name == subject_type.as_str()));
        assert_eq!(subjects_of_type(all, &resource, relation, subject_type), found, "{tuple}");
    }
}

/// After every tuple of the result, and after tuples that are not in it.
fn assert_scans_resume_alike(expected: &dyn ReadView, found: &dyn ReadView) {
    for filter in filters() {
        let whole = scan(expected, &filter, None);
        for (i, row) in whole.iter().enumerate() {
            assert_eq!(scan(found, &filter, Some(&row.tuple.key)), whole[i + 1..], "{filter:?}");
        }
        for cursor in universe().iter().step_by(7).map(|tuple| key(tuple)) {
            let rest = scan(expected, &filter, Some(&cursor));
            assert_eq!(scan(found, &filter, Some(&cursor)), rest, "{filter:?} after {cursor}");
        }
    }
}

fn assert_batches_agree<A: StateStore, B: StateStore>(model: &A, store: &B) {
    let (mut expected, mut found) = (model.batch(), store.batch());
    let some: Vec<_> = universe().iter().step_by(3).map(|tuple| key(tuple)).collect();
    found.fetch(&mut TENANTS.into_iter().flat_map(|tenant| some.iter().map(move |key| (tenant, key)))).unwrap();
    for from in 0..=model.applied().index() {
        assert_eq!(expected.oldest_request(rev(from)).unwrap(), found.oldest_request(rev(from)).unwrap(), "{from}");
    }
    for tenant in TENANTS {
        assert_eq!(expected.schema_revision(tenant).unwrap(), found.schema_revision(tenant).unwrap());
        assert_eq!(expected.counters(tenant).unwrap(), found.counters(tenant).unwrap());
        for tuple in universe() {
            let key = key(&tuple);
            assert_eq!(expected.lookup(tenant, &key).unwrap(), found.lookup(tenant, &key).unwrap(), "{tuple}");
        }
    }
}

/// A history of known content, for tests that need some data: revisions 1 to `batches`.
pub(in crate::store) fn write_sample<S: StateStore>(store: &S, batches: u64) {
    let universe = universe();
    for at in store.applied().index() + 1..=batches {
        let mut batch = store.batch();
        let tuple = &universe[at as usize % universe.len()];
        put(&mut batch, at, &[tuple]);
        let gone = key(&universe[(at as usize * 7 + 3) % universe.len()]);
        batch.delete(StoreId::DEFAULT, rev(at), &gone).unwrap();
        batch.put_schema(StoreId::DEFAULT, rev(at), &format!("schema {at}")).unwrap();
        batch.put_counters(StoreId::DEFAULT, rev(at), &[counter(&format!("counter_{at}"))]).unwrap();
        batch.put_change(StoreId::DEFAULT, rev(at), &change(at.into(), &[tuple])).unwrap();
        let (key, record) = request((at % u64::from(REQUESTS)) as u8, at);
        batch.put_request(StoreId::DEFAULT, &key, &record).unwrap();
        batch.put_meta(MetaKey::Applied, &at.to_be_bytes()).unwrap();
        batch.commit(Revision::new(at)).unwrap();
    }
}
