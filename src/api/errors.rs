//! Errors on the wire: the one place that turns an [`ErrorCode`] into a gRPC code and a `google.rpc.ErrorInfo`.
//!
//! Clients of SpiceDB branch on the code and on the reason, so both are the ones that SpiceDB gives in the same case. Where it
//! has no reason, the domain is our own.

use std::collections::HashMap;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::model::{Error, ErrorCode};
use crate::wire::authzed::v1::ErrorReason;
use crate::wire::google::rpc;

/// The domain of reasons that SpiceDB has.
const AUTHZED: &str = "authzed.com";
/// The domain of reasons that only we have.
const QUORATE: &str = "quorate";

/// Why, for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Authzed(ErrorReason),
    Own(&'static str),
}

impl Reason {
    fn domain_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Authzed(reason) => (AUTHZED, reason.as_str_name()),
            Self::Own(name) => (QUORATE, name),
        }
    }
}

/// The status of a failed call.
#[must_use]
pub fn to_status(error: Error) -> Status {
    let (code, reason) = code_and_reason(error.code);
    let message = if error.code == ErrorCode::Internal {
        // The details are for the operator; a client can only report that it happened.
        tracing::error!(message = %error.message, "a request failed by a fault of this node");
        "an internal error occurred; the log of the node says more".to_owned()
    } else {
        error.message
    };
    let (domain, name) = reason.domain_and_name();
    let details: HashMap<String, String> =
        error.details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut shown = ErrorDetails::with_error_info(name, domain, details);
    if error.retry_after.is_some() {
        shown.set_retry_info(error.retry_after);
    }
    Status::with_error_details(code, message, shown)
}

