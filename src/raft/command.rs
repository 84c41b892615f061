//! What the log replicates. A command carries everything that apply needs, so that apply reads no clock and no
//! configuration and compiles no schema.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FeatureLevel;
use crate::model::{
    CounterName, Floor, IdempotencyKey, Locality, PlaceName, Precondition, Revision, StoreId, TimestampMs, TupleFilter,
    TupleKey, TupleUpdate, TypeName,
};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Made by the node that took the request; finds the entry again when the outcome of a proposal is unknown.
    pub op_id: u128,
    /// The proposing leader's clock. Apply takes the maximum of this and what it saw before.
    pub proposed_at: TimestampMs,
    /// What to do. Shared by whoever holds the entry: the log, what sends it to others, and what applies it.
    pub body: Arc<CommandBody>,
}

/// What a command does. Variants are appended, each with the level from which on it may be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandBody {
    /// Change tuples one by one.
    WriteTuples(WriteTuples),
    /// Remove the tuples that match a filter.
    DeleteTuples(DeleteTuples),
    /// Replace the schema.
    WriteSchema(WriteSchema),
    /// Register or unregister a relationship counter.
    ChangeCounter(ChangeCounter),
    /// Reserve a node id that was never used before, for a node at these addresses.
    AdmitNode(NodeAddress),
    /// Let go of the history below a revision.
    AdvanceWatermark {
        /// The oldest revision that stays readable.
        oldest: Revision,
    },
    /// Replace the floors.
    SetFloors(SetFloors),
    /// Raise the feature level. At every level, since it is proposed only when all members support the new one.
    RaiseLevel(RaiseLevel),
    /// Replace what is known of where a member is.
    PlaceNode {
        /// Which member.
        node_id: u64,
        /// Where it is.
        locality: Locality,
    },
    /// Replace the home region.
    SetHomeRegion {
        /// Where the leader is to be; `None` for anywhere.
        region: Option<PlaceName>,
    },
}

impl CommandBody {
    /// The request that this is to be the one effect of, if its client named it; and the store that it changes.
    #[must_use]
    pub fn keyed(&self) -> Option<(StoreId, &KeyedRequest)> {
        let (store, request) = match self {
            Self::WriteTuples(write) => (write.store, &write.request),
            Self::DeleteTuples(delete) => (delete.store, &delete.request),
            Self::WriteSchema(write) => (write.store, &write.request),
            Self::ChangeCounter(change) => (change.store, &change.request),
            Self::AdmitNode(_)
            | Self::AdvanceWatermark { .. }
            | Self::SetFloors(_)
            | Self::RaiseLevel(_)
            | Self::PlaceNode { .. }
            | Self::SetHomeRegion { .. } => return None,
        };
        Some((store, request.as_ref()?))
    }

    /// The level that the state must have before this may be proposed.
    #[must_use]
    pub fn level(&self) -> FeatureLevel {
        match self {
            Self::WriteTuples(_)
            | Self::DeleteTuples(_)
            | Self::WriteSchema(_)
            | Self::ChangeCounter(_)
            | Self::AdmitNode(_)
            | Self::AdvanceWatermark { .. }
            | Self::SetFloors(_)
            | Self::RaiseLevel(_) => FeatureLevel::FIRST,
            Self::PlaceNode { .. } | Self::SetHomeRegion { .. } => FeatureLevel::LOCALITIES,
        }
    }
}

/// A request that takes effect once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedRequest {
    /// What its client calls it.
    pub key: IdempotencyKey,
    /// Of what its client asked for, and of nothing that the proposer added: it is the same whenever it is asked again.
    pub digest: [u8; 32],
}

/// Changes to tuples, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteTuples {
    /// The store to change.
    pub store: StoreId,
    /// The schema that the updates were validated against; apply refuses when another is in force.
    pub schema_revision: Revision,
    /// Judged on the state before the updates.
    pub preconditions: Vec<Precondition>,
    /// In the order of the request, no tuple twice.
    pub updates: Vec<TupleUpdate>,
    /// The caller's metadata as JSON text; empty for none.
    pub metadata_json: String,
    /// What the client calls the request, if it may be sent again.
    pub request: Option<KeyedRequest>,
}

