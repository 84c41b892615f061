//! Founding over real databases: which entries count, what stays and what is new, and that what is founded leads itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::impls::leader_id_std::LeaderId;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, Membership as Members};

use super::*;
use crate::model::{Revision, TimestampMs};
use crate::raft::apply::{AppliedState, Applier, Apply};
use crate::raft::log::LogStore;
use crate::raft::replica::{log_dir, state_dir};
use crate::raft::testing::quick_replica;
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};
use crate::raft::{
    Announcement, Command, CommandBody, Connections, Membership, NodeAddress, Replica, ReplicaOptions, SupportedLevels,
};
use crate::store::{CheckpointStore, RocksStore, StoreOptions};

const OLD: Membership = Membership { lineage: 0xa, node_id: 3 };
const NEW: u64 = 0xb;

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId::new(term, 1).to_committed(), index }
}

fn address(node_id: u64) -> NodeAddress {
    NodeAddress { client: format!("c{node_id}:1"), peer: format!("p{node_id}:1") }
}

fn members(voters: &[u64], learners: &[u64]) -> EntryPayload<Command, u64, NodeAddress> {
    let nodes: BTreeMap<u64, NodeAddress> = voters.iter().chain(learners).map(|id| (*id, address(*id))).collect();
    EntryPayload::Membership(Members::new(vec![voters.iter().copied().collect()], nodes).unwrap())
}

fn admission(index: u64) -> EntryPayload<Command, u64, NodeAddress> {
    let body = CommandBody::AdmitNode(NodeAddress::default());
    EntryPayload::Normal(Command { op_id: u128::from(index), proposed_at: TimestampMs(index), body: Arc::new(body) })
}

/// Three voters, then admissions up to `last`.
fn entries(term: u64, last: u64) -> Vec<Entry> {
    let payload = |index| if index == 0 { members(&[1, 2, 3], &[]) } else { admission(index) };
    (0..=last).map(|index| Entry { log_id: log_id(term, index), payload: payload(index) }).collect()
}

/// A stopped node with this log, of which so many entries are applied.
async fn node(dir: &Path, log_entries: &[Entry], applied: usize) {
    Replica::format(dir, OLD, &StoreOptions::default()).await.unwrap();
    let mut log = LogStore::open(&log_dir(dir)).unwrap();
    let (done, flushed) = TypeConfig::oneshot();
    log.append(log_entries.to_vec(), IOFlushed::signal(done)).await.unwrap();
    flushed.await.unwrap().unwrap();
    log.save_vote(&Vote::new(9, 3)).await.unwrap();
    let state = Arc::new(RocksStore::open(&state_dir(dir), StoreOptions::default()).unwrap());
    Applier::open(state).unwrap().apply(&log_entries[..applied]).unwrap();
}

async fn survivor(dir: &Path) -> Result<Survivor, SurvivorError> {
    Survivor::open(dir, OLD, StoreOptions::default()).await
}

