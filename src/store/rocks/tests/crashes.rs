//! Reopening, killed processes, power cuts, torn logs, and folders that are not as they should be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::keys::MetaRecord;
use super::super::record;
use super::{assert_agree_at_the_end, copy_tree, flush, fresh, generations, model, open, options};
use crate::store::StateStore;
use crate::store::rocks::options::Family;
use crate::store::rocks::{RocksStore, StoreOptions};
use crate::store::suite::rev;
use crate::store::suite::twins::{assert_agree, write_sample};

#[test]
fn what_was_written_is_there_after_reopening() {
    let (store, dir) = fresh();
    write_sample(&store, 30);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.applied(), rev(30));
    assert_agree(&model(30), &store);
    write_sample(&store, 31);
    assert_agree(&model(31), &store);
}

#[test]
fn a_killed_process_loses_nothing() {
    let (store, dir) = fresh();
    write_sample(&store, 30);
    // The folder as the next process finds it, without anything having been closed.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), copy.path());
    assert_agree(&model(30), &open(copy.path()));
}

#[test]
fn a_power_cut_leaves_an_earlier_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(dir.path(), StoreOptions { manual_wal_flush: true, ..options() }).unwrap();
    write_sample(&store, 10);
    assert_eq!(store.sync().unwrap(), rev(10));
    // After the sync: nothing, then unsynced batches, then batches of which some went to table files.
    for (through, flushed, at_least) in [(10, false, 10), (25, false, 10), (40, true, 40), (55, false, 40)] {
        write_sample(&store, through);
        if flushed {
            flush(&store);
        }
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let found = open(copy.path());
        let applied = found.applied().index();
        assert!((at_least..=through).contains(&applied), "{applied} of {through}");
        assert_agree(&model(applied), &found);
    }
}

/// The write-ahead logs, oldest first.
pub(super) fn logs(dir: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(dir.join("gen-000001")).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    logs
}

#[test]
fn a_torn_write_ahead_log_leaves_an_earlier_whole_state() {
    let (store, dir) = fresh();
    write_sample(&store, 30);
    let image = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), image.path());
    let log = logs(image.path()).pop().unwrap();
    let whole = fs::read(&log).unwrap();
    let mut seen = BTreeSet::new();
    for tenth in 0..10 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(image.path(), copy.path());
        let torn = &whole[..whole.len() * tenth / 10];
        fs::write(copy.path().join("gen-000001").join(log.file_name().unwrap()), torn).unwrap();
        let found = open(copy.path());
        let applied = found.applied().index();
        assert_agree(&model(applied), &found);
        seen.insert(applied);
    }
    assert!(seen.len() > 5 && seen.iter().all(|applied| *applied < 30), "{seen:?}");
}

/// What the engine moved to table files by itself is whole without the logs.
#[test]
fn losing_every_write_ahead_log_leaves_an_earlier_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(dir.path(), StoreOptions { write_buffer_bytes: 64 << 10, ..options() }).unwrap();
    write_sample(&store, 3000);
    drop(store);
    for log in logs(dir.path()) {
        fs::write(log, b"").unwrap();
    }
    let found = open(dir.path());
    let applied = found.applied().index();
    assert!(0 < applied && applied < 3000, "{applied}");
    assert_agree_at_the_end(&model(applied), &found);
}

/// A tail that was lost before a later log file was begun must not leave a hole under that file's batches.
#[test]
fn a_hole_between_write_ahead_logs_ends_the_replay() {
    let (store, dir) = fresh();
    write_sample(&store, 20);
    let image = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), image.path());
    let before = fs::read(logs(image.path()).last().unwrap()).unwrap();
    let old_name = logs(image.path()).last().unwrap().file_name().unwrap().to_owned();
    flush(&store);
    write_sample(&store, 40);
    // The manifest of before the flush, with the newer log file beside the old one: a power cut during the flush.
    let newer = logs(dir.path()).pop().unwrap();
    assert_ne!(newer.file_name().unwrap(), old_name);
    for (kept, whole) in [(before.len(), true), (before.len() / 2, false)] {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(image.path(), copy.path());
        let gen_dir = copy.path().join("gen-000001");
        // Cut at the end of a record, so that the file itself shows no damage.
        let cut = if whole { before.len() } else { record_boundary(&before, kept) };
        fs::write(gen_dir.join(&old_name), &before[..cut]).unwrap();
        fs::copy(&newer, gen_dir.join(newer.file_name().unwrap())).unwrap();
        let found = open(copy.path());
        let applied = found.applied().index();
        assert_eq!(applied == 40, whole, "{applied}");
        assert_agree(&model(applied), &found);
    }
}

/// The end of the last whole record at or before `limit`: 4 bytes checksum, 2 bytes length, 1 byte type, content.
fn record_boundary(log: &[u8], limit: usize) -> usize {
    let mut end = 0;
    loop {
        let length = usize::from(u16::from_le_bytes([log[end + 4], log[end + 5]]));
        let next = end + 7 + length;
        if next > limit {
            return end;
        }
        end = next;
    }
}

#[test]
fn newer_formats_and_lost_pointers_are_refused() {
    let (store, dir) = fresh();
    write_sample(&store, 3);
    let generation = store.generation();
    let meta = generation.handle(Family::Meta);
    generation.db().put_cf(meta, MetaRecord::Format.key(), record::encode_format(2)).unwrap();
    drop((generation, store));
    let refused = |dir: &Path| RocksStore::open(dir, options()).map(|_| ()).unwrap_err().to_string();
    assert!(refused(dir.path()).contains("use the version that wrote it"));

    let (store, dir) = fresh();
    write_sample(&store, 3);
    drop(store);
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    assert!(refused(dir.path()).contains("CURRENT is missing"));
    assert_eq!(generations(dir.path()), ["gen-000001"]);
    fs::write(dir.path().join("CURRENT"), "gen-000002\n").unwrap();
    assert!(refused(dir.path()).contains("holds no database"));
    assert_eq!(generations(dir.path()), ["gen-000001"]);
    fs::write(dir.path().join("CURRENT"), "gen-000001\n").unwrap();
    assert_eq!(open(dir.path()).applied(), rev(3));
}

#[test]
fn a_crash_while_the_first_database_is_made_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("creating")).unwrap();
    fs::write(dir.path().join("creating/CURRENT"), "half").unwrap();
    drop(open(dir.path()));
    // The pointer is written last.
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    let store = open(dir.path());
    write_sample(&store, 2);
    assert!(!dir.path().join("creating").exists());
}
