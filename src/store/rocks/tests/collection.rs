//! Collection of history: it changes no answer, leaves nothing that it could take, stands crashes and readers, and gives
//! space back.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rocksdb::WaitForCompactOptions;

use super::super::keys;
use super::super::record;
use super::{Family, RocksStore, bytes_of, copy_tree, crashes, flush, fresh, open, options};
use crate::model::{Qualifiers, Revision, StoreId, TimestampMs, Tuple, TupleFilter, TupleUpdate, UpdateKind};
use crate::store::rocks::{Collector, StoreOptions};
use crate::store::suite::histories::{Entry, entries, sample_entry, write_entry};
use crate::store::suite::twins::assert_agree;
use crate::store::suite::{STORE, all, changes, key, rev, scan};
use crate::store::{
    ChangeRecord, CheckpointStore, MemoryStore, ReadView, ScanOrder, StateBatch, StateStore, StoreError,
};

/// Collects until there is nothing left to do.
fn collect(collector: &mut Collector) {
    let mut steps = 0;
    while collector.step().unwrap() {
        steps += 1;
        assert!(steps < 100_000, "a collection ends");
    }
}

/// The model after `entries` of the sample history.
fn model(entries: u64) -> MemoryStore {
    let model = MemoryStore::new();
    (1..=entries).for_each(|n| write_entry(&model, &sample_entry(n)));
    model
}

fn write_sample(store: &RocksStore, through: u64) {
    (store.applied().index() + 1..=through).for_each(|n| write_entry(store, &sample_entry(n)));
}

/// What is left is needed: of each tuple, schema and set of counters one version at or below the oldest readable revision at
/// the most, and no tombstone there; no change at or below it.
fn assert_nothing_to_collect(store: &RocksStore) {
    let (generation, oldest) = (store.generation(), store.oldest());
    let mut orders = Vec::new();
    for order in [ScanOrder::ByResource, ScanOrder::BySubject] {
        let family = generation.handle(Family::of_tuples(order));
        let (mut kept, mut found) = (None, Vec::new());
        for (key, value) in generation.db().iterator_cf(family, rocksdb::IteratorMode::Start).map(Result::unwrap) {
            let (tuple, at) = keys::split_version(order, &key).unwrap();
            let names = keys::decode_names(order, tuple).unwrap().to_key(order).unwrap();
            found.push((tuple[..4].to_vec(), names, at));
            if at <= oldest {
                assert_ne!(kept.as_deref(), Some(tuple), "two versions at or below {oldest}");
                assert!(record::decode_tuple("test", &value).unwrap().is_some(), "a tombstone at {at}, below {oldest}");
                kept = Some(tuple.to_vec());
            }
        }
        found.sort();
        orders.push(found);
    }
    assert_eq!(orders[0], orders[1], "both orders hold the same versions");
    for family in [Family::Schemas, Family::Counters] {
        let mut kept = None;
        for (key, _) in
            generation.db().iterator_cf(generation.handle(family), rocksdb::IteratorMode::Start).map(Result::unwrap)
        {
            let (tenant, at) = keys::split_version_key("test", &key).unwrap();
            assert!(at > oldest || kept != Some(tenant), "two {} at or below {oldest}", family.name());
            kept = if at <= oldest { Some(tenant) } else { kept };
        }
    }
    assert!(!store.changed_within(Revision::ZERO, oldest).unwrap(), "changes at or below {oldest}");
}

