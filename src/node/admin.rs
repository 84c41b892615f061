//! What an operator can ask of this node: begin a cluster, join one, tell its state, write a snapshot.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::backup::Backups;
use super::identity::Origin;
use super::lifecycle::{LifecycleError, Node};
use crate::model::{Error, ErrorCode, PlaceName, Revision};
use crate::raft::{self, Membership, Replica, ReplicaStatus, Role, SupportedLevels};
use crate::service::{
    BackupStream, Changed, ClusterAdmin, ClusterFormed, ClusterStatus, JoinAs, JoinProgress, JoinStage, MemberChange,
    MemberReport, MemberStatus, NodePosition, NodeState, SnapshotTaken, Work,
};
use crate::telemetry::METRICS;

/// How long a new cluster's first node may take to elect itself.
const FORMING: Duration = Duration::from_secs(30);
/// How long a join may take as a whole; it can be continued by asking again.
const JOINING: Duration = Duration::from_secs(3600);
/// How long a join waits for the one before it to let go.
const TAKING_OVER: Duration = Duration::from_secs(10);
/// Between two reports on a join.
const REPORT: Duration = Duration::from_millis(200);
/// How long a snapshot may take.
const SNAPSHOT: Duration = Duration::from_secs(600);

/// The administration of one node.
pub(super) struct Admin {
    node: Arc<Node>,
    /// Ends the join that is under way, when another one takes its place.
    joining: Mutex<CancellationToken>,
    backups: Backups,
}

impl Admin {
    /// What has no end by itself ends with `stopping`.
    pub(super) fn new(node: Arc<Node>, stopping: CancellationToken) -> Self {
        Self { node, joining: Mutex::new(CancellationToken::new()), backups: Backups::new(stopping) }
    }

    fn replica(&self) -> Result<&Arc<Replica>, Error> {
        // Another one may be a member: a client that knows of others asks them.
        let none =
            || Error::new(ErrorCode::Unavailable, "this node is not a member of a cluster: init or join it first");
        self.node.replica().ok_or_else(none)
    }
}

impl ClusterAdmin for Admin {
    fn init(&self) -> BoxFuture<'_, Result<ClusterFormed, Error>> {
        // In a task of its own: a caller that hangs up must not leave a cluster half made.
        let forming = tokio::spawn(form(Arc::clone(&self.node)));
        async move { forming.await.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))? }.boxed()
    }

    fn join(
        &self,
        peers: Vec<String>,
        join_as: JoinAs,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<JoinProgress, Error>>, Error>> {
        async move {
            if peers.is_empty() {
                return Err(Error::new(ErrorCode::InvalidArgument, "name the peer address of at least one member"));
            }
            let (reports, stream) = mpsc::channel(16);
            let node = Arc::clone(&self.node);
            // The one before may have been given addresses at which nobody is.
            let overtaken = CancellationToken::new();
            std::mem::replace(&mut *self.joining.lock(), overtaken.clone()).cancel();
            // Goes on when the caller hangs up: a join that is under way is better finished than left half done.
            tokio::spawn(async move {
                if let Err(error) = join(&node, &peers, join_as, &reports, &overtaken).await {
                    let _ = reports.send(Err(error)).await;
                }
            });
            Ok(ReceiverStream::new(stream).boxed())
        }
        .boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<ClusterStatus, Error>> {
        let status = own_status(&self.node);
        async move { Ok(status) }.boxed()
    }

    fn ask_members(&self, patience: Duration) -> BoxFuture<'_, Vec<MemberReport>> {
        async move {
            match self.node.replica() {
                Some(replica) => replica.ask_members(patience).await,
                None => Vec::new(),
            }
        }
        .boxed()
    }

    fn position(&self) -> Option<NodePosition> {
        let replica = self.node.replica()?;
        Some(NodePosition { node_id: replica.node_id(), applied: replica.applied().borrow().revision })
    }

    fn change_members(&self, change: MemberChange, deadline: Instant) -> BoxFuture<'_, Result<Changed, Error>> {
        async move { Ok(self.replica()?.change_members(change, deadline).await?) }.boxed()
    }

    fn set_home_region(&self, region: Option<PlaceName>, deadline: Instant) -> BoxFuture<'_, Result<bool, Error>> {
        async move { self.replica()?.set_home_region(region, deadline).await }.boxed()
    }

    fn backup(&self, have: HashSet<[u8; 32]>) -> BoxFuture<'_, Result<BackupStream, Error>> {
        async move { self.backups.create(Arc::clone(self.replica()?), have).await }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<SnapshotTaken, Error>> {
        async move {
            let replica = self.replica()?;
            replica.snapshot(Instant::now() + SNAPSHOT).await.map_err(|why| Error::new(ErrorCode::Internal, why))?;
            let status = replica.status();
            Ok(SnapshotTaken { snapshot: Revision::new(status.snapshot), purged: Revision::new(status.purged) })
        }
        .boxed()
    }
}

