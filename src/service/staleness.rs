//! How old an answer may be, where a client says so beside its request.

use std::time::Duration;

use crate::consistency::Requirement;
use crate::model::{Error, ErrorCode};

/// What a client demands beyond the consistency of its request. It only ever makes an answer fresher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StalenessBound {
    /// Nothing.
    #[default]
    None,
    /// No older than this.
    Within {
        /// How old.
        bound: Duration,
        /// Whether the node may not ask the leader for it.
        local_only: bool,
    },
    /// At most so many log entries behind.
    Lag(u64),
    /// Something that says nothing; the request is refused.
    Malformed,
}

impl StalenessBound {
    /// The requirement that it is by itself.
    pub(super) fn requirement(self) -> Result<Option<Requirement>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Within { bound, local_only } => Ok(Some(Requirement::MaxStaleness { bound, local_only })),
            Self::Lag(entries) => Ok(Some(Requirement::MaxLag(entries))),
            Self::Malformed => {
                const MESSAGE: &str = "the bound on staleness is not understood: quorate-max-staleness is a number with ms or \
                                       s, such as 250ms; quorate-max-lag is a number of log entries; only one of them; \
                                       quorate-local-only: true goes with the former";
                Err(Error::new(ErrorCode::InvalidArgument, MESSAGE))
            }
        }
    }
}
