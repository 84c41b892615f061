//! Changes to tuples and the preconditions that guard them.

use serde::{Deserialize, Serialize};

use super::{Tuple, TupleFilter};

/// What to do with one tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpdateKind {
    /// Write; refuse the whole request when the tuple exists.
    Create,
    /// Write, whether or not it exists.
    Touch,
    /// Remove; nothing happens when it does not exist.
    Delete,
}

/// One change. A delete ignores the qualifiers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TupleUpdate {
    /// What to do.
    pub kind: UpdateKind,
    /// With which tuple.
    pub tuple: Tuple,
}

/// How a precondition judges its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PreconditionKind {
    /// At least one tuple matches.
    MustMatch,
    /// No tuple matches.
    MustNotMatch,
}

/// A condition on the state before the updates of the same request, judged where the log is applied.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Precondition {
    /// How to judge.
    pub kind: PreconditionKind,
    /// Which tuples to look for.
    pub filter: TupleFilter,
}
