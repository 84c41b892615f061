//! Checkpoints and their installation, also interrupted, damaged and hostile.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::IteratorMode;
use tempfile::TempDir;

use super::super::install::Step;
use super::super::layout::GenerationId;
use super::super::options::Family;
use super::super::{CheckpointInfo, FileEntry, RocksStore, inspect_checkpoint, verify_checkpoint};
use super::{assert_agree_at_the_end, copy_tree, fresh, generations, model, open};
use crate::store::suite::twins::{assert_agree, write_sample};
use crate::store::suite::{STORE, all, rev};
use crate::store::{CheckpointStore, MetaKey, StateStore, StoreError};

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
    let taken = AtomicU64::new(0);
    let revisions = std::thread::scope(|scope| {
        scope.spawn(|| {
            while taken.load(Ordering::Relaxed) < 4 {
                write_sample(&store, store.applied().index() + 1);
            }
        });
        let mut revisions = Vec::new();
        for i in 0..4 {
            let files = target.path().join(format!("checkpoint-{i}"));
            let info = store.checkpoint(&files);
            taken.fetch_add(1, Ordering::Relaxed);
            revisions.push((info.unwrap().revision, files));
        }
        revisions
    });
    assert!(revisions.is_sorted() && revisions[0].0 < revisions[3].0, "the writer stood still");
    for (revision, files) in revisions {
        let (other, _other_dir) = fresh();
        other.install(&files).unwrap();
        assert_eq!(other.applied(), revision);
        assert_agree_at_the_end(&model(revision.index()), &other);
    }
}

#[test]
fn damaged_checkpoints_are_refused() {
    let (_store, _dir, sent, info) = checkpointed();
    let files = sent.path().join("checkpoint");
    let refused = |entries: &[FileEntry]| verify_checkpoint(&files, entries).unwrap_err().to_string();

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
        let next = GenerationId::FIRST.next();
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
fn an_inspection_reads_everything_and_compares_both_orders() {
    let (store, _dir) = fresh();
    write_sample(&store, 50);
    let sent = tempfile::tempdir().unwrap();
    store.checkpoint(&sent.path().join("whole")).unwrap();
    let found = inspect_checkpoint(&sent.path().join("whole")).unwrap();
    let live = all(&*store.view(STORE, rev(50)).unwrap()).len() as u64;
    assert_eq!((found.revision, found.oldest), (rev(50), store.oldest()));
    assert!(found.relationships >= live && found.versions > found.relationships, "{found:?} and {live} in one store");
    assert_eq!(found.applied, store.meta(MetaKey::Applied).unwrap());

    for family in [Family::TuplesByResource, Family::TuplesBySubject, Family::RequestOrder] {
        let (store, _dir) = fresh();
        write_sample(&store, 50);
        let generation = store.generation();
        let first = generation.db().iterator_cf(generation.handle(family), IteratorMode::Start).next();
        let (key, _) = first.expect("the sample has some of it").unwrap();
        generation.db().delete_cf(generation.handle(family), key).unwrap();
        let path = sent.path().join(family.name());
        store.checkpoint(&path).unwrap();
        assert!(matches!(inspect_checkpoint(&path), Err(StoreError::Corrupt { .. })), "{family:?}");
    }
}
