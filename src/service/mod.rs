//! The use cases, as every front offers them: check, tuples, schema, administration.
//!
//! Must not know a transport. Dependencies come in through three seams: views ([`ViewSource`](crate::consistency::ViewSource)),
//! the log ([`Propose`](crate::raft::Propose)) and, for administration, [`ClusterAdmin`].
//!
//! A request is answered from one view, and every answer carries the zookie of that view.

mod check;
mod cluster;
mod consistency_request;
mod counters;
mod cursor;
mod evaluate;
mod lookup;
mod orphans;
mod reflection;
mod sandbox;
mod schema;
mod schema_cache;
mod schema_plan;
mod services;
mod staleness;
#[cfg(test)]
pub(crate) mod testing;
mod tuples;
mod watch;

pub use crate::engine::{
    CaveatProof, CaveatResult, CheckItem, Condition, ExcludedSubject, ExpandedBody, ExpandedTree, Explanation,
    FoundResource, FoundSubject, Proof, ResourceQuestion, Standing, Step, SubjectQuestion, TupleProof,
};
pub use check::{BulkCheckAnswer, CheckAnswer, Explain, Explained, ItemAnswer};
pub use cluster::{
    ClusterAdmin, ClusterFormed, ClusterStatus, JoinProgress, JoinStage, MemberStatus, NodePosition, NodeState,
    SnapshotTaken,
};
pub use consistency_request::Consistency;
pub use counters::Count;
pub use lookup::{ExpandAnswer, LookupResources, LookupSubjects, ResourceStream, ResourceWithCursor, SubjectStream};
pub use reflection::{ComputableQuestion, ReflectionAnswer};
pub use sandbox::{Membership, Place, Sandbox, SandboxError, WithoutSubject};
pub use schema::SchemaAnswer;
pub use schema_plan::{Obstacle, SchemaPlan};
pub use services::{Call, ServiceLimits, Services};
pub use staleness::StalenessBound;
pub use tuples::{
    DeleteAnswer, DeleteTuples, ExportPage, ExportTuples, ReadTuples, TupleStream, TupleWithCursor, WriteTuples,
};
pub use watch::{Watch, WatchEvent, WatchKinds, WatchStart, WatchStream};
