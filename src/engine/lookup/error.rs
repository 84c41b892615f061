//! Why a lookup has no answer, or no more of it.

use crate::engine::CheckError;
use crate::model::{Error, ErrorCode, ObjectRef};
use crate::store::StoreError;

/// Why a lookup ended before its end. None of these may be read as the end of the results.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// A candidate cannot be judged, or a name is not in the schema.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The subject is a wildcard.
    #[error("`{subject}` is not one subject; a lookup of resources needs the id of one subject")]
    WildcardSubject {
        /// The subject.
        subject: ObjectRef,
    },
    /// The lookup needs more tuples than it may read.
    #[error("the lookup would read more than {max_reads} relationships; ask for a narrower permission")]
    ReadsExceeded {
        /// The bound.
        max_reads: u64,
    },
    /// The lookup meets more objects than it may remember.
    #[error("the lookup meets more than {max_seen} objects on its way; ask for a narrower permission")]
    SeenExceeded {
        /// The bound.
        max_seen: usize,
    },
    /// Everyone has the permission but too many to name.
    #[error(
        "everyone has the permission except for more than {max_excluded} subjects, which is too many to name; check the \
         subjects in question one by one"
    )]
    ExcludedExceeded {
        /// The bound.
        max_excluded: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Self {
        let message = error.to_string();
        match error {
            LookupError::Check(error) => error.into(),
            LookupError::WildcardSubject { .. } => {
                Self::new(ErrorCode::WildcardNotAllowed, message).with("field", "subject_id")
            }
            LookupError::ReadsExceeded { max_reads } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_reads_allowed", max_reads)
            }
            LookupError::SeenExceeded { max_seen } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_objects_allowed", max_seen)
            }
            LookupError::ExcludedExceeded { max_excluded } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_excluded_allowed", max_excluded)
            }
            LookupError::Store(error) => error.into(),
        }
    }
}
