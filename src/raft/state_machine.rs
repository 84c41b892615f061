//! openraft's state machine over the state store: apply, and snapshots by checkpoint.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use tokio::sync::watch;

use super::apply::{AppliedState, Applier, Apply, ApplyError, ClusterSettings, FloorTable};
use super::snapshot::{SnapshotFiles, SnapshotFolder};
use super::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use super::{SupportedLevels, blocking};
use crate::model::{Revision, TimestampMs};
use crate::store::{CheckpointStore, StoreError};
use crate::telemetry::{METRICS, seconds};

/// Entries applied in one batch at the most: bounds the memory of a batch, and how long readers wait for the first.
const BATCH_ENTRIES: usize = 512;

/// What this node has applied. Published only after the effects are visible to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppliedMark {
    /// The last applied index.
    pub revision: Revision,
    /// The hash chain at that index.
    pub chain: [u8; 32],
    /// The largest leader time up to that index.
    pub cluster_time: TimestampMs,
}

impl AppliedMark {
    fn of(state: &AppliedState) -> Self {
        Self { revision: state.revision(), chain: state.chain, cluster_time: state.cluster_time }
    }
}

/// The state machine of one node.
pub struct StateMachine {
    store: Arc<dyn CheckpointStore>,
    applier: Box<dyn Apply>,
    snapshots: Arc<SnapshotFolder>,
    applied: watch::Sender<AppliedMark>,
    floors: watch::Sender<Arc<FloorTable>>,
    retired: watch::Sender<Arc<BTreeSet<u64>>>,
    settings: watch::Sender<Arc<ClusterSettings>>,
    levels: SupportedLevels,
}

impl StateMachine {
    /// Takes up where `store` stands, in a program that supports `levels`. Whether that is enough for where it stands, the
    /// caller judges.
    pub(super) fn open<S: CheckpointStore>(
        store: Arc<S>,
        snapshots: Arc<SnapshotFolder>,
        levels: SupportedLevels,
    ) -> Result<Self, StoreError> {
        let applier = Box::new(Applier::open(Arc::clone(&store))?.supporting(levels));
        let mark = AppliedMark::of(applier.state());
        let floors = watch::Sender::new(Arc::clone(applier.floors()));
        let retired = watch::Sender::new(Arc::new(applier.state().retired.clone()));
        let settings = watch::Sender::new(Arc::clone(applier.settings()));
        Ok(Self { store, applier, snapshots, applied: watch::Sender::new(mark), floors, retired, settings, levels })
    }

    /// Follows what is applied.
    pub(super) fn watch(&self) -> watch::Receiver<AppliedMark> {
        self.applied.subscribe()
    }

    /// Follows the floors in force. Never behind what [`StateMachine::watch`] says to be applied.
    pub(super) fn watch_floors(&self) -> watch::Receiver<Arc<FloorTable>> {
        self.floors.subscribe()
    }

    /// Follows who was removed from the cluster.
    pub(super) fn watch_retired(&self) -> watch::Receiver<Arc<BTreeSet<u64>>> {
        self.retired.subscribe()
    }

    /// Follows the cluster's settings. Never behind what [`StateMachine::watch`] says to be applied.
    pub(super) fn watch_settings(&self) -> watch::Receiver<Arc<ClusterSettings>> {
        self.settings.subscribe()
    }

    /// The last applied entry.
    pub(super) fn last_applied(&self) -> Option<LogId> {
        self.applier.state().last
    }

    fn publish(&self) {
        // Floors first: whoever reads at an index must find every floor that was set up to it.
        let floors = self.applier.floors();
        self.floors.send_if_modified(|known| {
            let changed = !Arc::ptr_eq(known, floors);
            if changed {
                *known = Arc::clone(floors);
            }
            changed
        });
        let settings = self.applier.settings();
        self.settings.send_if_modified(|known| {
            let changed = !Arc::ptr_eq(known, settings);
            if changed {
                *known = Arc::clone(settings);
            }
            changed
        });
        let retired = &self.applier.state().retired;
        self.retired.send_if_modified(|known| {
            let changed = **known != *retired;
            if changed {
                *known = Arc::new(retired.clone());
            }
            changed
        });
        self.applied.send_replace(AppliedMark::of(self.applier.state()));
    }

    fn apply_chunk(&mut self, chunk: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
        let begin = Instant::now();
        let applied = self.applier.apply(&entries).map_err(io::Error::other)?;
        self.publish();
        // Counted, and never looked at by what is applied.
        METRICS.apply.observe(seconds(begin.elapsed()));
        METRICS.entries_applied.inc_by(entries.len() as u64);
        for (responder, applied) in responders.into_iter().zip(applied) {
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let state = self.applier.state();
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        while let Some(first) = entries.next().await {
            let mut chunk = vec![first?];
            while chunk.len() < BATCH_ENTRIES {
                // Only what is there already: waiting for more would delay the answers to what we have.
                let Some(Some(next)) = entries.next().now_or_never() else { break };
                chunk.push(next?);
            }
            blocking::run(|| self.apply_chunk(chunk))?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        Builder { store: Arc::clone(&self.store), snapshots: Arc::clone(&self.snapshots) }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFiles) -> Result<(), io::Error> {
        let (store, snapshots, kept) = (Arc::clone(&self.store), Arc::clone(&self.snapshots), meta.clone());
        // The snapshot is kept before the state is replaced: after a crash in between, start-up finds a snapshot that is
        // ahead of the state and installs it again.
        let install = move || -> io::Result<()> {
            let files = snapshots.adopt(kept, snapshot)?;
            store.install(files.path()).map_err(io::Error::other)
        };
        blocking::aside(install).await?;
        self.applier.reload().map_err(io::Error::other)?;
        let installed = self.applier.state().last;
        if installed != meta.last_log_id {
            let what = format!("the snapshot says {:?} and its files say {installed:?}", meta.last_log_id);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let level = self.applier.settings().level;
        if !self.levels.include(level) {
            return Err(io::Error::other(ApplyError::Level { level, supported: self.levels }));
        }
        tracing::info!(revision = %self.applier.state().revision(), "installed a snapshot");
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self.snapshots.current())
    }
}

/// Makes a snapshot beside the running state: the checkpoint is consistent by itself, whatever is applied meanwhile.
pub struct Builder {
    store: Arc<dyn CheckpointStore>,
    snapshots: Arc<SnapshotFolder>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (store, snapshots) = (Arc::clone(&self.store), Arc::clone(&self.snapshots));
        let snapshot = blocking::aside(move || snapshots.build(&*store)).await?;
        tracing::info!(last = ?snapshot.meta.last_log_id, "built a snapshot");
        Ok(snapshot)
    }
}
