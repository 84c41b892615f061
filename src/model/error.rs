//! The one error of the public interface. Each operation has its own error type inside; all of them end here, and each front
//! maps [`ErrorCode`] to its protocol in one place.

use std::fmt;
use std::time::Duration;

/// What went wrong, as a closed set: a front matches it without a wildcard arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A malformed field.
    InvalidArgument,
    /// The schema text does not parse.
    SchemaParse,
    /// The schema parses but does not hold together.
    SchemaType,
    /// A schema change would orphan stored tuples.
    SchemaInUse,
    /// More updates than [`super::limits::UPDATES_PER_WRITE`].
    TooManyUpdates,
    /// More preconditions than [`super::limits::PRECONDITIONS_PER_WRITE`].
    TooManyPreconditions,
    /// More checks than [`super::limits::CHECKS_PER_BULK`].
    TooManyChecks,
    /// One tuple twice in a write.
    DuplicateUpdate,
    /// The relation does not allow this type of subject.
    InvalidSubjectType,
    /// A wildcard subject where one object is needed.
    WildcardNotAllowed,
    /// A tuple names a permission where a relation belongs.
    CannotUpdatePermission,
    /// A filter with no field, or with fields that exclude each other.
    InvalidFilter,
    /// A precondition without a filter.
    EmptyPrecondition,
    /// A limit above what is allowed.
    LimitTooLarge,
    /// A delete that would remove more than it may at once.
    TooManyDeletes,
    /// A cursor that is damaged or belongs to another request.
    InvalidCursor,
    /// A zookie that is damaged or was not made by this product.
    InvalidZookie,
    /// A zookie of another cluster.
    ForeignZookie,
    /// A zookie beyond the end of the log.
    ZookieFromFuture,
    /// A zookie older than the retained history.
    RevisionExpired,
    /// A request that asks for less than the floor of its type, and cannot be raised to it.
    BelowFloor,
    /// A feature that this version does not have.
    Unsupported,
    /// Transaction metadata that is too large.
    MetadataTooLarge,
    /// A type that the schema does not define.
    UnknownDefinition,
    /// A relation or permission that the schema does not define.
    UnknownRelation,
    /// A relation where a permission is asked for.
    NotAPermission,
    /// A caveat that the schema does not define.
    UnknownCaveat,
    /// The condition of a caveat could not be judged.
    CaveatEvaluation,
    /// A value of a caveat's context that its parameter does not take.
    CaveatParameterType,
    /// The context stored with a relationship is too large.
    RelationshipContextTooLarge,
    /// A counter of this name exists.
    CounterExists,
    /// No counter has this name.
    UnknownCounter,
    /// A precondition did not hold; nothing was written.
    PreconditionFailed,
    /// The evaluation used up its budget.
    DepthExceeded,
    /// A CREATE of a tuple that exists; nothing was written.
    AlreadyExists,
    /// No schema was ever written.
    SchemaNotFound,
    /// Concurrent schema changes kept the write from being judged; nothing was written.
    Conflict,
    /// The node is not in the state that the operation is for: a member where none is wanted, or none where one is.
    WrongState,
    /// No credentials.
    Unauthenticated,
    /// Wrong credentials.
    PermissionDenied,
    /// Credentials that are good, and not for this.
    ScopeMissing,
    /// This node cannot serve now: not a member yet, no leader, or stopping. Nothing was done.
    Unavailable,
    /// The deadline passed before the answer was known. Nothing was written.
    DeadlineExceeded,
    /// A write was proposed, and whether it took effect is not known.
    OutcomeUnknown,
    /// A bound on concurrency or queue length was reached. Nothing was done.
    ResourceExhausted,
    /// More requests came than may come in their time. Nothing was done.
    RateLimited,
    /// A bug or a failed disk.
    Internal,
    /// An idempotency key that was used for another request. Nothing was written.
    IdempotencyKeyReused,
    /// No member of the cluster has this id. Nothing was done.
    UnknownNode,
    /// A member does not answer the leader, or lacks too much of the log. Nothing was done.
    NodeBehind,
    /// Another change to the members is under way. Nothing was done.
    MembersBusy,
    /// A change to the members that would leave no majority that answers. Nothing was done.
    QuorumAtRisk,
    /// Leadership moved to another node than the one asked for.
    AnotherLeads,
}

/// An error of the public interface: a code for programs, a message for people that says what to do, and named details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub code: ErrorCode,
    /// For a person: what, and what to do about it.
    pub message: String,
    /// For a program: `ErrorInfo.metadata` on the wire.
    pub details: Vec<(&'static str, String)>,
    /// For a program: when the same may be tried again, where that is known. `RetryInfo` on the wire.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), retry_after: None }
    }

    /// The same error, for one who may try again after this time.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<super::NameError> for Error {
    fn from(error: super::NameError) -> Self {
        Self::new(ErrorCode::InvalidArgument, error.to_string())
    }
}
