//! Replication: everything between "this command should happen" and "it happened at this index, on every node".
//!
//! Reads downward: `replica` (one node's part) → `propose` (→ `forward`), `read_index`, `members` → `network`, `state_machine` →
//! `apply`, `log`, `snapshot` → `codec`. openraft's types stay inside this folder. It must not know evaluation or the public
//! API.

mod apply;
mod backlog;
mod backup;
mod blocking;
mod clock;
mod codec;
mod command;
mod contract;
#[cfg(test)]
mod crash_tests;
mod elections;
mod forward;
mod founding;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
mod history;
mod identity;
mod leader;
mod level;
mod log;
mod members;
mod network;
mod propose;
mod read_index;
mod repeat;
mod replica;
mod reports;
pub mod simulation;
mod snapshot;
mod state_machine;
mod status;
#[cfg(test)]
mod storage_suite;
#[cfg(test)]
mod testing;
mod types;

pub use apply::{ClusterSettings, FloorTable};
pub use backup::StateFiles;
pub use clock::{Moment, SystemClock, WallClock, monotonic, wall_clock};
pub use codec::CodecError;
pub use command::{
    ChangeCounter, Command, CommandBody, DeleteTuples, KeyedRequest, NodeAddress, Outcome, RaiseLevel, Refusal,
    SetFloors, WriteSchema, WriteTuples,
};
pub use contract::{Applied, Propose, ProposeError};
pub use founding::{
    BackedUp, Forebear, LostMember, RestoreError, SurvivalReport, Survivor, SurvivorError, forebears, inspect_backup,
    restore,
};
pub use history::HistoryOptions;
pub use level::{FeatureLevel, SupportedLevels};
pub use log::{Completion, EntryVisitor, LogChange, LogDevice, LogError, LogSpace};
pub use members::{AdmissionError, ChangeError, Changed, MemberChange, request_admission, request_promotion};
pub use network::{Announcement, CallError, Connections, PeerServer, Removal, Rpc, Transport};
pub use propose::Proposer;
pub use read_index::ReadIndex;
pub use repeat::recall;
pub use replica::{Membership, Replica, ReplicaError, ReplicaOptions};
pub use reports::MemberReport;
pub use state_machine::AppliedMark;
pub use status::{MemberStatus, ReplicaStatus, Role};
#[cfg(test)]
pub(crate) use testing::{apply_alone, floors_of};
