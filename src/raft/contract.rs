//! The seam towards the services: propose a command, learn where it was applied and what became of it.

use std::time::Instant;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{CommandBody, Outcome};
use crate::model::{Error, ErrorCode, Revision};

/// What became of an entry that was committed and applied. The same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The log index of its effect: the zookie of the write. For a repetition that of the first one.
    pub revision: Revision,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it repeats a request that took effect before, so that nothing changed by it.
    pub repeated: bool,
}

impl Applied {
    /// An entry that was looked at for what it is.
    #[must_use]
    pub fn first(revision: Revision, outcome: Outcome) -> Self {
        Self { revision, outcome, repeated: false }
    }
}

/// Why a proposal gave no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ProposeError {
    /// It surely did not enter the log. Trying again is safe.
    #[error("nothing was written: {0}")]
    NotProposed(String),
    /// It may or may not take effect.
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
    /// Too many proposals are waiting. It surely did not enter the log.
    #[error("nothing was written: too many writes are waiting; slow down and try again")]
    Overloaded,
    /// It is larger than a log entry may be. It surely did not enter the log.
    #[error(
        "nothing was written: the request takes {bytes} bytes in the log, the limit is {limit}; split it (a schema: remove \
         fewer things at once, since what each must not orphan counts)"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        let code = match &error {
            ProposeError::NotProposed(_) => ErrorCode::Unavailable,
            ProposeError::Unknown(_) => ErrorCode::OutcomeUnknown,
            ProposeError::Overloaded => ErrorCode::ResourceExhausted,
            ProposeError::TooLarge { .. } => ErrorCode::InvalidArgument,
        };
        Self::new(code, error.to_string())
    }
}

/// Replicates commands. On a node that does not lead, the proposal is forwarded.
pub trait Propose: Send + Sync {
    /// Proposes `body` and waits until it is committed and applied where the leader is.
    fn propose(&self, body: CommandBody, deadline: Instant) -> BoxFuture<'_, Result<Applied, ProposeError>>;
}
