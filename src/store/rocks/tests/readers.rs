//! Readers that keep an iterator: what they do where it does not suffice.

use std::ops::ControlFlow;
use std::sync::Arc;

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use super::super::{Collector, RocksStore, StoreOptions};
use super::{flush, fresh, open, options};
use crate::model::{RelationName, Tuple};
use crate::store::suite::{STORE, key, object, rev, subjects, write};
use crate::store::{Reach, ReadView, StateBatch, StateStore, StoreError, SubjectRow};

/// More deletions in a row than any reader passes over.
const GONE: usize = 300;

fn tuple(user: &str) -> String {
    format!("doc:a#viewer@user:{user}")
}

/// Live tuples at both ends of a group, and what was collected between them.
fn with_a_gap(store: &Arc<RocksStore>) {
    let gone: Vec<String> = (0..GONE).map(|n| tuple(&format!("m{n:03}"))).collect();
    let live = [tuple("a"), tuple("z"), "doc:b#viewer@user:a".to_owned()];
    write(&**store, 1, &gone.iter().chain(&live).map(String::as_str).collect::<Vec<_>>());
    let deleted: Vec<String> = gone.iter().map(|text| format!("-{text}")).collect();
    write(&**store, 2, &deleted.iter().map(String::as_str).collect::<Vec<_>>());
    let mut batch = store.batch();
    batch.expire_below(rev(2));
    batch.commit(rev(3)).unwrap();
    let mut collector = Collector::new(Arc::clone(store));
    while collector.step().unwrap() {}
}

#[test]
fn a_reader_gets_past_what_was_collected() {
    let (store, _dir) = fresh();
    let store = Arc::new(store);
    with_a_gap(&store);
    let view = store.view(STORE, rev(3)).unwrap();
    let reader = view.reader(Reach::Disk).expect("it keeps an iterator");
    for (user, is_there) in [("a", true), ("b", false), ("m000", false), ("m150", false), ("z", true), ("zz", false)] {
        assert_eq!(reader.lookup(&key(&tuple(user))).unwrap().is_some(), is_there, "{user}");
    }
    let names: Vec<String> = subjects(&*reader, "doc:a", "viewer").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["user:a", "user:z"]);
    assert!(subjects(&*reader, "doc:a", "view").is_empty());
    assert_eq!(subjects(&*reader, "doc:b", "viewer").len(), 1);
    let mut batch = store.batch();
    let keys = [key(&tuple("z")), key(&tuple("m150"))];
    batch.fetch(&mut keys.iter().map(|key| (STORE, key))).unwrap();
    assert!(batch.lookup(STORE, &keys[0]).unwrap().is_some());
    assert!(batch.lookup(STORE, &keys[1]).unwrap().is_none());
}

#[test]
fn a_visitor_may_ask_its_reader_for_more() {
    let (store, _dir) = fresh();
    write(&store, 1, &["doc:a#viewer@user:a", "doc:a#viewer@user:b", "doc:b#viewer@user:c"]);
    let view = store.view(STORE, rev(1)).unwrap();
    let reader = view.reader(Reach::Disk).expect("it keeps an iterator");
    let mut seen = 0;
    let viewer = RelationName::new("viewer").unwrap();
    let visit = &mut |_: SubjectRow<'_>| {
        seen += subjects(&*reader, "doc:b", "viewer").len();
        ControlFlow::Continue(())
    };
    reader.subjects(&object("doc:a"), &viewer, visit).unwrap();
    assert_eq!(seen, 2);
}

/// What is read to find one tuple among many does not grow with the file that it is in, though next to nothing fits the cache.
#[test]
fn a_look_up_reads_a_few_blocks() {
    const TUPLES: u32 = 60_000;
    const LOOK_UPS: u32 = 100;
    /// Of data, of the index, and of the filter.
    const MOST_BYTES: u64 = 24 << 10;
    let dir = tempfile::tempdir().unwrap();
    let tight = StoreOptions { block_cache_bytes: 64 << 10, write_buffer_bytes: 64 << 20, ..options() };
    let store = RocksStore::open(dir.path(), tight).unwrap();
    let tuple = |number: u32| key(&format!("doc:{number:08}#viewer@user:{}", number % 1000));
    let mut batch = store.batch();
    for number in 0..TUPLES {
        batch.put(STORE, rev(1), &Tuple::unqualified(tuple(number))).unwrap();
    }
    batch.commit(rev(1)).unwrap();
    flush(&store);
    let view = store.view(STORE, rev(1)).unwrap();
    let reader = view.reader(Reach::Disk).expect("it keeps an iterator");
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut counted = PerfContext::default();
    counted.reset();
    for number in 0..LOOK_UPS {
        // Far from the one before, here and there one that is not there.
        let number = number * 7919 % TUPLES + if number % 10 == 0 { TUPLES } else { 0 };
        assert_eq!(reader.lookup(&tuple(number)).unwrap().is_some(), number < TUPLES, "{number}");
    }
    let read = counted.metric(PerfMetric::BlockReadByte) / u64::from(LOOK_UPS);
    set_perf_stats(PerfStatsLevel::Disable);
    assert!((1..=MOST_BYTES).contains(&read), "{read} bytes for each");
}

/// What is on disk alone is no answer, and no denial either.
#[test]
fn what_is_not_in_memory_is_not_said_to_be_absent() {
    let (store, dir) = fresh();
    let text = "doc:a#viewer@user:a";
    write(&store, 1, &[text]);
    flush(&store);
    drop(store);
    let store = open(dir.path());
    let view = store.view(STORE, rev(1)).unwrap();
    let in_memory = view.reader(Reach::Memory).expect("it keeps an iterator");
    let viewer = RelationName::new("viewer").unwrap();
    let all = |reader: &dyn ReadView| {
        let mut count = 0;
        let visit = &mut |_: SubjectRow<'_>| {
            count += 1;
            ControlFlow::Continue(())
        };
        reader.subjects(&object("doc:a"), &viewer, visit).map(|()| count)
    };
    assert!(matches!(in_memory.lookup(&key(text)), Err(StoreError::NotInMemory)));
    assert!(matches!(all(&*in_memory), Err(StoreError::NotInMemory)));
    // Somebody who may wait brings it in.
    assert!(view.lookup(&key(text)).unwrap().is_some());
    assert!(in_memory.lookup(&key(text)).unwrap().is_some());
    assert_eq!(all(&*in_memory).unwrap(), 1);
}
