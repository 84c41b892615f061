//! What a simulation needs of replication beyond what a node does: a replica on a disk, a network and a clock that are not
//! the machine's, and what the bytes of its log mean.
//!
//! Public because `tests/sim` stands outside of the crate. Nothing here is of use to a node, and nothing in a node asks
//! whether it is simulated.

use std::sync::Arc;

use openraft::EntryPayload;

use super::clock::WallClock;
use super::codec::{self, CodecError};
use super::log::{LogCounters, LogDevice, LogStore};
use super::network::{Kind, Transport};
use super::replica::{Membership, Replica, ReplicaError, ReplicaOptions};
use super::types::Entry;
use super::{Command, identity};
use crate::store::CheckpointStore;
use crate::wire::quorate::peer::Envelope;

/// What a replica stands on.
pub struct Foundation<S> {
    /// Under the log.
    pub log: Arc<dyn LogDevice>,
    /// The state.
    pub state: Arc<S>,
    /// The way to the other nodes.
    pub transport: Arc<dyn Transport>,
    /// What it stamps into commands.
    pub clock: Arc<dyn WallClock>,
}

impl<S: CheckpointStore> Foundation<S> {
    /// Marks an empty log and state as those of `membership`, as [`Replica::format`] does.
    pub async fn format(&self, membership: Membership) -> Result<(), ReplicaError> {
        identity::write(&self.log_store()?, &*self.state, membership).await
    }

    /// Starts a replica, as [`Replica::open`] does. Of `options`, the folder is that of the snapshots.
    pub async fn start(self, options: ReplicaOptions) -> Result<Arc<Replica>, ReplicaError> {
        let log = self.log_store()?;
        Replica::start(options, log, self.state, self.transport, self.clock).await
    }

    fn log_store(&self) -> Result<LogStore, ReplicaError> {
        Ok(LogStore::over(Arc::clone(&self.log), Arc::new(LogCounters::default()))?)
    }
}

/// Whether a message asks for a vote: whoever gives one must remember it, whatever happens to its machine.
#[must_use]
pub fn asks_for_vote(envelope: &Envelope) -> bool {
    Kind::of(envelope).is_ok_and(|kind| kind == Kind::Vote)
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Where it is.
    pub index: u64,
    /// The term of the leader that appended it.
    pub term: u64,
    /// What it says; `None` for what Raft appends for itself.
    pub command: Option<Command>,
}

impl LoggedEntry {
    /// Reads an entry as a [`LogDevice`] keeps it.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let entry: Entry = codec::decode(bytes)?;
        let command = match entry.payload {
            EntryPayload::Normal(command) => Some(command),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        };
        Ok(Self { index: entry.log_id.index, term: entry.log_id.leader_id.term, command })
    }
}
