//! The seam towards the services: propose a command, learn where it was applied and what became of it.

use std::time::Instant;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{CommandBody, Outcome};
use crate::model::{Error, ErrorCode, Revision};

/// A command that was committed and applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its log index: the zookie of the write.
    pub revision: Revision,
    /// What became of it.
    pub outcome: Outcome,
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
        "nothing was written: the request takes {bytes} bytes in the log, the limit is {limit}; split it (a schema: remove fewer things at once, since what each \
             must not orphan counts)"
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
