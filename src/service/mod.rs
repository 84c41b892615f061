//! The use cases, as every front offers them: check, tuples, schema, administration.
//!
//! Must not know a transport. Dependencies come in through three seams: views ([`ViewSource`](crate::consistency::ViewSource)),
//! the log ([`Propose`](crate::raft::Propose)) and, for administration, [`ClusterAdmin`].
//!
//! A request is answered from one view, and every answer carries the zookie of that view.

mod backup;
mod check;
mod clock;
mod cluster;
mod consistency_request;
mod counters;
mod cursor;
mod evaluate;
mod floors;
#[cfg(test)]
mod floors_tests;
mod keyed;
mod lookup;
mod orphans;
mod outlet;
mod queue_wait;
mod reflection;
mod sandbox;
mod schema;
mod schema_cache;
mod schema_plan;
mod services;
mod spare_time;
mod staleness;
#[cfg(test)]
mod stream_ends;
#[cfg(test)]
pub(crate) mod testing;
mod tuples;
mod watch;

pub use crate::consistency::Raised;
pub use crate::engine::{
    CaveatProof, CaveatResult, CheckItem, Condition, ExcludedSubject, ExpandedBody, ExpandedTree, Explanation,
    FoundResource, FoundSubject, Proof, ResourceQuestion, Standing, Step, SubjectQuestion, TupleProof,
};
pub use crate::raft::{Changed, FeatureLevel, MemberChange, MemberReport};
pub use crate::store::Footprint;
pub use backup::{BackupFile, BackupManifest, BackupStream};
pub use check::{BulkCheckAnswer, CheckAnswer, Explain, Explained, ItemAnswer};
pub use cluster::{
    ClusterAdmin, ClusterFormed, ClusterStatus, JoinAs, JoinProgress, JoinStage, MemberStatus, NodePosition, NodeState,
    SnapshotTaken, Work,
};
pub use consistency_request::Consistency;
pub use counters::Count;
pub use floors::FloorsAnswer;
pub use keyed::Written;
pub use lookup::{ExpandAnswer, LookupResources, LookupSubjects, ResourceStream, ResourceWithCursor, SubjectStream};
pub use queue_wait::Door;
pub use reflection::{ComputableQuestion, ReflectionAnswer};
pub use sandbox::{Membership, Place, Sandbox, SandboxError, WithoutSubject};
pub use schema::{SchemaAnswer, WriteSchema};
pub use schema_plan::{Obstacle, SchemaPlan};
pub use services::{Call, ServiceLimits, Services};
pub use staleness::StalenessBound;
pub use tuples::{
    DeleteAnswer, DeleteTuples, ExportPage, ExportStream, ExportTuples, ReadTuples, TupleStream, TupleWithCursor,
    WriteTuples,
};
pub use watch::{Watch, WatchEvent, WatchKinds, WatchStart, WatchStream};
