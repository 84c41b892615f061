//! What a failed call means for the one who made it: whether it may be made again, whether its outcome is known, and what
//! a person is told.
//!
//! The rule is decided here, once: a read may be sent again, and a write that has a key; any other write only when it surely
//! did not take effect.

use rustls::AlertDescription;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use super::failure::Failure;

/// Whether a call changes anything: it decides what an unanswered call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Read,
    /// It writes.
    Write,
    /// It writes under a key, so that it takes effect once however often it is sent.
    KeyedWrite,
}

/// How far a failed call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// There was no connection to send it on.
    NotSent,
    /// The server answered with an error.
    Answered,
    /// It was sent, and no answer came back.
    Lost,
}

/// What a server says that does not take the certificate of a client, or wants one. In TLS 1.3 it comes after what is the end
/// of the handshake for the client; a server that says it has looked at nothing that came with it.
const REFUSALS: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::DecryptError,
];

/// The refusal in `error`. HTTP/2 hands on the text of an error of the connection, and not the error.
fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let said = error.to_string();
    REFUSALS.into_iter().map(|alert| rustls::Error::AlertReceived(alert).to_string()).find(|alert| said.contains(alert))
}

/// What led to `status`, outermost first. A status that a server sent has no causes; one made on this side has what went wrong.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |error| error.source())
}

/// Whether the connection ended while the call still waited to be put on it.
fn closed_before(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
}

fn delivery(status: &Status) -> Delivery {
    if causes(status).next().is_none() {
        return Delivery::Answered;
    }
    let is_unsent = |error: &(dyn std::error::Error + 'static)| {
        error.is::<ConnectError>() || closed_before(error) || refusal(error).is_some()
    };
    if causes(status).any(is_unsent) { Delivery::NotSent } else { Delivery::Lost }
}

/// What went wrong with TLS, if that was it.
fn tls_problem(status: &Status) -> Option<String> {
    causes(status).find_map(|error| {
        // An error of the system hides the one that it was made of from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let problem = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        problem.map(ToString::to_string).or_else(|| refusal(error))
    })
}

/// Something other than the public API of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WrongServer {
    /// It speaks gRPC, and serves other calls: the port for the other nodes does.
    OtherCalls,
    /// It does not speak gRPC: the JSON gateway does not.
    OtherProtocol,
}

/// A call that failed on every node that could be asked.
#[derive(Debug)]
pub(super) struct CallError {
    effect: Effect,
    delivery: Delivery,
    endpoint: String,
    status: Status,
}

impl CallError {
    /// What `status` means for a call of this `effect` to `endpoint`.
    pub(super) fn new(effect: Effect, endpoint: &str, status: Status) -> Self {
        Self { effect, delivery: delivery(&status), endpoint: endpoint.to_owned(), status }
    }

    /// An error in the middle of a stream of answers.
    pub(super) fn in_stream(status: Status) -> Self {
        Self::new(Effect::Read, "the node", status)
    }

    /// The reason that the server gave, without its prefix: `UNKNOWN_DEFINITION`.
    pub(super) fn reason(&self) -> Option<String> {
        let info = self.status.get_details_error_info()?;
        Some(info.reason.strip_prefix("ERROR_REASON_").unwrap_or(&info.reason).to_owned())
    }

    /// The code that the server gave, or that stands for what went wrong before it could.
    pub(super) fn code(&self) -> Code {
        self.status.code()
    }

    /// What was said.
    pub(super) fn message(&self) -> &str {
        self.status.message()
    }

    /// Whether there is no such thing, as before the first schema was written.
    pub(super) fn is_not_found(&self) -> bool {
        self.status.code() == Code::NotFound
    }

