//! What only the durable store must do. Here: that it is its twin on disk; in the modules: crashes, checkpoints, readers,
//! and the collection of history.

mod checkpoints;
mod collection;
mod crashes;
mod readers;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rocksdb::{FlushOptions, IteratorMode};
use tempfile::TempDir;

use super::options::Family;
use super::{RocksStore, StoreOptions};
use crate::model::TupleFilter;
use crate::store::suite::twins::{self, assert_agree, write_sample};
use crate::store::suite::{self, STORE, all, conforms, rev, scan, user_subjects, write};
use crate::store::{MemoryStore, MetaKey, StateBatch, StateStore};

fn options() -> StoreOptions {
    StoreOptions {
        block_cache_bytes: 4 << 20,
        write_buffer_bytes: 1 << 20,
        background_jobs: 2,
        manual_wal_flush: false,
    }
}

fn open(dir: &Path) -> RocksStore {
    RocksStore::open(dir, options()).unwrap()
}

fn fresh() -> (RocksStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(dir.path()), dir)
}

/// The model after the sample history of `batches` batches.
fn model(batches: u64) -> MemoryStore {
    let model = MemoryStore::new();
    write_sample(&model, batches);
    model
}

/// Moves everything from memory to table files, where the filters are.
fn flush(store: &RocksStore) {
    let generation = store.generation();
    let families = Family::ALL.map(|family| generation.handle(family));
    generation.db().flush_cfs_opt(&families, &FlushOptions::default()).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn generations(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("gen-"));
    names.sort();
    names
}

/// The latest state only: comparing hundreds of revisions takes too long.
fn assert_agree_at_the_end(model: &MemoryStore, store: &RocksStore) {
    let at = model.applied();
    let views = (model.view(STORE, at).unwrap(), store.view(STORE, at).unwrap());
    assert_eq!(all(&*views.0), all(&*views.1));
    let by_subject = TupleFilter { subject: Some(user_subjects()), ..TupleFilter::default() };
    assert_eq!(scan(&*views.0, &by_subject, None), scan(&*views.1, &by_subject, None));
    assert_eq!(views.0.schema().unwrap(), views.1.schema().unwrap());
    assert_eq!(model.meta(MetaKey::Applied).unwrap(), store.meta(MetaKey::Applied).unwrap());
    assert_eq!(suite::changes(model, STORE, 0, at.index()), suite::changes(store, STORE, 0, at.index()));
}

#[test]
fn the_durable_store_conforms() {
    conforms(fresh);
}

#[test]
#[should_panic(expected = "a second writer")]
fn two_batches_are_refused() {
    suite::refuses_two_batches(&fresh().0);
}

#[test]
#[should_panic(expected = "nothing below 6 is kept")]
fn expiring_the_latest_is_refused() {
    suite::refuses_to_expire_the_latest(&fresh().0);
}

#[test]
#[should_panic(expected = "views may already show")]
fn rewriting_history_is_refused() {
    suite::refuses_to_rewrite_history(&fresh().0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// The durable store and its twin never differ, wherever the data lies: in memory, in table files, after a reopening.
    #[test]
    fn the_twins_agree(history in twins::history(), moves in proptest::collection::vec(0u8..4, 7)) {
        let model = MemoryStore::new();
        let (mut store, dir) = fresh();
        for (steps, next) in history.iter().zip(moves) {
            prop_assert_eq!(twins::apply(&model, steps), twins::apply(&store, steps));
            match next {
                0 => flush(&store),
                1 => {
                    drop(store);
                    store = open(dir.path());
                }
                _ => {}
            }
        }
        assert_agree(&model, &store);
        flush(&store);
        assert_agree(&model, &store);
    }
}

type Pair = (Box<[u8]>, Box<[u8]>);

/// Every key and value, in order.
fn bytes_of(store: &RocksStore) -> Vec<Pair> {
    let generation = store.generation();
    let dump = |family| generation.db().iterator_cf(generation.handle(family), IteratorMode::Start).map(Result::unwrap);
    Family::ALL.into_iter().flat_map(dump).collect()
}

#[test]
fn the_same_batches_leave_the_same_bytes() {
    let ((one, _one_dir), (other, _other_dir)) = (fresh(), fresh());
    write_sample(&one, 40);
    write_sample(&other, 20);
    flush(&other);
    write_sample(&other, 40);
    assert_eq!(bytes_of(&one), bytes_of(&other));
    assert!(bytes_of(&one).len() > 160);
}

#[test]
fn the_oldest_reader_is_known() {
    let (store, _dir) = fresh();
    write(&store, 4, &["doc:a#viewer@user:x"]);
    assert_eq!(store.generation().pins().oldest(), None);
    let views = (store.view(STORE, rev(4)).unwrap(), store.view(STORE, rev(2)).unwrap());
    assert_eq!(store.generation().pins().oldest(), Some(rev(2)));
    drop(views);
    assert_eq!(store.generation().pins().oldest(), None);
    store.batch().commit(rev(5)).unwrap();
}
