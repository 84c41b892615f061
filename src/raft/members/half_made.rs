//! Changes to the members that a leader began and did not finish: the next one does.
//!
//! Four replicas in one process, and between them a network that loses what a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openraft::ChangeMembers;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::Joining;
use crate::raft::testing::quick_replica;
use crate::raft::{
    CallError, Membership, NodeAddress, PeerServer, Replica, ReplicaOptions, Rpc, SupportedLevels, Transport,
};
use crate::wire::quorate::peer::peer_service_server::PeerService;
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};

const LIMIT: Duration = Duration::from_secs(30);

/// Everybody's way to everybody.
#[derive(Default)]
struct Net {
    servers: Mutex<BTreeMap<String, PeerServer>>,
    /// From this node only this other one gets anything, and its answers are lost.
    muffled: Mutex<Option<(u64, String)>>,
}

impl Transport for Arc<Net> {
    fn call(&self, rpc: Rpc, address: &str, envelope: Envelope) -> BoxFuture<'_, Result<Reply, CallError>> {
        let address = address.to_owned();
        let server = self.servers.lock().get(&address).cloned();
        let muffled = self.muffled.lock().clone().filter(|(from, _)| *from == envelope.from);
        async move {
            let gone = |why: &str| CallError::NotSent { address: address.clone(), reason: why.to_owned() };
            let server = server.ok_or_else(|| gone("nobody is there"))?;
            if muffled.as_ref().is_some_and(|(_, only)| *only != address) {
                return Err(gone("it was lost"));
            }
            let request = Request::new(envelope);
            let reply = match rpc {
                Rpc::Heartbeat | Rpc::Raft | Rpc::Snapshot => PeerService::raft(&server, request).await,
                Rpc::Propose => server.propose(request).await,
                Rpc::ProposeMany => server.propose_many(request).await,
                Rpc::ReadIndex => server.read_index(request).await,
                Rpc::Admit => server.admit(request).await,
                Rpc::Promote => server.promote(request).await,
                Rpc::ChangeMembers => server.change_members(request).await,
                Rpc::Status => server.status(request).await,
            };
            if muffled.is_some() {
                return Err(CallError::Lost { address, reason: "the answer was lost".to_owned() });
            }
            reply.map(tonic::Response::into_inner).map_err(|status| CallError::of_status(address, &status))
        }
        .boxed()
    }

    fn send_snapshot(
        &self,
        address: &str,
        parts: ReceiverStream<SnapshotPart>,
    ) -> BoxFuture<'_, Result<Reply, CallError>> {
        let (address, server) = (address.to_owned(), self.servers.lock().get(address).cloned());
        async move {
            let lost = |reason: &str| CallError::Lost { address: address.clone(), reason: reason.to_owned() };
            let taken = server.ok_or_else(|| lost("nobody is there"))?.take_snapshot(parts.map(Ok)).await;
            taken.map_err(|status| lost(status.message()))
        }
        .boxed()
    }

    fn reconnect(&self, _: Rpc, _: &str) {}
}

fn address(id: u64) -> NodeAddress {
    NodeAddress { client: format!("client-{id}:1"), peer: format!("node-{id}:1") }
}

async fn start(net: &Arc<Net>, dir: &TempDir, id: u64) -> Arc<Replica> {
    let dir = dir.path().join(id.to_string());
    let options =
        ReplicaOptions { keep_entries: 1000, ..quick_replica(&dir, Membership { lineage: 0xabc, node_id: id }) };
    Replica::format(&options.dir, options.membership, &options.store).await.unwrap();
    let replica = Replica::open(options, Arc::new(Arc::clone(net))).await.unwrap();
    let server = PeerServer::default();
    server.serve_for(Arc::clone(&replica));
    net.servers.lock().insert(address(id).peer, server);
    replica
}

/// The sets of voters that are in force together.
fn sets(replica: &Replica) -> Vec<BTreeSet<u64>> {
    replica.metrics().membership_config.membership().get_joint_config().clone()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Three voters and a learner. The first leads, begins `change` and dies when only the second has heard of it.
async fn begun_and_left(change: ChangeMembers<u64, NodeAddress>, expected: &[u64]) {
    let (net, dir) = (Arc::new(Net::default()), tempfile::tempdir().unwrap());
    let first = start(&net, &dir, 1).await;
    first.bootstrap(address(1)).await.unwrap();
    until("the first leads", || first.roster().leads).await;
    let mut others = Vec::new();
    for id in 2..=4 {
        others.push(start(&net, &dir, id).await);
        let joining = Joining { node_id: id, address: address(id), voter: id < 4, levels: SupportedLevels::OURS };
        first.promote_here(joining).await.unwrap();
    }
    until("all know of all", || others.iter().all(|r| sets(r) == [BTreeSet::from([1, 2, 3])])).await;

    *net.muffled.lock() = Some((1, address(2).peer));
    let raft = first.raft().clone();
    let begun = tokio::spawn(async move { raft.change_membership(change, true).await });
    until("the second knows of it", || sets(&others[0]).len() == 2).await;
    net.servers.lock().remove(&address(1).peer);
    first.shutdown().await;
    begun.abort();
    assert!(sets(&others[1]).len() == 1 && sets(&others[2]).len() == 1, "nobody else has heard of it");

    let wanted: BTreeSet<u64> = expected.iter().copied().collect();
    until("the change is finished", || others.iter().all(|r| sets(r).len() == 1 && sets(r)[0] == wanted)).await;
    assert!(others[0].roster().leads, "only the second could lead");
    for replica in others {
        replica.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_was_half_given_is_given_by_the_next_leader() {
    begun_and_left(ChangeMembers::AddVoterIds(BTreeSet::from([4])), &[1, 2, 3, 4]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_was_half_taken_is_taken_by_the_next_leader() {
    begun_and_left(ChangeMembers::RemoveVoters(BTreeSet::from([1])), &[2, 3]).await;
}