async fn form(node: Arc<Node>) -> Result<ClusterFormed, Error> {
    let Some(_transition) = node.transition() else { return Err(busy()) };
    if let Some(replica) = node.replica() {
        return Err(member_already(replica));
    }
    // Never 0, which stands for "none" between nodes.
    let lineage = rand::random::<u64>().max(1);
    let node_id = Membership::FIRST_NODE_ID;
    node.become_member(Membership { lineage, node_id }, Origin::Init).await.map_err(internal)?;
    let replica = node.replica().expect("the node has just become a member");
    let deadline = Instant::now() + FORMING;
    replica.read_index().get(deadline).await?;
    // A new cluster has no older versions to wait for.
    let to = node.announcement().levels.highest;
    replica.change_members(MemberChange::RaiseLevel { to }, deadline).await?;
    Ok(ClusterFormed { lineage, node_id })
}

type Reports = mpsc::Sender<Result<JoinProgress, Error>>;

async fn join(
    node: &Node,
    peers: &[String],
    join_as: JoinAs,
    reports: &Reports,
    overtaken: &CancellationToken,
) -> Result<(), Error> {
    // A join before this one lets go soon; becoming a member is not broken off.
    let transition = tokio::time::timeout(TAKING_OVER, node.next_transition());
    let _transition = transition.await.map_err(|_| busy())?;
    if node.replica().is_none() {
        let membership =
            raft::request_admission(node.connections(), peers, node.address().clone(), node.announcement()).await?;
        node.become_member(membership, Origin::Join).await.map_err(internal)?;
    }
    let replica = node.replica().expect("the node is a member by now");
    if *replica.removed().borrow() {
        return Err(removed(replica));
    }
    let (goal, name) = match join_as {
        JoinAs::Voter => (JoinStage::Voter, "voter"),
        JoinAs::Learner => (JoinStage::Learner, "learner that has caught up"),
    };
    if join_as == JoinAs::Learner && votes(replica) {
        const MESSAGE: &str = "this node is a member with a vote already, and keeps it";
        return Err(Error::new(ErrorCode::WrongState, MESSAGE));
    }
    report(replica, reports, JoinStage::Admitted);
    let (address, voter) = (node.address().clone(), join_as == JoinAs::Voter);
    let promotion = async {
        raft::request_promotion(replica, peers, address, voter, Instant::now() + JOINING).await?;
        // The leader counts a few thousand entries behind as caught up.
        node.caught_up().await;
        Ok::<_, String>(())
    };
    tokio::pin!(promotion);
    loop {
        let step = tokio::select! {
            step = tokio::time::timeout(REPORT, &mut promotion) => step,
            () = overtaken.cancelled() => {
                const MESSAGE: &str = "this join was given up, because the node was told to join once more";
                return Err(Error::new(ErrorCode::WrongState, MESSAGE));
            }
        };
        match step {
            Err(_) => report(replica, reports, JoinStage::CatchingUp),
            Ok(Ok(())) => break,
            Ok(Err(_)) if *replica.removed().borrow() => return Err(removed(replica)),
            // It is not half way into a cluster: it is of one, and most likely not of that of the peers.
            Ok(Err(why)) if votes(replica) => return Err(member_elsewhere(replica, &why)),
            Ok(Err(why)) => {
                let message = format!("the node was admitted but is not a {name} yet ({why}); join again to continue");
                return Err(Error::new(ErrorCode::Unavailable, message));
            }
        }
    }
    let _ = reports.send(Ok(progress(replica, goal))).await;
    Ok(())
}

