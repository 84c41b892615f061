//! Crashes between the steps of append, vote, purge, apply, and the making and taking of snapshots.
//!
//! The log keeps what is not synced in the process, so a copy of its folder while it is open is what a power cut would leave
//! behind.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::impls::leader_id_std::LeaderId;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::vote::RaftLeaderId;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::apply::{Applier, Apply};
use super::log::LogStore;
use super::snapshot::SnapshotFolder;
use super::testing::quick_replica;
use super::types::{Entry, LogId, TypeConfig, Vote};
use super::{Command, CommandBody, Connections, Membership, NodeAddress, Replica};
use crate::model::TimestampMs;
use crate::store::{RocksStore, StateStore, StoreOptions};

const NODE: Membership = Membership { lineage: 0xabc, node_id: Membership::FIRST_NODE_ID };

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId::new(1, 1).to_committed(), index }
}

fn entry(index: u64) -> Entry {
    let command = Command {
        op_id: u128::from(index),
        proposed_at: TimestampMs(index),
        body: Arc::new(CommandBody::AdmitNode(NodeAddress::default())),
    };
    Entry { log_id: log_id(index), payload: EntryPayload::Normal(command) }
}

/// Appends; what it returns ends when the entries are reported as flushed.
async fn append(log: &mut LogStore, indexes: std::ops::RangeInclusive<u64>) -> JoinHandle<()> {
    let (done, flushed) = TypeConfig::oneshot();
    log.append(indexes.map(entry), IOFlushed::signal(done)).await.unwrap();
    tokio::spawn(async move { flushed.await.unwrap().unwrap() })
}

async fn indexes(log: &mut LogStore) -> Vec<u64> {
    log.try_get_log_entries(..).await.unwrap().iter().map(|entry| entry.log_id().index).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// The log as a power cut now would leave it.
fn cut(dir: &TempDir, name: &str) -> LogStore {
    let image = dir.path().join(name);
    copy(&dir.path().join("log"), &image);
    LogStore::open(&image).unwrap()
}

fn open(dir: &TempDir) -> LogStore {
    LogStore::open(&dir.path().join("log")).unwrap()
}

#[tokio::test]
async fn what_was_reported_as_flushed_outlives_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir);
    let vote = Vote::new_committed(3, 1);
    log.save_vote(&vote).await.unwrap();
    append(&mut log, 0..=4).await.await.unwrap();
    let mut image = cut(&dir, "after");
    assert_eq!(indexes(&mut image).await, [0, 1, 2, 3, 4]);
    assert_eq!(image.read_vote().await.unwrap(), Some(vote));
}

#[tokio::test]
async fn a_log_after_a_power_cut_is_a_prefix_without_holes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir);
    let mut flushed = Vec::new();
    for round in 0..20 {
        flushed.push(append(&mut log, round * 5..=round * 5 + 4).await);
        tokio::task::yield_now().await;
        // Counted before the copy: what is reported by now must be in it.
        let reported = flushed.iter().take_while(|done| done.is_finished()).count() * 5;
        let found = indexes(&mut cut(&dir, &format!("cut-{round}"))).await;
        assert!(found.iter().copied().eq(0..found.len() as u64), "{found:?}");
        assert!(found.len() >= reported, "{} entries, {reported} reported", found.len());
    }
}

#[tokio::test]
async fn truncation_and_purge_reach_the_disk_in_order_with_later_appends() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(&dir);
    append(&mut log, 0..=9).await.await.unwrap();
    log.truncate_after(Some(log_id(6))).await.unwrap();
    assert_eq!(indexes(&mut cut(&dir, "truncated")).await, [0, 1, 2, 3, 4, 5, 6]);
    log.purge(log_id(2)).await.unwrap();
    // A purge is not synced by itself: a cut now shows the log before it, or after, and no mixture.
    let found = indexes(&mut cut(&dir, "purged")).await;
    assert!(found == (0..=6).collect::<Vec<_>>() || found == (3..=6).collect::<Vec<_>>(), "{found:?}");
    append(&mut log, 7..=8).await.await.unwrap();
    let mut image = cut(&dir, "after");
    assert_eq!(indexes(&mut image).await, [3, 4, 5, 6, 7, 8]);
    let state = image.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(2)), Some(log_id(8))));
}

fn state(dir: &TempDir) -> Arc<RocksStore> {
    Arc::new(RocksStore::open(&dir.path().join("state"), StoreOptions::default()).unwrap())
}

fn apply(store: &Arc<RocksStore>, through: u64) {
    let entries: Vec<_> = (0..=through).map(entry).collect();
    Applier::open(Arc::clone(store)).unwrap().apply(&entries).unwrap();
}