    /// Whether the call can be made elsewhere: nothing changed by it, or nothing will change by it twice.
    pub(super) fn another_may_answer(&self) -> bool {
        match (self.delivery, self.effect) {
            (Delivery::NotSent, _) => true,
            (Delivery::Answered, Effect::KeyedWrite) if self.outcome_unknown() => true,
            // A server that says UNAVAILABLE did nothing: that is its contract. Nor did one that serves no such call.
            (Delivery::Answered, effect) => {
                self.status.code() == Code::Unavailable
                    || match self.wrong_server() {
                        Some(WrongServer::OtherCalls) => true,
                        Some(WrongServer::OtherProtocol) => effect == Effect::Read,
                        None => false,
                    }
            }
            (Delivery::Lost, Effect::Read | Effect::KeyedWrite) => !self.timed_out(),
            (Delivery::Lost, Effect::Write) => false,
        }
    }

    /// Whether there was no connection to send the call on.
    pub(super) fn is_unsent(&self) -> bool {
        self.delivery == Delivery::NotSent
    }

    /// The same error, of a call that could be sent to none of `endpoints`.
    #[must_use]
    pub(super) fn of_all(self, endpoints: &[&str]) -> Self {
        Self { endpoint: endpoints.join(", "), ..self }
    }

    /// What answers there, if it looks like something other than the public API of a node.
    fn wrong_server(&self) -> Option<WrongServer> {
        if self.delivery != Delivery::Answered || self.reason().is_some() {
            return None;
        }
        // What the client makes of bytes that are no gRPC message, such as the first one of a page or of JSON.
        const NOT_GRPC: [&str; 2] = ["invalid compression flag", "invalid content-type"];
        match self.status.code() {
            Code::Unimplemented => Some(WrongServer::OtherCalls),
            _ if NOT_GRPC.iter().any(|sign| self.status.message().contains(sign)) => Some(WrongServer::OtherProtocol),
            _ => None,
        }
    }

    /// Whether the same call may succeed later. For calls that may be repeated whatever became of them.
    pub(super) fn is_transient(&self) -> bool {
        self.delivery != Delivery::Answered
            || self.outcome_unknown()
            || matches!(
                self.status.code(),
                Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded
            )
    }

    fn timed_out(&self) -> bool {
        matches!(self.status.code(), Code::DeadlineExceeded | Code::Cancelled)
    }