fn state_in(dir: &Path) -> AppliedState {
    let state = Arc::new(RocksStore::open(&state_dir(dir), StoreOptions::default()).unwrap());
    Applier::open(state).unwrap().state().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_log_is_kept_and_the_members_are_one() {
    let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    node(dir.path(), &entries(4, 10), 6).await;
    let survivor = survivor(dir.path()).await.unwrap();
    let report = survivor.report().clone();
    assert_eq!((report.last, report.last_term), (Revision::new(10), 4));
    assert_eq!((report.committed, report.applied), (Revision::new(5), Revision::new(5)));
    assert_eq!(report.lost.iter().map(|member| member.node_id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(survivor.found(NEW, into.path()).await.unwrap(), Membership { lineage: NEW, node_id: 3 });

    let founded = state_in(into.path());
    assert_eq!(founded.last, Some(log_id(4, 10)));
    assert_eq!(founded.next_node_id, 2 + 10, "ten admissions, whatever became of them");
    assert_eq!(founded.retired, BTreeSet::from([1, 2]));
    assert_eq!(founded.membership.voter_ids().collect::<Vec<_>>(), [3]);
    assert_eq!(founded.membership.get_node(&3), Some(&address(3)));
    // The old data is as it was: nobody applied to it what may never have been committed.
    assert_eq!(state_in(dir.path()).last, Some(log_id(4, 5)));
    assert_ne!(founded.chain, state_in(dir.path()).chain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_founded_leads_itself_in_a_later_term() {
    let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    node(dir.path(), &entries(4, 10), 11).await;
    let membership = survivor(dir.path()).await.unwrap().found(NEW, into.path()).await.unwrap();
    let announcement = Announcement { levels: SupportedLevels::of_this_program(), ..Announcement::none() };
    let options = ReplicaOptions { announcement, ..quick_replica(into.path(), membership) };
    let replica = Replica::open(options, Arc::new(Connections::default())).await.unwrap();
    replica.announce_address(address(7));
    let known = |metrics: &openraft::metrics::RaftMetrics<TypeConfig>| {
        metrics.membership_config.membership().get_node(&3) == Some(&address(7))
            && metrics.last_applied.is_some_and(|id| id.index >= 12)
    };
    let settled = replica.raft().wait(Some(Duration::from_secs(10))).metrics(known, "its address").await.unwrap();
    assert!(settled.current_term > 9, "above every term that it voted in");
    let status = replica.status();
    assert_eq!((status.lineage, status.leader), (NEW, Some(3)));
    // Whoever joins gets the state by snapshot: there is no log from before.
    assert!(status.snapshot >= 10 && status.purged >= 10, "{status:?}");
    replica.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_contradict_what_was_committed_are_left_out() {
    let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut committed = entries(4, 3);
    committed.extend((4..=5).map(|index| Entry { log_id: log_id(6, index), payload: admission(index) }));
    node(dir.path(), &entries(4, 9), 0).await;
    {
        let state = Arc::new(RocksStore::open(&state_dir(dir.path()), StoreOptions::default()).unwrap());
        Applier::open(state).unwrap().apply(&committed).unwrap();
    }
    let survivor = survivor(dir.path()).await.unwrap();
    assert_eq!((survivor.report().last, survivor.report().contradicted), (Revision::new(5), 4));
    survivor.found(NEW, into.path()).await.unwrap();
    assert_eq!(state_in(into.path()).last, Some(log_id(6, 5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_stand_for_its_cluster_is_refused() {
    let alone = Entry { log_id: log_id(4, 1), payload: members(&[3], &[1]) };
    let gone = Entry { log_id: log_id(4, 1), payload: members(&[1, 2], &[]) };
    let learner = Entry { log_id: log_id(4, 1), payload: members(&[1, 2], &[3]) };
    let first = entries(4, 0);
    let found = |last: Entry, applied: usize| {
        let log = [first.clone(), vec![last]].concat();
        async move {
            let dir = tempfile::tempdir().unwrap();
            node(dir.path(), &log, applied).await;
            survivor(dir.path()).await.map(|_| ())
        }
    };
    for applied in [1, 2] {
        assert!(matches!(found(alone.clone(), applied).await, Err(SurvivorError::NothingLost { .. })), "{applied}");
        assert!(matches!(found(gone.clone(), applied).await, Err(SurvivorError::NotAMember { .. })), "{applied}");
        found(learner.clone(), applied).await.unwrap();
    }
    assert!(matches!(found(learner, 0).await, Err(SurvivorError::Empty { .. })));

    let dir = tempfile::tempdir().unwrap();
    node(dir.path(), &entries(4, 9), 3).await;
    {
        let mut log = LogStore::open(&log_dir(dir.path())).unwrap();
        log.purge(log_id(4, 5)).await.unwrap();
        // A purge is not synced by itself.
        log.save_vote(&Vote::new(9, 3)).await.unwrap();
    }
    assert!(matches!(survivor(dir.path()).await, Err(SurvivorError::Gap { applied: 2, purged: 5, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_cluster_knows_whose_zookies_it_keeps_and_gives_no_id_again() {
    let (dir, sent, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    node(dir.path(), &entries(4, 10), 11).await;
    let old = state_in(dir.path());
    let files = sent.path().join("files");
    let checkpoint = || {
        let state = RocksStore::open(&state_dir(dir.path()), StoreOptions::default()).unwrap();
        state.checkpoint(&files).unwrap();
    };
    checkpoint();
    let (said, inspection) = inspect_backup(&files).unwrap();
    assert_eq!((said.lineage, said.revision, said.term), (OLD.lineage, Revision::new(10), 4));
    assert_eq!((said.chain, inspection.relationships), (old.chain, 0));
    std::fs::remove_dir_all(&files).unwrap();

    checkpoint();
    let membership = restore(&files, into.path(), NEW, said, true).await.unwrap();
    assert_eq!(membership, Membership { lineage: NEW, node_id: old.next_node_id });
    let founded = state_in(into.path());
    assert_eq!(founded.retired, BTreeSet::from([1, 2, 3]));
    assert_eq!(founded.next_node_id, old.next_node_id + 1);
    assert_ne!(founded.chain, old.chain, "at the same index, and not the same history");
    let kin = |dir: &Path| forebears(&RocksStore::open(&state_dir(dir), StoreOptions::default()).unwrap()).unwrap();
    assert_eq!(kin(into.path()), [Forebear { lineage: OLD.lineage, through: Revision::new(10) }]);

    // Another backup than the manifest says is refused, and without zookies nothing is kept.
    let (other, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    checkpoint();
    assert!(restore(&files, other.path(), NEW, BackedUp { term: 5, ..said }, true).await.is_err());
    checkpoint();
    restore(&files, stranger.path(), NEW, said, false).await.unwrap();
    assert!(kin(stranger.path()).is_empty());
}

#[test]
fn forebears_are_bounded() {
    let one = |lineage| Forebear { lineage, through: Revision::new(lineage) };
    let mut known = Vec::new();
    for lineage in 1..=20 {
        let record = forebears::record(known, Some(one(lineage)));
        known = crate::raft::codec::decode(&record).unwrap();
    }
    assert_eq!(known, (5..=20).map(one).collect::<Vec<_>>());
}