fn removed(replica: &Replica) -> Error {
    let message = format!(
        "this node was removed from the cluster as node {}, and an id is never used again: stop it, empty its data directory, \
         and join it as a new node",
        replica.node_id()
    );
    Error::new(ErrorCode::WrongState, message)
}

fn votes(replica: &Replica) -> bool {
    let status = replica.status();
    status.members.iter().any(|member| member.node_id == status.node_id && member.voter)
}

/// A report that nobody takes is skipped: the join does not wait for its audience.
fn report(replica: &Replica, reports: &Reports, stage: JoinStage) {
    let _ = reports.try_send(Ok(progress(replica, stage)));
}

fn progress(replica: &Replica, stage: JoinStage) -> JoinProgress {
    let status = replica.status();
    let target = status.committed.max(status.last_log);
    JoinProgress { stage, node_id: status.node_id, applied: status.applied.revision, target: Revision::new(target) }
}

fn busy() -> Error {
    Error::new(ErrorCode::WrongState, "this node is just becoming a member; wait until that is done")
}

fn member_already(replica: &Replica) -> Error {
    let status = replica.status();
    let message = format!(
        "this node is node {} of cluster {:016x} already; a new cluster needs an empty data directory",
        status.node_id, status.lineage
    );
    Error::new(ErrorCode::WrongState, message)
}

fn member_elsewhere(replica: &Replica, why: &str) -> Error {
    let status = replica.status();
    let message = format!(
        "this node votes already, as node {} of cluster {:016x} ({why}); to make it a member of another cluster, stop it, \
         empty its data directory, and join it as a new node",
        status.node_id, status.lineage
    );
    Error::new(ErrorCode::WrongState, message)
}

fn internal(error: LifecycleError) -> Error {
    Error::new(ErrorCode::Internal, error.to_string())
}

/// What the node knows of itself and the cluster.
pub(super) fn own_status(node: &Node) -> ClusterStatus {
    let waiting = || ClusterStatus::waiting(work(), SupportedLevels::of_this_program().highest);
    node.replica().map_or_else(waiting, |replica| cluster_status(replica.status(), node.state_age()))
}

fn work() -> Work {
    Work { checks: METRICS.checks.get(), writes: METRICS.writes.get(), leader_changes: METRICS.leader_changes.get() }
}

fn cluster_status(status: ReplicaStatus, state_age: Option<Duration>) -> ClusterStatus {
    let members = status.members.into_iter().map(|member| MemberStatus {
        node_id: member.node_id,
        client_address: member.address.client,
        peer_address: member.address.peer,
        voter: member.voter,
        locality: member.locality,
        matched: member.matched.map(Revision::new),
    });
    ClusterStatus {
        state: match status.role {
            Role::Learner => NodeState::Learner,
            Role::Follower => NodeState::Follower,
            Role::Candidate => NodeState::Candidate,
            Role::Leader => NodeState::Leader,
            Role::Stopped => NodeState::Faulted,
            Role::Removed => NodeState::Removed,
        },
        node_id: status.node_id,
        lineage: Some(status.lineage),
        term: status.term,
        leader_id: status.leader,
        last_log: Revision::new(status.last_log),
        committed: Revision::new(status.committed),
        applied: status.applied.revision,
        oldest: status.oldest,
        snapshot: Revision::new(status.snapshot),
        purged: Revision::new(status.purged),
        state_hash: blake3::Hash::from_bytes(status.applied.chain).to_hex().to_string(),
        members: members.collect(),
        log_entries_appended: status.log_entries_appended,
        log_fsyncs: status.log_fsyncs,
        state_age,
        work: work(),
        store: status.store,
        feature_level: Some(status.settings.level),
        highest_level: status.supported.highest,
        home_region: status.settings.home_region.clone(),
    }
}
