//! One node's part in the cluster: its log, its state, its Raft instance, and the ways in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftMetrics;
use openraft::storage::RaftLogStorage;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::apply::{ClusterSettings, FloorTable};
use super::clock::{SystemClock, WallClock, monotonic};
use super::contract::{Applied, Propose};
use super::elections;
use super::history::{self, Advance, HistoryOptions};
use super::identity;
use super::leader::LeaderWatch;
use super::log::{LogCounters, LogError, LogStore};
use super::network::{Admitted, Announcement, Network, PeerIdentity, Peers, Rejection, Transport};
use super::propose::Proposer;
use super::read_index::{self, ReadIndex};
use super::snapshot::SnapshotFolder;
use super::state_machine::{AppliedMark, StateMachine};
use super::status::ReplicaStatus;
use super::types::{Raft, TypeConfig};
use super::{CommandBody, FeatureLevel, NodeAddress, Outcome, SupportedLevels, blocking};
use crate::model::Revision;
use crate::store::{CheckpointStore, MetaKey, RocksStore, StateStore, StoreError, StoreOptions};

type Metrics = RaftMetrics<TypeConfig>;

/// How long to wait for a snapshot before asking for it again.
const SNAPSHOT_RETRY: Duration = Duration::from_millis(500);

/// Which cluster a node belongs to, and as whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's lineage.
    pub lineage: u64,
    /// The node's id in it, never used before and never again.
    pub node_id: u64,
}

impl Membership {
    /// The id of the node that a cluster begins with.
    pub const FIRST_NODE_ID: u64 = 1;
}

/// What a replica needs to know of its node.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// Where the data is.
    pub dir: PathBuf,
    /// Whose data it is.
    pub membership: Membership,
    /// Interval of the leader's heartbeats.
    pub heartbeat: Duration,
    /// Shortest and longest silence of the leader before a follower stands for election.
    pub election_timeout: (Duration, Duration),
    /// Log entries after which a snapshot is made.
    pub snapshot_after_entries: u64,
    /// Log entries kept behind a snapshot for followers that are a little late.
    pub keep_entries: u64,
    /// Writes that may be under way at once.
    pub waiting_writes: usize,
    /// How much history is kept.
    pub history: HistoryOptions,
    /// The state store's options.
    pub store: StoreOptions,
    /// What this node says of itself.
    pub announcement: Announcement,
}

/// Why a replica could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The log database.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot folder.
    #[error("snapshots: {0}")]
    Snapshots(std::io::Error),
    /// The data is not that of this node.
    #[error(
        "{what} belongs to {found}, not to {expected}: the data of two nodes was mixed, or part of it was removed. \
             Restore it, or remove the whole data directory and join as a new node"
    )]
    Foreign {
        /// Which part.
        what: &'static str,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The data is of a cluster at a level that this program does not support.
    #[error(
        "the data is of a cluster at feature level {level}, and this version supports {supported}; a level is never lowered: \
         start the version that ran before, or a newer one"
    )]
    Level {
        /// The cluster's.
        level: FeatureLevel,
        /// This program's.
        supported: SupportedLevels,
    },
    /// Raft settings that do not fit together.
    #[error("raft settings: {0}")]
    Settings(String),
    /// openraft refused to start.
    #[error("the replica could not start: {0}")]
    Start(String),
}

/// A running member of a cluster.
pub struct Replica {
    peers: Arc<Peers>,
    raft: Raft,
    store: Arc<dyn StateStore>,
    checkpoints: Arc<dyn CheckpointStore>,
    snapshots: Arc<SnapshotFolder>,
    proposer: Arc<Proposer>,
    read_index: ReadIndex,
    applied: watch::Receiver<AppliedMark>,
    floors: watch::Receiver<Arc<FloorTable>>,
    retired: watch::Receiver<Arc<BTreeSet<u64>>>,
    settings: watch::Receiver<Arc<ClusterSettings>>,
    counters: Arc<LogCounters>,
    clock: Arc<dyn WallClock>,
    leader: LeaderWatch,
    /// Held by whoever changes the members, or who leads: one at a time.
    changing: Mutex<()>,
    /// Ends what runs beside the replica.
    stopping: CancellationToken,
}