/// Removal by filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTuples {
    /// The store to change.
    pub store: StoreId,
    /// Judged on the state before the removal.
    pub preconditions: Vec<Precondition>,
    /// What to remove.
    pub filter: TupleFilter,
    /// Remove at most this many. What has expired goes last, and does not count for a refusal.
    pub limit: u64,
    /// Whether stopping at the limit with more to remove is success; else it is refused and nothing is removed.
    pub allow_partial: bool,
    /// The caller's metadata as JSON text; empty for none.
    pub metadata_json: String,
    /// What the client calls the request, if it may be sent again.
    pub request: Option<KeyedRequest>,
}

/// Replacement of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSchema {
    /// The store to change.
    pub store: StoreId,
    /// The schema that the change was judged against; `None` for none. Apply refuses when another is in force.
    pub replaces: Option<Revision>,
    /// Filters that must match nothing, or tuples would be orphaned. Expired tuples do not count.
    pub orphan_guards: Vec<TupleFilter>,
    /// Up to here, it is known that they match nothing: apply looks only at what was written later, so that its work does not
    /// grow with the data.
    pub judged_at: Revision,
    /// The latest time by which a tuple that they do match has expired: before that time the judgement does not hold.
    pub expired_by: TimestampMs,
    /// The new text.
    pub text: String,
    /// What the client calls the request, if it may be sent again.
    pub request: Option<KeyedRequest>,
}

/// A change to the relationship counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounter {
    /// The store to change.
    pub store: StoreId,
    /// Which counter.
    pub name: CounterName,
    /// What it counts from now on; `None` to unregister it.
    pub filter: Option<TupleFilter>,
    /// What the client calls the request, if it may be sent again.
    pub request: Option<KeyedRequest>,
}

/// Replacement of the floors of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFloors {
    /// The store to change.
    pub store: StoreId,
    /// The version that the change was made from; zero for none. Apply refuses when another is in force.
    pub replaces: Revision,
    /// The new floors, by type.
    pub floors: BTreeMap<TypeName, Floor>,
}

/// A raise of the feature level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseLevel {
    /// The new one.
    pub to: FeatureLevel,
    /// Who was known to support it. Apply refuses when somebody else is a member by then.
    pub members: BTreeSet<u64>,
}

/// Where a node is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `host:port` of the public API.
    pub client: String,
    /// `host:port` for the other nodes.
    pub peer: String,
}

/// What apply made of a command. The same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It took effect. For entries that are not commands, too.
    Done,
    /// Tuples were removed by filter.
    Deleted {
        /// How many.
        count: u64,
        /// Whether the limit stopped it while more matched.
        partial: bool,
    },
    /// A node id was reserved.
    Admitted {
        /// The id.
        node_id: u64,
    },
    /// It was refused as a whole and changed nothing.
    Refused(Refusal),
}

/// Why apply refused a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The schema in force is not the one that the command was validated against. Validate again and propose again.
    SchemaChanged {
        /// The one in force.
        current: Option<Revision>,
    },
    /// The precondition at this position did not hold.
    PreconditionFailed {
        /// Index into the command's preconditions.
        position: u32,
    },
    /// A CREATE met an existing tuple.
    AlreadyExists {
        /// The tuple.
        key: TupleKey,
    },
    /// The filter matches more than the limit.
    TooManyDeletes {
        /// The limit.
        limit: u64,
    },
    /// A counter of this name is registered.
    CounterExists,
    /// No counter of this name is registered.
    UnknownCounter,
    /// As many counters as there may be are registered.
    TooManyCounters {
        /// So many.
        limit: u64,
    },
    /// The schema change would orphan a tuple.
    WouldOrphan {
        /// Index into the command's guards.
        position: u32,
        /// One of the tuples in the way.
        example: TupleKey,
    },
    /// The floors in force are not the ones that the change was made from. Read them, and make it again.
    FloorsChanged {
        /// The version in force.
        current: Revision,
    },
    /// What was known of the data when the schema change was judged says nothing any more. Judge again.
    JudgementOutdated,
    /// The key of the request was used for another one.
    KeyReused,
    /// The state has not the level that the command needs, or has more than the command would raise it to.
    WrongLevel {
        /// The one that it has.
        current: FeatureLevel,
    },
    /// The members are not those that the command was made for.
    MembersChanged,
}