/// Entries are applied when a quorum has them, which may be before this node's own log is synced: after a power cut the state
/// can be ahead of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_outran_the_log_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    Replica::format(dir.path(), NODE, &StoreOptions::default()).await.unwrap();
    append(&mut open(&dir), 0..=3).await.await.unwrap();
    {
        let store = state(&dir);
        apply(&store, 2);
        SnapshotFolder::open(&dir.path().join("snapshots")).unwrap().build(&*store).unwrap();
        apply_more(&store, 3..=9);
    }
    let replica = Replica::open(quick_replica(dir.path(), NODE), Arc::new(Connections::default())).await.unwrap();
    let begun = replica.raft().wait(Some(Duration::from_secs(10)));
    begun.metrics(|metrics| metrics.last_log_index == Some(9), "the log goes on after the state").await.unwrap();
    let status = replica.status();
    assert_eq!((status.applied.revision.index(), status.last_log, status.purged), (9, 9, 9));
    // The log is gone up to there, so a follower behind it needs a snapshot that reaches as far.
    assert_eq!(replica.snapshots().current().unwrap().meta.last_log_id, Some(log_id(9)));
    replica.shutdown().await;
}

/// A crash after a received snapshot was kept and before the state was replaced by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_ahead_of_the_state_is_installed_at_start() {
    let (sender, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Replica::format(sender.path(), NODE, &StoreOptions::default()).await.unwrap();
    let ahead = state(&sender);
    apply(&ahead, 7);
    let made = SnapshotFolder::open(&sender.path().join("snapshots")).unwrap().build(&*ahead).unwrap();

    Replica::format(dir.path(), NODE, &StoreOptions::default()).await.unwrap();
    let folder = SnapshotFolder::open(&dir.path().join("snapshots")).unwrap();
    let mut receiving = folder.receive(made.snapshot.list().to_vec()).unwrap();
    for file in made.snapshot.list() {
        receiving.write(&fs::read(made.snapshot.path().join(&file.name)).unwrap()).unwrap();
    }
    folder.adopt(made.meta.clone(), receiving.finish().unwrap()).unwrap();
    drop(folder);

    let replica = Replica::open(quick_replica(dir.path(), NODE), Arc::new(Connections::default())).await.unwrap();
    assert_eq!(replica.status().applied.revision.index(), 7);
    assert_eq!(replica.store().applied(), ahead.applied());
    replica.shutdown().await;
}

#[test]
fn a_half_made_snapshot_is_cleared_and_the_newest_whole_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (store, root) = (state(&dir), dir.path().join("snapshots"));
    apply(&store, 3);
    let folder = SnapshotFolder::open(&root).unwrap();
    let first = folder.build(&*store).unwrap();
    copy(&root, &dir.path().join("older"));
    apply_more(&store, 4..=6);
    let second = folder.build(&*store).unwrap();
    assert!(first.meta.last_log_id < second.meta.last_log_id);
    drop((first, folder));
    // A crash before the older one was removed, one before the meta file was renamed, and one while files came in.
    copy(&dir.path().join("older"), &root);
    fs::write(root.join("snapshot-00000007.tmp"), b"half").unwrap();
    fs::create_dir(root.join("snapshot-00000007")).unwrap();
    fs::create_dir(root.join("snapshot-00000008.building")).unwrap();

    let folder = SnapshotFolder::open(&root).unwrap();
    assert_eq!(folder.current().unwrap().meta.last_log_id, second.meta.last_log_id);
    let mut left: Vec<_> =
        fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["snapshot-00000002", "snapshot-00000002.meta"]);
}

fn apply_more(store: &Arc<RocksStore>, indexes: std::ops::RangeInclusive<u64>) {
    let entries: Vec<_> = indexes.map(entry).collect();
    Applier::open(Arc::clone(store)).unwrap().apply(&entries).unwrap();
}

#[test]
fn a_snapshot_is_refused_when_its_bytes_are_not_what_its_list_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = state(&dir);
    apply(&store, 3);
    let folder = SnapshotFolder::open(&dir.path().join("snapshots")).unwrap();
    let made = folder.build(&*store).unwrap();
    let files = made.snapshot.list().to_vec();
    let all: Vec<u8> = files.iter().flat_map(|file| fs::read(made.snapshot.path().join(&file.name)).unwrap()).collect();
    let mut flipped = all.clone();
    flipped[all.len() / 2] ^= 1;
    for (what, bytes) in [("flipped", flipped.as_slice()), ("short", &all[..all.len() - 1]), ("nothing", &[])] {
        let mut receiving = folder.receive(files.clone()).unwrap();
        receiving.write(bytes).unwrap();
        assert!(receiving.finish().is_err(), "{what}");
    }
    let mut receiving = folder.receive(files.clone()).unwrap();
    receiving.write(&all).unwrap();
    assert!(receiving.write(&[0]).is_err(), "more than the list says");
    drop(receiving);
    let mut named = files;
    named[0].name = "../outside".into();
    assert!(folder.receive(named).is_err(), "a name that leaves the folder");
    let left = fs::read_dir(dir.path().join("snapshots")).unwrap().count();
    assert_eq!(left, 2, "what was refused leaves nothing behind");
}