impl Replica {
    /// Makes the empty databases of a new member and marks them as its own, synced. The node must not speak for itself
    /// before this returned.
    pub async fn format(dir: &Path, membership: Membership, store: &StoreOptions) -> Result<(), ReplicaError> {
        let log = LogStore::open(&log_dir(dir))?;
        let state = RocksStore::open(&state_dir(dir), store.clone())?;
        identity::write(&log, &state, membership).await?;
        state.sync()?;
        Ok(())
    }

    /// Opens the databases and starts Raft.
    pub async fn open(options: ReplicaOptions, transport: Arc<dyn Transport>) -> Result<Arc<Self>, ReplicaError> {
        let log = LogStore::open(&log_dir(&options.dir))?;
        let state = Arc::new(RocksStore::open(&state_dir(&options.dir), options.store.clone())?);
        let look_every = options.history.note_every();
        let replica = Self::start(options, log, Arc::clone(&state), transport, Arc::new(SystemClock)).await?;
        let collection = history::collect(state, look_every);
        tokio::spawn(replica.stopping.clone().run_until_cancelled_owned(collection));
        Ok(replica)
    }

    /// Starts Raft over what it stands on.
    pub(super) async fn start<S: CheckpointStore>(
        options: ReplicaOptions,
        log: LogStore,
        state: Arc<S>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, ReplicaError> {
        let Membership { lineage, node_id } = options.membership;
        identity::check(&log, &*state, options.membership)?;
        let snapshots = SnapshotFolder::open(&options.dir.join("snapshots")).map_err(ReplicaError::Snapshots)?;
        let snapshots = Arc::new(snapshots);
        let supported = options.announcement.levels;
        let identity = PeerIdentity { lineage, node_id };
        let peers = Arc::new(Peers::new(identity, options.announcement.clone(), transport));
        let machine = StateMachine::open(Arc::clone(&state), Arc::clone(&snapshots), supported)?;
        let settings = machine.watch_settings();
        let level = settings.borrow().level;
        if !supported.include(level) {
            return Err(ReplicaError::Level { level, supported });
        }
        let (applied, floors, retired) = (machine.watch(), machine.watch_floors(), machine.watch_retired());
        let counters = log.counters();
        cover_state(&log, &machine, &state, &snapshots).await?;
        let home = settings.borrow().home_region.clone();
        let abroad = home.is_some() && options.announcement.locality.region != home;
        let config = elections::raft_config(&options, abroad)?;
        let append_timeout = Duration::from_millis(config.election_timeout_max);
        let snapshot_timeout = Duration::from_millis(config.install_snapshot_timeout);
        let network = Network::new(Arc::clone(&peers), append_timeout, snapshot_timeout);
        let raft = Raft::new(node_id, Arc::new(config), network, log, machine)
            .await
            .map_err(|error| ReplicaError::Start(error.to_string()))?;
        let leader = LeaderWatch::new(raft.server_metrics());
        tokio::spawn(leader.clone().log_changes(node_id));
        tokio::spawn(leader.clone().tell_addresses(Arc::clone(&peers)));
        let (calls, stamps) = (Arc::clone(&peers), Arc::clone(&clock));
        let known = settings.clone();
        let proposer = Proposer::new(raft.clone(), calls, leader.clone(), stamps, known, options.waiting_writes);
        let proposer = Arc::new(proposer);
        let read_index = ReadIndex::start(raft.clone(), Arc::clone(&peers), leader.clone());
        let stopping = CancellationToken::new();
        let advance = Advance {
            options: options.history,
            node_id,
            store: Arc::<S>::clone(&state),
            applied: applied.clone(),
            leader: leader.clone(),
            proposer: Arc::clone(&proposer),
        };
        tokio::spawn(stopping.clone().run_until_cancelled_owned(advance.run()));
        let (checkpoints, store): (Arc<dyn CheckpointStore>, Arc<dyn StateStore>) = (Arc::<S>::clone(&state), state);
        let changing = Mutex::new(());
        let replica = Arc::new(Self {
            peers,
            raft,
            store,
            checkpoints,
            snapshots,
            proposer,
            read_index,
            applied,
            floors,
            retired,
            settings,
            counters,
            clock,
            leader,
            changing,
            stopping,
        });
        let settling = Self::keep_settled(Arc::downgrade(&replica), replica.leader.clone());
        tokio::spawn(replica.stopping.clone().run_until_cancelled_owned(settling));
        let homing = Self::keep_home(Arc::downgrade(&replica), replica.leader.clone());
        tokio::spawn(replica.stopping.clone().run_until_cancelled_owned(homing));
        let placing = Self::keep_localities(Arc::downgrade(&replica), replica.leader.clone());
        tokio::spawn(replica.stopping.clone().run_until_cancelled_owned(placing));
        Ok(replica)
    }

    /// Makes this node the only voter of a new cluster. Does nothing when it has begun already.
    pub async fn bootstrap(&self, address: NodeAddress) -> Result<(), ReplicaError> {
        let start = |error: String| ReplicaError::Start(error);
        if self.raft.is_initialized().await.map_err(|error| start(error.to_string()))? {
            return Ok(());
        }
        let members = std::collections::BTreeMap::from([(self.peers.me().node_id, address)]);
        self.raft.initialize(members).await.map_err(|error| start(error.to_string()))
    }

    /// From now on, tells the cluster that this node is reached at `address`, where it knows another one.
    pub fn announce_address(self: &Arc<Self>, address: NodeAddress) {
        let telling = Self::keep_address(Arc::downgrade(self), self.leader.clone(), address);
        tokio::spawn(self.stopping.clone().run_until_cancelled_owned(telling));
    }

    /// The cluster's lineage.
    #[must_use]
    pub fn lineage(&self) -> u64 {
        self.peers.me().lineage
    }

    /// This node's id in it.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.peers.me().node_id
    }