/// The status of one item inside a response.
pub(super) fn to_rpc_status(error: Error) -> rpc::Status {
    let status = to_status(error);
    // `to_status` put exactly this message into the details.
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn code_and_reason(code: ErrorCode) -> (Code, Reason) {
    use ErrorReason as R;
    use Reason::{Authzed, Own};
    match code {
        ErrorCode::InvalidArgument => (Code::InvalidArgument, Own("INVALID_ARGUMENT")),
        ErrorCode::SchemaParse => (Code::InvalidArgument, Authzed(R::SchemaParseError)),
        ErrorCode::SchemaType => (Code::FailedPrecondition, Authzed(R::SchemaTypeError)),
        ErrorCode::SchemaInUse => (Code::InvalidArgument, Authzed(R::SchemaTypeError)),
        ErrorCode::TooManyUpdates => (Code::InvalidArgument, Authzed(R::TooManyUpdatesInRequest)),
        ErrorCode::TooManyPreconditions => (Code::InvalidArgument, Authzed(R::TooManyPreconditionsInRequest)),
        ErrorCode::TooManyChecks => (Code::InvalidArgument, Authzed(R::TooManyChecksInRequest)),
        ErrorCode::DuplicateUpdate => (Code::InvalidArgument, Authzed(R::UpdatesOnSameRelationship)),
        ErrorCode::InvalidSubjectType => (Code::InvalidArgument, Authzed(R::InvalidSubjectType)),
        ErrorCode::WildcardNotAllowed => (Code::InvalidArgument, Authzed(R::WildcardNotAllowed)),
        ErrorCode::CannotUpdatePermission => (Code::InvalidArgument, Authzed(R::CannotUpdatePermission)),
        ErrorCode::InvalidFilter => (Code::InvalidArgument, Authzed(R::InvalidFilter)),
        ErrorCode::EmptyPrecondition => (Code::InvalidArgument, Authzed(R::EmptyPrecondition)),
        ErrorCode::LimitTooLarge => (Code::InvalidArgument, Authzed(R::ExceedsMaximumAllowableLimit)),
        ErrorCode::TooManyDeletes => (Code::InvalidArgument, Authzed(R::TooManyRelationshipsForTransactionalDelete)),
        ErrorCode::InvalidCursor => (Code::InvalidArgument, Authzed(R::InvalidCursor)),
        ErrorCode::InvalidZookie => (Code::InvalidArgument, Own("INVALID_ZOOKIE")),
        ErrorCode::ForeignZookie => (Code::FailedPrecondition, Own("FOREIGN_ZOOKIE")),
        ErrorCode::ZookieFromFuture => (Code::OutOfRange, Own("ZOOKIE_FROM_FUTURE")),
        ErrorCode::RevisionExpired => (Code::OutOfRange, Own("REVISION_EXPIRED")),
        // Not UNAVAILABLE: no other node answers it either.
        ErrorCode::BelowFloor => (Code::FailedPrecondition, Own("BELOW_FLOOR")),
        ErrorCode::Unsupported => (Code::Unimplemented, Own("UNSUPPORTED")),
        ErrorCode::MetadataTooLarge => (Code::InvalidArgument, Authzed(R::TransactionMetadataTooLarge)),
        ErrorCode::UnknownDefinition => (Code::FailedPrecondition, Authzed(R::UnknownDefinition)),
        ErrorCode::UnknownRelation => (Code::FailedPrecondition, Authzed(R::UnknownRelationOrPermission)),
        ErrorCode::NotAPermission => (Code::InvalidArgument, Authzed(R::UnknownRelationOrPermission)),
        ErrorCode::UnknownCaveat => (Code::FailedPrecondition, Authzed(R::UnknownCaveat)),
        ErrorCode::CaveatEvaluation => (Code::InvalidArgument, Authzed(R::CaveatEvaluationError)),
        ErrorCode::CaveatParameterType => (Code::InvalidArgument, Authzed(R::CaveatParameterTypeError)),
        ErrorCode::RelationshipContextTooLarge => (Code::InvalidArgument, Authzed(R::MaxRelationshipContextSize)),
        ErrorCode::CounterExists => (Code::FailedPrecondition, Authzed(R::CounterAlreadyRegistered)),
        ErrorCode::UnknownCounter => (Code::FailedPrecondition, Authzed(R::CounterNotRegistered)),
        ErrorCode::PreconditionFailed => (Code::FailedPrecondition, Authzed(R::WriteOrDeletePreconditionFailure)),
        // Not RESOURCE_EXHAUSTED: clients repeat that by themselves, and it would come to the same.
        ErrorCode::DepthExceeded => (Code::FailedPrecondition, Authzed(R::MaximumDepthExceeded)),
        ErrorCode::AlreadyExists => (Code::AlreadyExists, Authzed(R::AttemptToRecreateRelationship)),
        ErrorCode::SchemaNotFound => (Code::NotFound, Own("SCHEMA_NOT_FOUND")),
        ErrorCode::WrongState => (Code::FailedPrecondition, Own("WRONG_STATE")),
        ErrorCode::Conflict => (Code::Aborted, Authzed(R::SerializationFailure)),
        ErrorCode::Unauthenticated => (Code::Unauthenticated, Own("UNAUTHENTICATED")),
        ErrorCode::PermissionDenied => (Code::PermissionDenied, Own("PERMISSION_DENIED")),
        ErrorCode::ScopeMissing => (Code::PermissionDenied, Own("SCOPE_MISSING")),
        ErrorCode::Unavailable => (Code::Unavailable, Own("UNAVAILABLE")),
        ErrorCode::DeadlineExceeded => (Code::DeadlineExceeded, Own("DEADLINE_EXCEEDED")),
        // Not UNAVAILABLE or ABORTED: clients repeat those by themselves, and a write must not be repeated blindly.
        ErrorCode::OutcomeUnknown => (Code::DeadlineExceeded, Own("OUTCOME_UNKNOWN")),
        ErrorCode::ResourceExhausted => (Code::ResourceExhausted, Own("RESOURCE_EXHAUSTED")),
        ErrorCode::RateLimited => (Code::ResourceExhausted, Own("RATE_LIMITED")),
        ErrorCode::Internal => (Code::Internal, Own("INTERNAL")),
        // Not ALREADY_EXISTS: that is how clients hear of a CREATE that came too late, and some take it for success.
        ErrorCode::IdempotencyKeyReused => (Code::FailedPrecondition, Own("IDEMPOTENCY_KEY_REUSED")),
        ErrorCode::UnknownNode => (Code::NotFound, Own("UNKNOWN_NODE")),
        ErrorCode::NodeBehind => (Code::FailedPrecondition, Own("NODE_BEHIND")),
        ErrorCode::MembersBusy => (Code::Aborted, Own("MEMBERS_BUSY")),
        ErrorCode::QuorumAtRisk => (Code::FailedPrecondition, Own("QUORUM_AT_RISK")),
        ErrorCode::AnotherLeads => (Code::Aborted, Own("ANOTHER_LEADS")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_code_message_reason_and_details() {
        let cases = [
            (ErrorCode::UnknownDefinition, Code::FailedPrecondition, AUTHZED, "ERROR_REASON_UNKNOWN_DEFINITION"),
            (ErrorCode::SchemaInUse, Code::InvalidArgument, AUTHZED, "ERROR_REASON_SCHEMA_TYPE_ERROR"),
            (ErrorCode::SchemaType, Code::FailedPrecondition, AUTHZED, "ERROR_REASON_SCHEMA_TYPE_ERROR"),
            (ErrorCode::AlreadyExists, Code::AlreadyExists, AUTHZED, "ERROR_REASON_ATTEMPT_TO_RECREATE_RELATIONSHIP"),
            (ErrorCode::OutcomeUnknown, Code::DeadlineExceeded, QUORATE, "OUTCOME_UNKNOWN"),
            (ErrorCode::SchemaNotFound, Code::NotFound, QUORATE, "SCHEMA_NOT_FOUND"),
            (ErrorCode::Unsupported, Code::Unimplemented, QUORATE, "UNSUPPORTED"),
            (ErrorCode::RevisionExpired, Code::OutOfRange, QUORATE, "REVISION_EXPIRED"),
        ];
        for (code, grpc, domain, reason) in cases {
            let error = Error::new(code, "what to do").with("name", "value");
            let item = to_rpc_status(error.clone());
            let status = to_status(error);
            let info = status.get_details_error_info().expect("every error has one");
            assert_eq!((status.code(), status.message()), (grpc, "what to do"), "{code:?}");
            assert_eq!((info.domain.as_str(), info.reason.as_str()), (domain, reason), "{code:?}");
            assert_eq!(info.metadata.get("name").map(String::as_str), Some("value"), "{code:?}");
            assert_eq!((item.code, item.message.as_str(), item.details.len()), (grpc as i32, "what to do", 1));
        }
    }

    #[test]
    fn an_internal_error_keeps_its_details_in_the_log() {
        let status = to_status(Error::new(ErrorCode::Internal, "storage engine: /data/state: checksum"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("/data"), "{}", status.message());
    }
}
