//! What became of a call, read from its answer: so that the audit log says what the client was told.

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::api::answer::code_name;
use crate::audit::Outcome;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) code: &'static str,
    pub(super) reason: Option<String>,
}

impl Ending {
    /// Nobody waited for the answer.
    pub(super) fn abandoned() -> Self {
        Self { outcome: Outcome::Unknown, code: "CANCELLED", reason: None }
    }

    /// What is in the trailers, or in the headers of an answer without a body. `is_plain` for calls that had no effect at all
    /// when they fail and do not say otherwise.
    pub(super) fn of(headers: &HeaderMap, is_plain: bool) -> Self {
        let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok);
        let Some(status) = status else { return Self { outcome: Outcome::Done, code: "OK", reason: None } };
        let details = status.get_details_error_info();
        let loaded = details.as_ref().and_then(|info| info.metadata.get("relationships_loaded"));
        let reason = details.as_ref().map(|info| info.reason.clone());
        let is_unknown = matches!(reason.as_deref(), Some("OUTCOME_UNKNOWN" | "INTERNAL") | None);
        let outcome = match loaded {
            _ if is_unknown => Outcome::Unknown,
            Some(count) if count != "0" => Outcome::Partly,
            Some(_) | None if is_plain => Outcome::Refused,
            Some(_) | None => Outcome::Failed,
        };
        Self { outcome, code: code_name(status.code()), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::errors::to_status;
    use crate::model::{Error, ErrorCode};

    #[test]
    fn an_outcome_is_what_the_client_was_told() {
        let of = |error: Error, is_plain| {
            let headers = to_status(error).into_http::<()>().headers().clone();
            Ending::of(&headers, is_plain)
        };
        let cases = [
            (ErrorCode::PreconditionFailed, true, Outcome::Refused),
            (ErrorCode::Unavailable, true, Outcome::Refused),
            (ErrorCode::Unavailable, false, Outcome::Failed),
            (ErrorCode::OutcomeUnknown, true, Outcome::Unknown),
            (ErrorCode::OutcomeUnknown, false, Outcome::Unknown),
            (ErrorCode::Internal, true, Outcome::Unknown),
        ];
        for (code, is_plain, expected) in cases {
            assert_eq!(of(Error::new(code, "why"), is_plain).outcome, expected, "{code:?}");
        }
        let stopped = |loaded: u64| Error::new(ErrorCode::AlreadyExists, "why").with("relationships_loaded", loaded);
        assert_eq!(of(stopped(0), true).outcome, Outcome::Refused);
        let partly = Ending {
            outcome: Outcome::Partly,
            code: "ALREADY_EXISTS",
            reason: Some("ERROR_REASON_ATTEMPT_TO_RECREATE_RELATIONSHIP".to_owned()),
        };
        assert_eq!(of(stopped(7), true), partly);
        assert_eq!(Ending::of(&HeaderMap::new(), true).outcome, Outcome::Done);
    }
}
