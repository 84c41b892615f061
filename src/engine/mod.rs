//! Evaluation: a schema compiled into a plan, and checks over one view of the tuples.
//!
//! Synchronous and without clocks: an answer is a function of plan, view and request. A clock only says when nobody waits for
//! it any more. Knows nothing of Raft, of RPC or of how the view came to be.

mod budget;
mod check;
mod circumstances;
mod error;
mod expand;
mod explanation;
mod lookup;
mod plan;
#[cfg(test)]
mod property;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod testbed;
mod waiter;

pub use budget::{Budget, DEFAULT_MAX_CAVEAT_STEPS, DEFAULT_MAX_DEPTH, DEFAULT_MAX_STEPS};
pub use check::{CheckItem, CheckOutcome, check, check_bulk, explain};
pub use circumstances::Circumstances;
pub use error::CheckError;
pub use expand::{ExpandError, ExpandedBody, ExpandedTree, expand};
pub use explanation::{
    CaveatProof, CaveatResult, Condition, Explanation, ExplanationRoom, Proof, Standing, Step, TupleProof,
};
pub use lookup::{
    ExcludedSubject, FoundResource, FoundSubject, LookupBounds, LookupError, ResourceLookup, ResourceQuestion,
    SubjectLookup, SubjectQuestion, Turn,
};
pub use plan::Plan;
pub use waiter::Waiter;
