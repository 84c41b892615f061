//! A schema compiled for evaluation: names as small numbers, rewrites flattened, and what can lead where known before the
//! first tuple is read.

mod backward;
mod circles;
mod compile;
mod compiled;
mod reach;

pub(super) use backward::{Backward, Step};
pub use compiled::Plan;
pub(super) use compiled::{Arrow, Body, Edge, Expr, MemberId, RelationPlan, TypeId};
pub(super) use reach::{ReachSet, SubjectKind};