    /// The state store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn StateStore> {
        &self.store
    }

    /// The way to write.
    #[must_use]
    pub fn proposer(&self) -> &Arc<Proposer> {
        &self.proposer
    }

    /// The way to read linearizably.
    #[must_use]
    pub fn read_index(&self) -> &ReadIndex {
        &self.read_index
    }

    /// This node's wall clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn WallClock> {
        &self.clock
    }

    /// Follows what this node has applied.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<AppliedMark> {
        self.applied.clone()
    }

    /// Follows the floors that this node has applied. Never behind [`Replica::applied`].
    #[must_use]
    pub fn floors(&self) -> watch::Receiver<Arc<FloorTable>> {
        self.floors.clone()
    }

    /// The cluster's settings, as far as this node has applied.
    #[must_use]
    pub fn settings(&self) -> Arc<ClusterSettings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Follows them.
    pub(super) fn watch_settings(&self) -> watch::Receiver<Arc<ClusterSettings>> {
        self.settings.clone()
    }

    /// Whether this program can go on from the state in `folder`.
    pub(super) fn snapshot_fits(&self, folder: &Path) -> Result<(), ReplicaError> {
        let settings = match self.checkpoints.peek(folder, MetaKey::Settings)? {
            Some(record) => ClusterSettings::decode(&record)?,
            None => ClusterSettings::default(),
        };
        let (level, supported) = (settings.level, self.peers.announcement().levels);
        if supported.include(level) { Ok(()) } else { Err(ReplicaError::Level { level, supported }) }
    }

    /// Follows whether this node was removed from its cluster. Then it knows nothing of what is written since, and must not
    /// answer for the cluster.
    #[must_use]
    pub fn removed(&self) -> watch::Receiver<bool> {
        self.peers.removed()
    }

    /// What this node knows of itself and the cluster.
    #[must_use]
    pub fn status(&self) -> ReplicaStatus {
        let metrics = self.metrics();
        let entries = self.counters.entries.load(Ordering::Relaxed);
        let fsyncs = self.counters.fsyncs.load(Ordering::Relaxed);
        let state = (self.store.oldest(), *self.applied.borrow(), self.store.footprint());
        let removed = *self.peers.removed().borrow();
        let about = (self.settings(), self.peers.announcement().levels);
        ReplicaStatus::new(self.lineage(), removed, &metrics, state, about, (entries, fsyncs))
    }

    /// Makes a snapshot of what is applied now, and purges the log that it covers.
    pub async fn snapshot(&self, deadline: Instant) -> Result<(), String> {
        let target = self.applied.borrow().revision.index();
        if target == 0 {
            return Err("nothing is applied yet, so there is nothing to make a snapshot of".into());
        }
        let upto = loop {
            // Asked again each time: a request is dropped while another snapshot is being made, which may cover less.
            self.raft.trigger().snapshot().await.map_err(|error| error.to_string())?;
            let built = move |metrics: &Metrics| metrics.snapshot.as_ref().is_some_and(|id| id.index >= target);
            match self.raft.wait(Some(SNAPSHOT_RETRY)).metrics(built, "a snapshot of what is applied").await {
                Ok(metrics) => break metrics.snapshot.map_or(0, |id| id.index),
                Err(error) if monotonic() >= deadline => return Err(error.to_string()),
                Err(_) => {}
            }
        };
        self.raft.trigger().purge_log(upto).await.map_err(|error| error.to_string())?;
        let purged = move |metrics: &Metrics| metrics.purged.as_ref().is_some_and(|id| id.index >= upto);
        let left = deadline.saturating_duration_since(monotonic());
        self.raft.wait(Some(left)).metrics(purged, "the log to be purged").await.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Waits until the replica fails, and says why. A replica that was shut down has not failed.
    pub async fn failed(&self) -> Option<String> {
        // What changes with the leader and ends with the replica. The full metrics change with each entry, and whoever waits
        // for them is woken as often.
        let mut changes = self.leader.clone();
        loop {
            let lives = changes.changed().await;
            if let Err(fatal) = self.metrics().running_state {
                return match fatal {
                    openraft::errors::Fatal::Stopped => None,
                    other => Some(other.to_string()),
                };
            }
            // A clean stop says so before it ends; whoever ends without a word has panicked.
            if !lives {
                return Some("the replica ended unexpectedly".into());
            }
        }
    }

    /// Stops taking part. Everything acknowledged is on disk already.
    pub async fn shutdown(&self) {
        self.stopping.cancel();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the replica did not stop cleanly");
        }
    }

    pub(super) fn identity(&self) -> PeerIdentity {
        self.peers.me()
    }

    pub(super) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    pub(super) fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Who was removed, as far as this node has applied.
    pub(super) fn retired(&self) -> Arc<BTreeSet<u64>> {
        Arc::clone(&self.retired.borrow())
    }

    pub(super) fn leader(&self) -> &LeaderWatch {
        &self.leader
    }

    pub(super) fn changing(&self) -> &Mutex<()> {
        &self.changing
    }

    /// Copied out at once: holding the reference would block openraft's writer.
    pub(super) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The same store as [`Replica::store`].
    pub(super) fn checkpoints(&self) -> &Arc<dyn CheckpointStore> {
        &self.checkpoints
    }

    pub(super) fn snapshots(&self) -> &Arc<SnapshotFolder> {
        &self.snapshots
    }

    pub(super) async fn read_index_here(&self) -> Result<Revision, Rejection> {
        read_index::confirm(&self.raft).await
    }

    pub(super) async fn admit(&self, address: NodeAddress, deadline: Instant) -> Result<Admitted, String> {
        match self.proposer.propose(CommandBody::AdmitNode(address), deadline).await {
            Ok(Applied { outcome: Outcome::Admitted { node_id }, .. }) => {
                Ok(Admitted { lineage: self.lineage(), node_id })
            }
            Ok(Applied { outcome, .. }) => Err(format!("the cluster answered an admission with {outcome:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Makes a snapshot where the state is ahead of the log. openraft then purges the log up to the state, and a follower that is
/// further behind can only be helped by a snapshot that reaches as far.
async fn cover_state(
    log: &LogStore,
    machine: &StateMachine,
    store: &Arc<impl CheckpointStore>,
    snapshots: &Arc<SnapshotFolder>,
) -> Result<(), ReplicaError> {
    let end = log.clone().get_log_state().await.map_err(ReplicaError::Snapshots)?;
    let covered = snapshots.current().and_then(|snapshot| snapshot.meta.last_log_id);
    let applied = machine.last_applied();
    if covered >= applied || (applied <= end.last_log_id && covered >= end.last_purged_log_id) {
        return Ok(());
    }
    let (store, snapshots) = (Arc::clone(store), Arc::clone(snapshots));
    blocking::aside(move || snapshots.build(&*store)).await.map_err(ReplicaError::Snapshots)?;
    Ok(())
}

/// Where the log of the node in `dir` is.
pub(super) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Where its state is.
pub(super) fn state_dir(dir: &Path) -> PathBuf {
    dir.join("state")
}