#[derive(Debug, Clone)]
enum Move {
    Write(Entry),
    Collect,
    Step,
    Flush,
    Reopen,
    /// Takes a view of the oldest revision, or gives up the one taken last.
    Look(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let between = prop_oneof![
        4 => Just(None),
        2 => Just(Some(Move::Collect)),
        2 => Just(Some(Move::Step)),
        1 => Just(Some(Move::Flush)),
        1 => Just(Some(Move::Reopen)),
        2 => any::<bool>().prop_map(|take| Some(Move::Look(take))),
    ];
    entries().prop_flat_map(move |entries| {
        let count = entries.len();
        (Just(entries), proptest::collection::vec(between.clone(), count)).prop_map(|(entries, between)| {
            let pairs = entries.into_iter().zip(between);
            pairs.flat_map(|(entry, between)| [Some(Move::Write(entry)), between]).flatten().collect()
        })
    })
}

/// A view beside the one of the model that it must always be like.
type Pair = (Arc<dyn ReadView>, Arc<dyn ReadView>);

fn assert_pair((expected, found): &Pair) {
    assert_eq!(scan(&**expected, &TupleFilter::default(), None), scan(&**found, &TupleFilter::default(), None));
    assert_eq!(expected.schema().unwrap(), found.schema().unwrap());
    assert_eq!(expected.counters().unwrap(), found.counters().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 300, ..ProptestConfig::default() })]

    /// Whatever was collected, a store answers at every readable revision like its twin that keeps everything, and so do the
    /// views that were there before.
    #[test]
    fn collection_changes_no_answer(moves in moves()) {
        let model = MemoryStore::new();
        let (store, dir) = fresh();
        let mut store = Arc::new(store);
        let mut collector = Collector::new(Arc::clone(&store));
        let mut pairs: Vec<Pair> = Vec::new();
        for step in moves {
            match step {
                Move::Write(entry) => {
                    write_entry(&model, &entry);
                    write_entry(&*store, &entry);
                }
                Move::Collect => collect(&mut collector),
                Move::Step => drop(collector.step().unwrap()),
                Move::Flush => flush(&store),
                Move::Reopen => {
                    drop((collector, store));
                    pairs.clear();
                    store = Arc::new(open(dir.path()));
                    collector = Collector::new(Arc::clone(&store));
                }
                Move::Look(true) => {
                    let at = store.oldest();
                    pairs.push((model.view(STORE, at).unwrap(), store.view(STORE, at).unwrap()));
                }
                Move::Look(false) => drop(pairs.pop()),
            }
            pairs.iter().for_each(assert_pair);
        }
        assert_agree(&model, &*store);
        pairs.clear();
        collect(&mut collector);
        assert_agree(&model, &*store);
        assert_nothing_to_collect(&store);
        flush(&store);
        assert_agree(&model, &*store);
    }
}

#[test]
fn a_killed_process_goes_on_with_its_collection() {
    let (store, dir) = fresh();
    write_sample(&store, 120);
    let (expected, store) = (model(120), Arc::new(store));
    let mut collector = Collector::new(Arc::clone(&store));
    let mut images = 0;
    loop {
        let more = collector.step().unwrap();
        // The folder as the next process finds it.
        let image = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), image.path());
        let found = Arc::new(open(image.path()));
        assert_agree(&expected, &*found);
        collect(&mut Collector::new(Arc::clone(&found)));
        assert_agree(&expected, &*found);
        assert_nothing_to_collect(&found);
        images += 1;
        if !more {
            assert_eq!(bytes_of(&found), bytes_of(&store));
            break;
        }
    }
    assert!(images > 5, "it took {images} steps");
}

/// Neither the deletions nor the oldest revision may come back alone, nor a tombstone go before what it hides.
#[test]
fn a_write_ahead_log_torn_in_a_collection_leaves_an_earlier_whole_state() {
    let (store, dir) = fresh();
    write_sample(&store, 35);
    flush(&store);
    write_sample(&store, 45);
    let store = Arc::new(store);
    collect(&mut Collector::new(Arc::clone(&store)));
    write_sample(&store, 48);
    let image = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), image.path());
    let log = crashes::logs(image.path()).pop().unwrap();
    let whole = std::fs::read(&log).unwrap();
    let mut sizes = std::collections::BTreeSet::new();
    for part in 0..=24 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(image.path(), copy.path());
        let torn = &whole[..whole.len() * part / 24];
        std::fs::write(copy.path().join("gen-000001").join(log.file_name().unwrap()), torn).unwrap();
        let found = Arc::new(open(copy.path()));
        assert_agree(&model(found.applied().index()), &*found);
        sizes.insert(bytes_of(&found).len());
        collect(&mut Collector::new(Arc::clone(&found)));
        assert_agree(&model(found.applied().index()), &*found);
        assert_nothing_to_collect(&found);
    }
    assert!(sizes.len() > 8, "{sizes:?}");
}

#[test]
fn a_power_cut_in_a_collection_leaves_an_earlier_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { manual_wal_flush: true, ..options() };
    let store = Arc::new(RocksStore::open(dir.path(), options).unwrap());
    let mut collector = Collector::new(Arc::clone(&store));
    for round in 1..=6 {
        write_sample(&store, round * 20);
        store.sync().unwrap();
        // Nothing of this is synced: it is lost, as a whole.
        collect(&mut collector);
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let found = open(copy.path());
        assert_eq!(found.applied().index(), round * 20);
        assert_agree(&model(round * 20), &found);
    }
}

