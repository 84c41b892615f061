//! How a message gets to another node: the seam below everything that nodes say to each other.
//!
//! gRPC is behind it in every node; a simulation puts a network there that delays, loses and cuts.

use futures::future::BoxFuture;
use tokio_stream::wrappers::ReceiverStream;

use super::envelope::Removal;
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};

/// Which of the peer service's calls to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rpc {
    /// Raft's heartbeats, which nothing may delay.
    Heartbeat,
    /// All other messages of Raft.
    Raft,
    /// A snapshot.
    Snapshot,
    /// A write that a follower took.
    Propose,
    /// Several of them.
    ProposeMany,
    /// The index that a linearizable read must wait for.
    ReadIndex,
    /// A node id for a new node.
    Admit,
    /// A vote for a new node.
    Promote,
    /// A change to the members that a follower was asked for.
    ChangeMembers,
    /// What the other node says of itself.
    Status,
}

/// Why a call gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other node was not reached: it surely did nothing.
    #[error("{address} cannot be reached: {reason}")]
    NotSent {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The other node refused before it did anything.
    #[error("{address} refused: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The version that the other node runs knows no such message; it did nothing.
    #[error("{address} runs a version that does not know of this: {reason}")]
    NotUnderstood {
        /// Where.
        address: String,
        /// What it said.
        reason: String,
    },
    /// A node wants to become a member at the address of another one. No member would have it.
    #[error("{reason}")]
    AddressTaken {
        /// What a member says of that.
        reason: String,
    },
    /// The other node knows that this one was removed from the cluster, and did nothing.
    #[error("{address} knows that this node was removed from the cluster")]
    Removed {
        /// Where.
        address: String,
        /// Its word for it.
        removal: Removal,
    },
    /// The message may have arrived and may still take effect.
    #[error("no answer from {address}: {reason}")]
    Lost {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
}

impl CallError {
    /// Whether the other node answered, and that it will not do it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NotUnderstood { .. } | Self::AddressTaken { .. } | Self::Removed { .. } => {
                true
            }
            Self::NotSent { .. } | Self::Lost { .. } => false,
        }
    }
}

/// Carries messages to other nodes. Whoever waits for a reply sets the time limit; giving up is dropping the future.
pub trait Transport: Send + Sync + 'static {
    /// Sends one message; its reply.
    fn call(&self, rpc: Rpc, address: &str, envelope: Envelope) -> BoxFuture<'_, Result<Reply, CallError>>;

    /// Sends a snapshot; the reply once it is installed.
    fn send_snapshot(
        &self,
        address: &str,
        parts: ReceiverStream<SnapshotPart>,
    ) -> BoxFuture<'_, Result<Reply, CallError>>;

    /// A call to `address` failed otherwise than by a refusal: the next one begins anew.
    fn reconnect(&self, rpc: Rpc, address: &str);
}
