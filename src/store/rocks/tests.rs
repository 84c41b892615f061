//! What only the durable store must do: reopen, survive a power cut, make and install checkpoints.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rocksdb::{FlushOptions, IteratorMode};
use tempfile::TempDir;

use super::install::Step;
use super::keys::MetaRecord;
use super::options::Family;
use super::{CheckpointInfo, RocksStore, StoreOptions, record, verify_checkpoint};
use crate::store::suite::twins::{self, assert_agree, write_sample};
use crate::store::suite::{self, STORE, all, conforms, rev, write};
use crate::store::{MemoryStore, MetaKey, StateBatch, StateStore, StoreError};

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
#[should_panic(expected = "views may already show")]
fn rewriting_history_is_refused() {
    suite::refuses_to_rewrite_history(&fresh().0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The durable store and its twin never differ, wherever the data lies: in memory, in table files, after a reopening.
    #[test]
    fn the_twins_agree(history in twins::history(), moves in proptest::collection::vec(0u8..4, 7)) {
        let model = MemoryStore::new();
        let (mut store, dir) = fresh();
        for (steps, next) in history.iter().zip(moves) {
            twins::apply(&model, steps);
            twins::apply(&store, steps);
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

/// Every key and value, in order.
fn bytes_of(store: &RocksStore) -> Vec<(Box<[u8]>, Box<[u8]>)> {
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

#[test]
fn a_torn_write_ahead_log_leaves_an_earlier_whole_state() {
    let (store, dir) = fresh();
    write_sample(&store, 30);
    let image = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), image.path());
    let gen_dir = image.path().join("gen-000001");
    let log = fs::read_dir(&gen_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let whole = fs::read(&log).unwrap();
    let mut seen = std::collections::BTreeSet::new();
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

/// A tail that was lost before a later log file was begun must not leave a hole under that file's batches.
#[test]
fn a_hole_between_write_ahead_logs_ends_the_replay() {
    let (store, dir) = fresh();
    write_sample(&store, 20);
    // A flush of one small family begins a new log file, while the old one stays: other families still need it.
    let image = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), image.path());
    let logs = |dir: &Path| -> Vec<std::path::PathBuf> {
        let mut logs: Vec<_> = fs::read_dir(dir.join("gen-000001"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        logs
    };
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

/// A store at 30, and a checkpoint of another at 50.
fn checkpointed() -> (RocksStore, TempDir, TempDir, CheckpointInfo) {
    let (source, _source_dir) = fresh();
    write_sample(&source, 50);
    let sent = tempfile::tempdir().unwrap();
    let info = source.checkpoint(&sent.path().join("checkpoint")).unwrap();
    write_sample(&source, 55);
    let (store, dir) = fresh();
    write_sample(&store, 30);
    (store, dir, sent, info)
}

#[test]
fn a_checkpoint_is_the_state_at_its_revision() {
    let (store, dir, sent, info) = checkpointed();
    let files = sent.path().join("checkpoint");
    assert_eq!(info.revision, rev(50));
    verify_checkpoint(&files, &info.files).unwrap();
    assert_eq!(fs::read_dir(sent.path()).unwrap().count(), 1);
    assert!(store.checkpoint(&files).is_err(), "an existing folder");

    let before = store.view(STORE, rev(30)).unwrap();
    let shown = all(&*before);
    store.install(&files).unwrap();
    assert_agree(&model(50), &store);
    verify_checkpoint(&files, &info.files).unwrap();
    // The view of before still reads what it showed, and its files go with it.
    assert_eq!(all(&*before), shown);
    assert_eq!(generations(dir.path()), ["gen-000001", "gen-000002"]);
    drop(before);
    assert_eq!(generations(dir.path()), ["gen-000002"]);

    write_sample(&store, 60);
    drop(store);
    let store = open(dir.path());
    assert_agree(&model(60), &store);
    assert!(matches!(store.install(&files), Err(StoreError::Corrupt { .. })), "an older checkpoint");
    assert_eq!(generations(dir.path()), ["gen-000002"]);
    assert_agree(&model(60), &store);
}

#[test]
fn a_checkpoint_while_batches_are_committed_is_whole() {
    let (store, _dir) = fresh();
    let target = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_sample(&store, 400));
        for i in 0..4 {
            let files = target.path().join(format!("checkpoint-{i}"));
            let info = store.checkpoint(&files).unwrap();
            let (other, _other_dir) = fresh();
            other.install(&files).unwrap();
            assert_eq!(other.applied(), info.revision);
            assert_eq!(other.meta(MetaKey::Applied).unwrap().is_some(), info.revision > rev(0));
            assert_agree_at_the_end(&model(info.revision.index()), &other);
        }
        writer.join().unwrap();
    });
}

/// The latest state only: comparing hundreds of revisions takes too long.
fn assert_agree_at_the_end(model: &MemoryStore, store: &RocksStore) {
    let at = model.applied();
    let views = (model.view(STORE, at).unwrap(), store.view(STORE, at).unwrap());
    assert_eq!(all(&*views.0), all(&*views.1));
    assert_eq!(views.0.schema().unwrap(), views.1.schema().unwrap());
    assert_eq!(model.meta(MetaKey::Applied).unwrap(), store.meta(MetaKey::Applied).unwrap());
    assert_eq!(suite::changes(model, STORE, 0, at.index()), suite::changes(store, STORE, 0, at.index()));
}

#[test]
fn damaged_checkpoints_are_refused() {
    let (_store, _dir, sent, info) = checkpointed();
    let files = sent.path().join("checkpoint");
    let refused = |entries: &[super::FileEntry]| verify_checkpoint(&files, entries).unwrap_err().to_string();

    assert!(refused(&info.files[1..]).contains("not in the list"));
    let mut twice = info.files.clone();
    twice.push(info.files[0].clone());
    assert!(refused(&twice).contains("twice"));
    for name in ["../checkpoint/CURRENT", "/etc/passwd", "", ".", "..", "a/b", "a\\b", "a\0b"] {
        let mut hostile = info.files.clone();
        hostile[0].name = name.to_owned();
        assert!(refused(&hostile).contains("no name of a file"), "{name:?}");
    }
    for file in &info.files {
        let path = files.join(&file.name);
        let content = fs::read(&path).unwrap();
        if let Some((last, rest)) = content.split_last() {
            fs::remove_file(&path).unwrap();
            fs::write(&path, [rest, &[last ^ 1]].concat()).unwrap();
            assert!(refused(&info.files).contains("checksum"), "{}", file.name);
        }
        fs::remove_file(&path).unwrap();
        assert!(refused(&info.files).contains("missing"), "{}", file.name);
        fs::write(&path, &content).unwrap();
    }
    verify_checkpoint(&files, &info.files).unwrap();
}

#[test]
fn a_crash_at_any_step_of_an_install_leaves_the_old_state_or_the_new() {
    use Step::{FilesCopied, FolderMade, HandleSwapped, Opened, PointerSwapped, PointerWritten};
    for (stop, expected) in [
        (FolderMade, 30),
        (FilesCopied, 30),
        (Opened, 30),
        (PointerWritten, 30),
        (PointerSwapped, 50),
        (HandleSwapped, 50),
    ] {
        let (store, dir, sent, _info) = checkpointed();
        let files = sent.path().join("checkpoint");
        let next = super::layout::GenerationId::FIRST.next();
        let crash = store.install_steps(&files, next, &mut |step| {
            if step == stop { Err(StoreError::Engine("crash".into())) } else { Ok(()) }
        });
        assert!(crash.is_err(), "{stop:?}");
        // As the next process finds it: nothing was cleaned up.
        let image = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), image.path());
        let found = open(image.path());
        assert_agree(&model(expected), &found);
        assert_eq!(generations(image.path()).len(), 1, "{stop:?}");
        // And it can go on from there.
        found.install(&files).unwrap();
        write_sample(&found, 52);
        assert_agree(&model(52), &found);
    }
}

#[test]
fn a_failed_install_leaves_nothing_behind() {
    let (store, dir, _sent, _info) = checkpointed();
    let nonsense = tempfile::tempdir().unwrap();
    fs::write(nonsense.path().join("CURRENT"), "MANIFEST-000001\n").unwrap();
    assert!(store.install(nonsense.path()).is_err());
    let empty = tempfile::tempdir().unwrap();
    assert!(store.install(empty.path()).is_err());
    assert_eq!(generations(dir.path()), ["gen-000001"]);
    write_sample(&store, 31);
    assert_agree(&model(31), &store);
}

#[test]
fn the_oldest_reader_is_known() {
    let (store, _dir) = fresh();
    write(&store, 4, &["doc:a#viewer@user:x"]);
    assert_eq!(store.oldest_in_use(), None);
    let views = (store.view(STORE, rev(4)).unwrap(), store.view(STORE, rev(2)).unwrap());
    assert_eq!(store.oldest_in_use(), Some(rev(2)));
    drop(views);
    assert_eq!(store.oldest_in_use(), None);
    store.batch().commit(rev(5)).unwrap();
}