/// A reader that was held up before its pin counted is judged by what was let go of meanwhile.
#[test]
fn a_reader_is_judged_after_it_pinned() {
    let (store, _dir) = fresh();
    (0..20).for_each(|n| write_entry(&store, &Entry::Tuples(STORE, vec![(n % 3, n % 2 == 0)])));
    let generation = store.generation();
    let pause = std::time::Duration::from_millis(300);
    std::thread::scope(|threads| {
        let stopped = generation.pins().stopped();
        let look = threads.spawn(|| store.view(STORE, rev(5)).map(drop));
        let list = threads.spawn(|| store.changes(STORE, rev(5), rev(9), &mut |_, _| ControlFlow::Continue(())));
        std::thread::sleep(pause);
        write_entry(&store, &Entry::Expire(3));
        drop(stopped);
        for reader in [look, list] {
            assert!(matches!(reader.join().unwrap(), Err(StoreError::Expired { .. })));
        }
    });
}

/// Reads again and again at the oldest revision until `stop`; how often that could be read.
fn read_the_oldest(store: &RocksStore, stop: &AtomicBool, read: impl Fn(Revision) -> Result<(), StoreError>) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Acquire) {
        match read(store.oldest()) {
            Ok(()) => count += 1,
            Err(StoreError::Expired { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    count
}

/// The oldest revision is read while it is moved on and what is below it is collected. One reader for each way of reading: a
/// second one would protect the first.
#[test]
fn a_reader_and_the_collector_never_cross() {
    let (store, _dir) = fresh();
    let store = Arc::new(store);
    let end = 1500;
    let entry = |n: u64| match n % 2 {
        0 => Entry::Tuples(STORE, vec![(0, n.is_multiple_of(4)), (1, n % 4 == 2), (2, n % 6 == 2)]),
        _ => Entry::Schema(STORE),
    };
    // What each revision shows does not depend on what was let go of.
    let model = MemoryStore::new();
    (1..=end).for_each(|n| write_entry(&model, &entry(n)));
    let look = |at| {
        let found = store.view(STORE, at)?;
        assert_pair(&(model.view(STORE, at).unwrap(), found));
        Ok(())
    };
    let list = |after: Revision| {
        let (applied, mut found) = (store.applied(), Vec::new());
        store.changes(STORE, after, applied, &mut |at, _| {
            found.push(at);
            ControlFlow::Continue(())
        })?;
        let expected = changes(&model, STORE, after.index(), applied.index());
        assert!(expected.iter().map(|(at, _)| rev(*at)).eq(found), "changes after {after}");
        Ok(())
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let looking = threads.spawn(|| read_the_oldest(&store, &stop, look));
        let listing = threads.spawn(|| read_the_oldest(&store, &stop, list));
        threads.spawn(|| {
            let mut collector = Collector::new(Arc::clone(&store));
            while !stop.load(Ordering::Acquire) {
                collect(&mut collector);
            }
        });
        for n in 1..=end {
            write_entry_and_expire(&store, &entry(n), rev(n));
        }
        stop.store(true, Ordering::Release);
        let read = (looking.join().unwrap(), listing.join().unwrap());
        assert!(read.0 > 10 && read.1 > 10, "{read:?}");
    });
}

/// As one entry of the log, and everything but the last two revisions with it.
fn write_entry_and_expire(store: &RocksStore, entry: &Entry, at: Revision) {
    write_entry(store, entry);
    let mut batch = store.batch();
    batch.expire_below(rev(at.index().saturating_sub(2)));
    batch.commit(at).unwrap();
}

#[test]
fn what_a_view_shows_waits_for_it() {
    let (store, _dir) = fresh();
    let (store, model) = (Arc::new(store), MemoryStore::new());
    let mut collector = Collector::new(Arc::clone(&store));
    for n in 1..=20 {
        write_entry(&*store, &Entry::Tuples(STORE, vec![(0, n % 2 == 0), (1, n % 2 == 1)]));
        write_entry(&model, &Entry::Tuples(STORE, vec![(0, n % 2 == 0), (1, n % 2 == 1)]));
    }
    let pair = (model.view(STORE, rev(5)).unwrap(), store.view(STORE, rev(5)).unwrap());
    write_entry(&*store, &Entry::Expire(3));
    collect(&mut collector);
    assert_pair(&pair);
    assert!(store.changed_within(rev(5), rev(18)).unwrap() && !store.changed_within(rev(0), rev(5)).unwrap());
    drop(pair);
    collect(&mut collector);
    assert!(!store.changed_within(rev(0), rev(18)).unwrap());
    assert_nothing_to_collect(&store);
}

#[test]
fn an_installed_checkpoint_brings_its_history_and_no_more() {
    let (source, _source_dir) = fresh();
    write_sample(&source, 100);
    let source = Arc::new(source);
    let mut half = Collector::new(Arc::clone(&source));
    (0..3).for_each(|_| assert!(half.step().unwrap(), "it is not done yet"));
    let sent = tempfile::tempdir().unwrap();
    let files = sent.path().join("checkpoint");
    source.checkpoint(&files).unwrap();

    // As far as the checkpoint, and collected further.
    let (store, _dir) = fresh();
    write_sample(&store, 100);
    let store = Arc::new(store);
    let mut collector = Collector::new(Arc::clone(&store));
    collect(&mut collector);
    let before = store.view(STORE, store.oldest()).unwrap();
    let shown = all(&*before);
    store.install(&files).unwrap();
    assert_agree(&model(100), &*store);
    // The same collector goes on in the new database, whatever it had done in the old one; the old view keeps the old one.
    collect(&mut collector);
    assert_agree(&model(100), &*store);
    assert_nothing_to_collect(&store);
    assert_eq!(all(&*before), shown);
}

/// Bytes of all table files in use.
fn table_bytes(store: &RocksStore) -> u64 {
    let generation = store.generation();
    let of = |family| generation.db().property_int_value_cf(generation.handle(family), "rocksdb.live-sst-files-size");
    Family::ALL.into_iter().map(|family| of(family).unwrap().unwrap_or(0)).sum()
}

/// Tuple `n`, each time with something else.
fn touched(n: u64, round: u64) -> TupleUpdate {
    let qualifiers = Qualifiers { caveat: None, expires_at: Some(TimestampMs(u64::MAX - round)) };
    let tuple = Tuple { key: key(&format!("doc:d{n}#viewer@user:u{n}")), qualifiers };
    TupleUpdate { kind: UpdateKind::Touch, tuple }
}

#[test]
fn collection_gives_space_back() {
    let write = |store: &RocksStore, rounds: u64| {
        for round in 0..rounds {
            let at = rev(store.applied().index() + 1);
            let mut batch = store.batch();
            let updates: Vec<_> = (0..2000).map(|n| touched(n, round)).collect();
            updates.iter().for_each(|update| batch.put(STORE, at, &update.tuple).unwrap());
            let change = ChangeRecord { op_id: 0, updates, schema_changed: false, metadata_json: String::new() };
            batch.put_change(STORE, at, &change).unwrap();
            batch.commit(at).unwrap();
        }
        // To the bottom, as with data that has been there for a while.
        flush(store);
        let generation = store.generation();
        let compact =
            |family| generation.db().compact_range_cf(generation.handle(family), None::<&[u8]>, None::<&[u8]>);
        Family::ALL.into_iter().for_each(compact);
    };
    // Nothing is flushed for want of room.
    let options = StoreOptions { write_buffer_bytes: 64 << 20, ..options() };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [small, store] = dirs.each_ref().map(|dir| RocksStore::open(dir.path(), options.clone()).unwrap());
    write(&small, 1);
    write(&store, 40);
    let store = Arc::new(store);
    let (needed, before) = (table_bytes(&small), table_bytes(&store));
    assert!(before > 8 * needed, "{before} bytes, {needed} for the newest state");
    write_entry(&*store, &Entry::Expire(1));
    collect(&mut Collector::new(Arc::clone(&store)));
    store.generation().db().wait_for_compact(&WaitForCompactOptions::default()).unwrap();
    let after = table_bytes(&store);
    eprintln!("{before} bytes of tables, after the collection {after}, for the newest state alone {needed}");
    assert!(after < 2 * needed, "{before} bytes, then {after}, and {needed} for the newest state");
    assert_nothing_to_collect(&store);
    assert_eq!(all(&*store.view(STORE, store.applied()).unwrap()).len(), 2000);
    assert!(all(&*store.view(StoreId::new(9), store.applied()).unwrap()).is_empty());
}

#[test]
fn many_flushes_leave_few_files() {
    const FLUSHES: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksStore::open(dir.path(), options()).unwrap());
    let mut collector = Collector::new(Arc::clone(&store));
    let files = |family: Family| {
        let of_family = |file: &rocksdb::LiveFile| file.column_family_name == family.name();
        store.generation().db().live_files().unwrap().iter().filter(|file| of_family(file)).count()
    };
    let mut most = 0;
    for n in 1..=FLUSHES {
        let mut batch = store.batch();
        let at = rev(n);
        let change = ChangeRecord {
            op_id: 0,
            updates: vec![touched(n, n)],
            schema_changed: false,
            metadata_json: String::new(),
        };
        batch.put_change(STORE, at, &change).unwrap();
        batch.commit(at).unwrap();
        flush(&store);
        store.generation().db().wait_for_compact(&WaitForCompactOptions::default()).unwrap();
        collect(&mut collector);
        most = most.max(files(Family::Changelog));
    }
    assert!(most <= 16, "{most} files of the changelog");
    assert_eq!(changes(&*store, STORE, 0, FLUSHES).len() as u64, FLUSHES);
}
