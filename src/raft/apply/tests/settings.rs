//! What is replicated beside tuples and schemas: counters, floors, node ids, the watermark, the cluster's time.

use super::*;

pub(super) fn count(name: &str, documents: Option<u8>) -> CommandBody {
    let name = CounterName::new(name).unwrap();
    CommandBody::ChangeCounter(ChangeCounter { store: STORE, name, filter: documents.map(on_document), request: None })
}

#[test]
fn counters_are_registered_once_and_up_to_a_bound() {
    let (exists, unknown) = (Outcome::Refused(Refusal::CounterExists), Outcome::Refused(Refusal::UnknownCounter));
    let found = outcomes(vec![
        count("second", Some(1)),
        count("first", Some(2)),
        count("second", Some(3)),
        count("third", None),
        count("second", None),
        count("second", None),
        count("second", Some(3)),
    ]);
    assert_eq!(found, [Outcome::Done, Outcome::Done, exists, unknown.clone(), Outcome::Done, unknown, Outcome::Done]);

    let store = Arc::new(MemoryStore::new());
    let names: Vec<_> = (0..=limits::COUNTERS_PER_STORE).map(|n| format!("counter_{n}")).collect();
    let log: Vec<_> = names.iter().zip(1..).map(|(name, index)| entry(index, count(name, Some(1)))).collect();
    let outcomes = outcomes_of(apply(&store, &log, 64));
    assert!(outcomes[..limits::COUNTERS_PER_STORE].iter().all(|outcome| *outcome == Outcome::Done));
    let limit = limits::COUNTERS_PER_STORE as u64;
    assert_eq!(outcomes.last(), Some(&Outcome::Refused(Refusal::TooManyCounters { limit })));
    let view = store.view(STORE, Revision::new(2)).unwrap();
    assert_eq!(view.counters().unwrap().len(), 2, "what was at an earlier revision stays readable");
}

pub(super) fn floor(store: StoreId, replaces: u64, type_name: &str) -> CommandBody {
    let floors = [(TypeName::new(type_name).unwrap(), Floor::FullyConsistent)].into();
    CommandBody::SetFloors(SetFloors { store, replaces: Revision::new(replaces), floors })
}

#[test]
fn floors_replace_only_those_that_they_were_made_from() {
    let other = StoreId::new(7);
    let bodies = [
        floor(STORE, 0, "aaa"),
        floor(STORE, 0, "bbb"),
        floor(other, 0, "ccc"),
        floor(STORE, 1, "ddd"),
        floor(STORE, 1, "eee"),
    ];
    let changed = |current| Outcome::Refused(Refusal::FloorsChanged { current: Revision::new(current) });
    let expected = [Outcome::Done, changed(1), Outcome::Done, Outcome::Done, changed(4)];
    assert_eq!(outcomes(bodies.to_vec()), expected);

    let log: Vec<_> = bodies.into_iter().zip(1..).map(|(body, index)| entry(index, body)).collect();
    let (_dir, store) = rocks();
    let mut applier = Applier::open(Arc::clone(&store)).unwrap();
    applier.apply(&log).unwrap();
    let of = |store| {
        let floors = applier.floors().of(store);
        (floors.version.index(), floors.by_type.keys().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!((of(STORE), of(other)), ((4, vec!["ddd".to_owned()]), (3, vec!["ccc".to_owned()])));
    assert_eq!(of(StoreId::new(9)), (0, vec![]));
    let again = Applier::open(store).unwrap();
    assert_eq!(again.floors(), applier.floors(), "the store has what is in memory");
}

#[test]
fn node_ids_are_never_handed_out_twice() {
    let admit = || CommandBody::AdmitNode(NodeAddress::default());
    let outcomes = outcomes(vec![admit(), admit(), admit()]);
    assert_eq!(outcomes, [2, 3, 4].map(|node_id| Outcome::Admitted { node_id }));
}

pub(super) fn watermark(oldest: u64) -> CommandBody {
    CommandBody::AdvanceWatermark { oldest: Revision::new(oldest) }
}

#[test]
fn a_watermark_only_rises_and_leaves_the_state_before_it() {
    let store = Arc::new(MemoryStore::new());
    let mut applier = Applier::open(Arc::clone(&store)).unwrap();
    let mut oldest = Vec::new();
    for (index, asked) in [(1, 0), (2, 9), (3, 1), (4, u64::MAX), (5, 4), (6, 2)] {
        let applied = applier.apply(&[entry(index, watermark(asked))]).unwrap();
        assert_eq!(applied, [Applied::first(Revision::new(index), Outcome::Done)]);
        oldest.push(store.oldest().index());
    }
    assert_eq!(oldest, [0, 1, 1, 3, 4, 4]);
}

/// A node that collects applies what comes like one that does not: with the watermark where it is, nothing that apply reads
/// is ever touched.
#[test]
fn collection_is_no_part_of_apply() {
    use UpdateKind::{Create, Delete, Touch};
    let must = |kind, document| Precondition { kind, filter: on_document(document) };
    let mut bodies = vec![schema(None, vec![])];
    for _ in 0..8 {
        bodies.push(write(1, vec![], vec![(Touch, key(1, 1)), (Delete, key(1, 2)), (Create, key(3, 3))]));
        bodies.push(watermark(u64::MAX));
        bodies.push(write(
            1,
            vec![must(PreconditionKind::MustMatch, 1)],
            vec![(Delete, key(1, 1)), (Touch, key(1, 2))],
        ));
        bodies.push(delete(3, 5, false));
    }
    let log: Vec<_> = bodies.into_iter().zip(1..).map(|(body, index)| entry(index, body)).collect();
    let memory = Arc::new(MemoryStore::new());
    let expected = apply(&memory, &log, 3);
    let (_dir, durable) = rocks();
    let (mut applier, mut collector) =
        (Applier::open(Arc::clone(&durable)).unwrap(), Collector::new(Arc::clone(&durable)));
    let mut outcomes = Vec::new();
    for entry in &log {
        outcomes.extend(applier.apply(std::slice::from_ref(entry)).unwrap());
        while collector.step().unwrap() {}
    }
    assert_eq!(outcomes, expected);
    assert_eq!(dump(&*memory), dump(&*durable));
    assert!(!durable.changed_within(Revision::ZERO, durable.oldest()).unwrap(), "it was collected");
}

#[test]
fn cluster_time_never_goes_back() {
    let store = Arc::new(MemoryStore::new());
    let mut applier = Applier::open(store).unwrap();
    let mut last = AppliedState::default().cluster_time;
    for index in 1..20 {
        applier.apply(&[entry(index, schema(None, vec![]))]).unwrap();
        assert!(applier.state().cluster_time >= last);
        last = applier.state().cluster_time;
    }
}
