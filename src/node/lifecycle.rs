//! The life of a node: it waits, becomes a member once, and stays one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::identity::{DataDir, Identity, IdentityError, Origin};
use super::raft_runtime::run_on;
use crate::config::NodeConfig;
use crate::consistency::{FreshnessOptions, ReplicaChanges, ReplicaViews};
use crate::raft::{
    Announcement, Connections, HistoryOptions, Membership, NodeAddress, PeerServer, Propose, Replica, ReplicaError,
    ReplicaOptions, SupportedLevels,
};
use crate::service::Services;
use crate::store::StoreOptions;
use crate::telemetry::{LocalityLabels, METRICS};

/// Why a node could not become a member.
#[derive(Debug, thiserror::Error)]
pub(super) enum LifecycleError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}

/// A node and what it has become so far.
pub(super) struct Node {
    config: NodeConfig,
    data: DataDir,
    address: NodeAddress,
    services: Arc<Services>,
    peers: PeerServer,
    connections: Arc<Connections>,
    /// Whose threads the replica lives on.
    raft: Handle,
    replica: OnceCell<Arc<Replica>>,
    views: OnceCell<Arc<ReplicaViews>>,
    /// Held by whoever changes what the node is.
    transition: Mutex<()>,
}

impl Node {
    pub(super) fn new(
        config: NodeConfig,
        data: DataDir,
        address: NodeAddress,
        services: Arc<Services>,
        peers: PeerServer,
        connections: Arc<Connections>,
        raft: Handle,
    ) -> Self {
        let (region, zone) = (config.node.region.clone(), config.node.zone.clone());
        METRICS.locality.get_or_create(&LocalityLabels { region, zone }).set(1);
        Self {
            config,
            data,
            address,
            services,
            peers,
            connections,
            raft,
            replica: OnceCell::new(),
            views: OnceCell::new(),
            transition: Mutex::new(()),
        }
    }

    /// Where this node is reached.
    pub(super) fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// What this node says of itself to the others.
    pub(super) fn announcement(&self) -> Announcement {
        Announcement { levels: SupportedLevels::of_this_program(), locality: self.config.node.locality() }
    }

    /// The way to other nodes.
    pub(super) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// The replica, once the node is a member.
    pub(super) fn replica(&self) -> Option<&Arc<Replica>> {
        self.replica.get()
    }

    /// How old the node's state may be at most; `None` while that is not certain.
    pub(super) fn state_age(&self) -> Option<Duration> {
        self.views.get()?.age()
    }

    /// Waits until the node has caught up with its cluster.
    pub(super) async fn caught_up(&self) {
        // The sender lives as long as the node, so there is no error to hear of.
        let _ = self.services.readiness().wait_for(|ready| *ready).await;
    }

    /// The right to change what the node is; `None` while somebody else does.
    pub(super) fn transition(&self) -> Option<MutexGuard<'_, ()>> {
        self.transition.try_lock().ok()
    }

    /// The same, as soon as nobody else has it.
    pub(super) async fn next_transition(&self) -> MutexGuard<'_, ()> {
        self.transition.lock().await
    }

    /// Takes up the life that the data directory tells of.
    pub(super) async fn resume(&self) -> Result<(), LifecycleError> {
        match self.data.identity()? {
            None => Ok(()),
            Some(identity) => self.start(identity).await,
        }
    }

    /// Becomes a member: databases first, then the identity that makes them count, then Raft.
    pub(super) async fn become_member(&self, membership: Membership, origin: Origin) -> Result<(), LifecycleError> {
        Replica::format(self.data.path(), membership, &self.store_options()).await?;
        let identity = Identity { membership, origin };
        self.data.write_identity(identity)?;
        self.start(identity).await
    }

    async fn start(&self, identity: Identity) -> Result<(), LifecycleError> {
        let (raft, history) = (&self.config.raft, &self.config.history);
        let options = ReplicaOptions {
            dir: self.data.path().to_owned(),
            membership: identity.membership,
            heartbeat: Duration::from_millis(raft.heartbeat_ms),
            election_timeout: (
                Duration::from_millis(raft.election_timeout_min_ms),
                Duration::from_millis(raft.election_timeout_max_ms),
            ),
            snapshot_after_entries: raft.snapshot_after_entries,
            keep_entries: raft.keep_entries,
            waiting_writes: self.config.limits.waiting_writes,
            history: HistoryOptions {
                retain: Duration::from_millis(history.retain_ms),
                retain_entries: history.retain_entries,
            },
            store: self.store_options(),
            announcement: self.announcement(),
        };
        let (connections, address) = (self.connections(), self.address.clone());
        let open = async move {
            let replica = Replica::open(options, connections).await?;
            match identity.origin {
                // Does nothing but where the very first start was interrupted.
                Origin::Init => replica.bootstrap(address).await?,
                // What was founded offline knows its addresses from before, if at all: they are announced below.
                Origin::Join | Origin::Recover | Origin::Restore => {}
            }
            Ok::<_, ReplicaError>(replica)
        };
        let replica = run_on(&self.raft, open).await?;
        self.peers.serve_for(Arc::clone(&replica));
        replica.announce_address(self.address.clone());
        let log: Arc<dyn Propose> = Arc::clone(replica.proposer()) as _;
        let reads = &self.config.reads;
        let freshness = FreshnessOptions {
            ceiling: Duration::from_millis(reads.max_staleness_ms),
            poll: Duration::from_millis(reads.freshness_poll_ms),
        };
        let views = Arc::new(ReplicaViews::new(&replica, freshness));
        let changes = Arc::new(ReplicaChanges::new(&replica));
        self.services.attach(Arc::clone(&views) as _, log, changes);
        let (fresh, services) = (Arc::clone(&views), Arc::clone(&self.services));
        tokio::spawn(async move {
            fresh.catch_up().await;
            // At once: whoever waits for a node to be ready need not wait for the next look.
            services.set_ready(fresh.is_fresh());
            fresh.keep_fresh().await;
        });
        tokio::spawn(tell_readiness(Arc::clone(&self.services), Arc::downgrade(&views)));
        // Nobody else sets it: transitions are serialized.
        let _ = self.views.set(views);
        let first = self.replica.set(replica).is_ok();
        assert!(first, "transitions are serialized and a member never becomes one again");
        Ok(())
    }

    fn store_options(&self) -> StoreOptions {
        let store = &self.config.store;
        let bytes = |mib: u64| usize::try_from(mib << 20).unwrap_or(usize::MAX);
        StoreOptions {
            block_cache_bytes: bytes(store.block_cache_mib),
            write_buffer_bytes: bytes(store.write_buffer_mib),
            ..StoreOptions::default()
        }
    }
}

/// Between two looks at whether the node's state is fresh enough to be asked.
const READINESS: Duration = Duration::from_millis(250);

/// Says whether requests are welcome, for as long as there are views: a node that is cut off sends its clients elsewhere by
/// itself, and so does one that was removed.
async fn tell_readiness(services: Arc<Services>, views: Weak<ReplicaViews>) {
    let mut ticks = tokio::time::interval(READINESS);
    while let Some(ready) = views.upgrade().map(|views| views.is_fresh()) {
        services.set_ready(ready);
        ticks.tick().await;
    }
}