    /// Whether a write may have taken effect although the call failed.
    pub(super) fn outcome_unknown(&self) -> bool {
        if self.effect == Effect::Read {
            return false;
        }
        match self.delivery {
            Delivery::NotSent => false,
            Delivery::Lost => true,
            // A deadline without a reason was noticed by something that did not know what the write had come to.
            Delivery::Answered => match self.reason() {
                Some(reason) => reason == "OUTCOME_UNKNOWN",
                None => self.timed_out(),
            },
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let said = match error.status.message() {
            "" => error.status.code().description(),
            message => message,
        };
        let endpoint = &error.endpoint;
        match error.delivery {
            Delivery::NotSent => {
                if let Some(problem) = tls_problem(&error.status) {
                    let hint = if problem.contains(NO_GRPC) { PORT_HINT } else { TLS_HINT };
                    return Self::new(format!("no TLS with {endpoint}: {problem}")).hint(hint);
                }
                if causes(&error.status).any(closed_before) {
                    return Self::new(format!("{endpoint} closed the connection before the call was sent"))
                        .hint(CLOSED_HINT);
                }
                // Whether nobody listens, the way is cut, or the name is not known.
                let why = causes(&error.status).last().map(|cause| format!(": {cause}")).unwrap_or_default();
                return Self::new(format!("no node answers at {endpoint}{why}"))
                    .hint("is the node running? name others with --endpoint or QUORATE_ENDPOINT");
            }
            Delivery::Lost if error.outcome_unknown() => {
                return Self::unknown(format!(
                    "{endpoint} did not answer ({said}); whether the write took effect is not known (OUTCOME_UNKNOWN)"
                ))
                .hint(UNKNOWN_HINT);
            }
            Delivery::Lost => {
                return Self::new(format!("{endpoint} did not answer: {said}")).hint(
                    "try again, with a longer --timeout or another --endpoint; a node with TLS is named https://HOST:PORT",
                );
            }
            Delivery::Answered => {}
        }
        let reason = error.reason();
        let message = match &reason {
            Some(reason) => format!("{said} ({reason})"),
            None => format!("{said} ({})", code_name(error.status.code())),
        };
        if error.outcome_unknown() {
            return Self::unknown(message).hint(UNKNOWN_HINT);
        }
        if error.wrong_server().is_some() {
            return Self::new(format!("{endpoint} does not answer as a node does for its clients: {message}"))
                .hint(PORT_HINT);
        }
        let failure = Self::new(message);
        match hint(error.status.code(), reason.as_deref()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

const TLS_HINT: &str = "--ca names the authorities that vouch for a node; --certificate and --certificate-key are for a node \
                        that asks who you are; a node without TLS is named http://HOST:PORT";

/// What a server says with which the client has no protocol in common: one of HTTP/1.1, such as the gateway.
const NO_GRPC: &str = "NoApplicationProtocol";

const PORT_HINT: &str =
    "name the client address of a node, which is neither that for the other nodes nor that of the JSON gateway";

const CLOSED_HINT: &str = "a node with TLS does so where it is spoken to without: name it https://HOST:PORT; one that asks \
                           who you are does so until it is told: --certificate and --certificate-key; so does the address \
                           for the other nodes, and a node that stops";

const UNKNOWN_HINT: &str = "the write may still take effect: read with --consistency full to see; a touch or a delete can \
                            simply be repeated";

fn hint(code: Code, reason: Option<&str>) -> Option<&'static str> {
    match (code, reason) {
        (Code::Unauthenticated, _) => Some("pass the cluster's key with --key or QUORATE_KEY"),
        (Code::PermissionDenied, Some("SCOPE_MISSING")) => {
            Some("use a key that has this scope; `quorate key create` makes one")
        }
        (Code::PermissionDenied, _) => {
            Some("this key is not one of the node's: see [client] keys and key_file in its configuration")
        }
        (_, Some("UNKNOWN_DEFINITION" | "UNKNOWN_RELATION_OR_PERMISSION" | "INVALID_SUBJECT_TYPE")) => {
            Some("`quorate schema read` shows what the schema allows")
        }
        (_, Some("ATTEMPT_TO_RECREATE_RELATIONSHIP")) => {
            Some("`quorate relationship touch` writes whether or not it exists")
        }
        // Its message says what to do.
        (_, Some("UNKNOWN_NODE")) => None,
        (Code::NotFound, _) => Some("is there a schema? `quorate schema write FILE` writes one"),
        (Code::Unavailable, _) => {
            Some("`quorate cluster status` shows whether there is a leader; try again, or another --endpoint")
        }
        (Code::ResourceExhausted, _) => Some("the node is busy: try again a little later"),
        (Code::DeadlineExceeded, _) => Some("try again, with a longer --timeout"),
        (_, Some("ZOOKIE_FROM_FUTURE")) => {
            Some("ask without it, with `--consistency full`, and keep the zookie of the answer")
        }
        (Code::OutOfRange, _) => Some("use a newer zookie, or `--consistency fresh`"),
        _ => None,
    }
}

fn code_name(code: Code) -> String {
    let mut name = String::new();
    for (at, letter) in format!("{code:?}").char_indices() {
        if at > 0 && letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::super::failure::Exit;
    use super::*;

    fn answered(effect: Effect, code: Code, reason: Option<&str>) -> CallError {
        let status = match reason {
            None => Status::new(code, "said"),
            Some(reason) => {
                let details = ErrorDetails::with_error_info(reason, "authzed.com", HashMap::new());
                Status::with_error_details(code, "said", details)
            }
        };
        CallError::new(effect, "a:1", status)
    }

    fn local(effect: Effect, source: impl Error + Send + Sync + 'static) -> CallError {
        let status = Status::from_error(Box::new(source));
        CallError::new(effect, "a:1", status)
    }

    #[test]
    fn a_write_is_sent_elsewhere_only_when_it_surely_had_no_effect() {
        let refused = || ConnectError(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for (error, elsewhere) in [
            (local(Effect::Write, refused()), true),
            (local(Effect::Read, refused()), true),
            (local(Effect::Write, std::io::Error::other("received fatal alert: CertificateRequired")), true),
            (local(Effect::Write, std::io::Error::other("received fatal alert: InternalError")), false),
            (local(Effect::Write, broken()), false),
            (local(Effect::Read, broken()), true),
            (local(Effect::KeyedWrite, broken()), true),
            (answered(Effect::KeyedWrite, Code::DeadlineExceeded, Some("OUTCOME_UNKNOWN")), true),
            (answered(Effect::KeyedWrite, Code::AlreadyExists, None), false),
            (answered(Effect::Write, Code::Unavailable, None), true),
            (answered(Effect::Write, Code::DeadlineExceeded, Some("OUTCOME_UNKNOWN")), false),
            (answered(Effect::Read, Code::PermissionDenied, None), false),
            (answered(Effect::Write, Code::AlreadyExists, None), false),
        ] {
            assert_eq!(error.another_may_answer(), elsewhere, "{error:?}");
        }
    }

    #[test]
    fn a_port_of_something_else_is_named_as_one() {
        let not_grpc = "protocol error: received message with invalid compression flag: 123";
        let status = || Status::new(Code::Internal, not_grpc);
        for (error, elsewhere, wrong) in [
            (answered(Effect::Write, Code::Unimplemented, None), true, true),
            (answered(Effect::Read, Code::Unimplemented, Some("UNSUPPORTED")), false, false),
            (CallError::new(Effect::Read, "a:1", status()), true, true),
            // Whatever garbled the answer, the write before it may have been made.
            (CallError::new(Effect::Write, "a:1", status()), false, true),
            (answered(Effect::Read, Code::Internal, None), false, false),
        ] {
            assert_eq!(error.another_may_answer(), elsewhere, "{error:?}");
            let failure = Failure::from(error);
            assert_eq!(failure.message().starts_with("a:1 does not answer as a node"), wrong, "{failure:?}");
        }
    }

    #[test]
    fn what_is_not_known_exits_with_4_and_everything_else_with_1() {
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let late = || tonic::TimeoutExpired(());
        for (error, exit) in [
            (answered(Effect::Write, Code::DeadlineExceeded, Some("OUTCOME_UNKNOWN")), Exit::Unknown),
            (answered(Effect::Write, Code::Unknown, Some("ERROR_REASON_OUTCOME_UNKNOWN")), Exit::Unknown),
            (answered(Effect::Write, Code::DeadlineExceeded, None), Exit::Unknown),
            (answered(Effect::Write, Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED")), Exit::Failed),
            (answered(Effect::Read, Code::DeadlineExceeded, None), Exit::Failed),
            (answered(Effect::Write, Code::Unavailable, None), Exit::Failed),
            (local(Effect::Write, broken()), Exit::Unknown),
            (local(Effect::KeyedWrite, broken()), Exit::Unknown),
            (local(Effect::Read, broken()), Exit::Failed),
            (local(Effect::Write, late()), Exit::Unknown),
            (local(Effect::Read, late()), Exit::Failed),
        ] {
            let text = format!("{error:?}");
            assert_eq!(Failure::from(error).exit(), exit, "{text}");
        }
    }

    #[test]
    fn who_has_the_wrong_key_and_who_has_too_small_a_key_hear_different_things() {
        for (reason, words) in [(None, "not one of the node's"), (Some("SCOPE_MISSING"), "a key that has this scope")] {
            let hint = hint(Code::PermissionDenied, reason);
            assert!(hint.is_some_and(|hint| hint.contains(words)), "{hint:?}");
        }
    }

    #[test]
    fn the_message_is_the_servers_with_its_reason() {
        let error = answered(Effect::Read, Code::FailedPrecondition, Some("ERROR_REASON_UNKNOWN_DEFINITION"));
        assert_eq!(error.reason().as_deref(), Some("UNKNOWN_DEFINITION"));
        assert_eq!(Failure::from(error).message(), "said (UNKNOWN_DEFINITION)");
        let error = answered(Effect::Read, Code::PermissionDenied, None);
        assert_eq!(Failure::from(error).message(), "said (PERMISSION_DENIED)");
    }
}
