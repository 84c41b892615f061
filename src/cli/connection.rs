//! Talking to a cluster as a client: the flags that every such command has, the endpoints tried in order, and what a
//! failed call means for the one who made it.
//!
//! What may be sent again is decided here, once: a read always; a write only when it surely did not take effect.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Response, Status};
use tonic_types::StatusExt;

use super::failure::Failure;
use crate::model::limits;
use crate::wire::authzed::v1::permissions_service_client::PermissionsServiceClient;
use crate::wire::authzed::v1::schema_service_client::SchemaServiceClient;
use crate::wire::quorate::v1::cluster_service_client::ClusterServiceClient;

/// For a call whose command knows no better.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the cluster is, and how to talk to it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConnectionArgs {
    /// Node to talk to; of several, with commas, the first that can serve answers
    #[arg(
        long,
        global = true,
        env = "QUORATE_ENDPOINT",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051",
        value_delimiter = ',',
        value_parser = parse_endpoint,
        help_heading = "Connection"
    )]
    endpoint: Vec<String>,
    /// Bearer key of the cluster
    #[arg(
        long,
        global = true,
        env = "QUORATE_KEY",
        hide_env_values = true,
        value_name = "KEY",
        help_heading = "Connection"
    )]
    key: Option<String>,
    /// How long a call may take: 500ms, 10s, 2m [default: 10s; longer for long work]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, help_heading = "Connection")]
    timeout: Option<Duration>,
    /// Print JSON: one document, or one a line for lists
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl ConnectionArgs {
    /// The cluster. Nothing is connected yet. `default_timeout` is for when the caller named none.
    pub(super) fn open(&self, default_timeout: Duration) -> Result<Connection, Failure> {
        Connection::new(&self.endpoint, self.key.as_deref(), self.timeout.unwrap_or(default_timeout))
    }

    /// The same connection flags for another node.
    pub(super) fn open_at(&self, endpoint: &str, timeout: Duration) -> Result<Connection, Failure> {
        Connection::new(&[endpoint.to_owned()], self.key.as_deref(), timeout)
    }

    /// Whether a single node is named, as commands that act on one node need.
    pub(super) fn require_one_endpoint(&self) -> Result<(), Failure> {
        if self.endpoint.len() == 1 {
            return Ok(());
        }
        Err(Failure::usage("this command acts on one node; name it with --endpoint"))
    }
}

/// Whether a call changes anything: it decides what an unanswered call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Read,
    /// It writes.
    Write,
}

/// Endpoints of one cluster. Cheap to share: connections are made once and kept.
pub(super) struct Connection {
    nodes: Vec<(String, Session)>,
    /// The node that answered last: the first to be asked next.
    preferred: AtomicUsize,
}

/// One node: clients for its services, with the key and the deadline in every request.
#[derive(Clone)]
pub(super) struct Session {
    channel: Channel,
    stamp: Stamp,
}

type Stamped = InterceptedService<Channel, Stamp>;

impl Session {
    pub(super) fn permissions(self) -> PermissionsServiceClient<Stamped> {
        PermissionsServiceClient::with_interceptor(self.channel, self.stamp)
            .max_decoding_message_size(limits::MESSAGE_BYTES)
    }

    pub(super) fn schema(self) -> SchemaServiceClient<Stamped> {
        SchemaServiceClient::with_interceptor(self.channel, self.stamp).max_decoding_message_size(limits::MESSAGE_BYTES)
    }

    pub(super) fn cluster(self) -> ClusterServiceClient<Stamped> {
        ClusterServiceClient::with_interceptor(self.channel, self.stamp)
    }
}

/// Puts the key and the deadline on a request.
#[derive(Clone)]
pub(super) struct Stamp {
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Interceptor for Stamp {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request.set_timeout(self.timeout);
        Ok(request)
    }
}

impl Connection {
    /// A cluster reached at any of `endpoints`.
    pub(super) fn new(endpoints: &[String], key: Option<&str>, timeout: Duration) -> Result<Self, Failure> {
        let authorization = match key {
            None => None,
            Some(key) => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {key}").parse().map_err(|_| {
                    Failure::usage("the key cannot be sent: it has characters that a header cannot hold")
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let stamp = Stamp { authorization, timeout };
        let mut nodes = Vec::new();
        for endpoint in endpoints {
            let channel = Endpoint::from_shared(format!("http://{endpoint}"))
                .map_err(|error| Failure::usage(format!("{endpoint:?} is not an endpoint: {error}")))?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .connect_lazy();
            nodes.push((endpoint.clone(), Session { channel, stamp: stamp.clone() }));
        }
        if nodes.is_empty() {
            return Err(Failure::usage("no endpoint is named; give one with --endpoint"));
        }
        Ok(Self { nodes, preferred: AtomicUsize::new(0) })
    }

    /// Makes a call: on the preferred node, then on the others in order for as long as it surely had no effect.
    pub(super) async fn call<T, F, Answer>(&self, effect: Effect, call: F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Answer,
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut offset = 0;
        loop {
            let at = (first + offset) % self.nodes.len();
            let (endpoint, session) = &self.nodes[at];
            match call(session.clone()).await {
                Ok(response) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(response.into_inner());
                }
                Err(status) => {
                    let error = CallError { effect, delivery: delivery(&status), endpoint: endpoint.clone(), status };
                    offset += 1;
                    if offset >= self.nodes.len() || !error.another_may_answer() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// A call that only reads.
    pub(super) async fn read<T, F, Answer>(&self, call: F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Answer,
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        self.call(Effect::Read, call).await
    }

    /// A call that writes.
    pub(super) async fn write<T, F, Answer>(&self, call: F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Answer,
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        self.call(Effect::Write, call).await
    }
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

/// A status that a server sent has no source; one made on this side has what went wrong as its source.
fn delivery(status: &Status) -> Delivery {
    let mut source = std::error::Error::source(status);
    if source.is_none() {
        return Delivery::Answered;
    }
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return Delivery::NotSent;
        }
        source = error.source();
    }
    Delivery::Lost
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
    /// An error in the middle of a stream that `endpoint` sent.
    pub(super) fn in_stream(status: Status) -> Self {
        Self { effect: Effect::Read, delivery: delivery(&status), endpoint: "the node".to_owned(), status }
    }

    /// The reason that the server gave, without its prefix: `UNKNOWN_DEFINITION`.
    pub(super) fn reason(&self) -> Option<String> {
        let info = self.status.get_details_error_info()?;
        Some(info.reason.strip_prefix("ERROR_REASON_").unwrap_or(&info.reason).to_owned())
    }

    /// Whether there is no such thing, as before the first schema was written.
    pub(super) fn is_not_found(&self) -> bool {
        self.status.code() == Code::NotFound
    }

    /// Whether nothing changed by this call, so that it can be made elsewhere.
    fn another_may_answer(&self) -> bool {
        match (self.delivery, self.effect) {
            (Delivery::NotSent, _) => true,
            // A server that says UNAVAILABLE did nothing: that is its contract.
            (Delivery::Answered, _) => self.status.code() == Code::Unavailable,
            (Delivery::Lost, Effect::Read) => !self.timed_out(),
            (Delivery::Lost, Effect::Write) => false,
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
    fn outcome_unknown(&self) -> bool {
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
                return Self::new(format!("no node answers at {endpoint}"))
                    .hint("is the node running? name others with --endpoint or QUORATE_ENDPOINT");
            }
            Delivery::Lost if error.outcome_unknown() => {
                return Self::unknown(format!(
                    "{endpoint} did not answer ({said}); whether the write took effect is not known (OUTCOME_UNKNOWN)"
                ))
                .hint(UNKNOWN_HINT);
            }
            Delivery::Lost => {
                return Self::new(format!("{endpoint} did not answer: {said}"))
                    .hint("try again, with a longer --timeout or another --endpoint");
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
        let failure = Self::new(message);
        match hint(error.status.code(), reason.as_deref()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

const UNKNOWN_HINT: &str = "the write may still take effect: read with --consistency full to see; a touch or a delete can \
                            simply be repeated";

fn hint(code: Code, reason: Option<&str>) -> Option<&'static str> {
    match (code, reason) {
        (Code::Unauthenticated, _) => Some("pass the cluster's key with --key or QUORATE_KEY"),
        (Code::PermissionDenied, _) => {
            Some("this key is not one of the node's: see [client] keys in its configuration")
        }
        (_, Some("UNKNOWN_DEFINITION" | "UNKNOWN_RELATION_OR_PERMISSION" | "INVALID_SUBJECT_TYPE")) => {
            Some("`quorate schema read` shows what the schema allows")
        }
        (_, Some("ATTEMPT_TO_RECREATE_RELATIONSHIP")) => {
            Some("`quorate relationship touch` writes whether or not it exists")
        }
        (Code::NotFound, _) => Some("is there a schema? `quorate schema write FILE` writes one"),
        (Code::Unavailable, _) => {
            Some("`quorate cluster status` shows whether there is a leader; try again, or another --endpoint")
        }
        (Code::ResourceExhausted, _) => Some("the node is busy: try again a little later"),
        (Code::DeadlineExceeded, _) => Some("try again, with a longer --timeout"),
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

fn parse_endpoint(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if text.starts_with("https://") {
        return Err("this version does not speak TLS; name HOST:PORT".to_owned());
    }
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok() && !text.contains(char::is_whitespace) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write it as HOST:PORT, for example 127.0.0.1:50051".to_owned()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    const RULE: &str = "write it with a unit: 500ms, 10s, 2m";
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(RULE)?;
    let count: u64 = text[..digits].parse().map_err(|_| RULE)?;
    let milliseconds = match &text[digits..] {
        "ms" => Some(count),
        "s" => count.checked_mul(1_000),
        "m" => count.checked_mul(60_000),
        _ => None,
    };
    match milliseconds {
        Some(ms @ 1..=86_400_000) => Ok(Duration::from_millis(ms)),
        Some(_) => Err("use 1ms to 1440m".to_owned()),
        None => Err(RULE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tonic_types::ErrorDetails;

    use super::super::failure::Exit;
    use super::*;

    fn answered(effect: Effect, code: Code, reason: Option<&str>) -> CallError {
        let status = match reason {
            None => Status::new(code, "said"),
            Some(reason) => {
                let details = ErrorDetails::with_error_info(reason, "authzed.com", [] as [(&str, &str); 0]);
                Status::with_error_details(code, "said", details)
            }
        };
        CallError { effect, delivery: delivery(&status), endpoint: "a:1".to_owned(), status }
    }

    fn local(effect: Effect, source: impl Error + Send + Sync + 'static) -> CallError {
        let status = Status::from_error(Box::new(source));
        CallError { effect, delivery: delivery(&status), endpoint: "a:1".to_owned(), status }
    }

    #[test]
    fn a_write_is_sent_elsewhere_only_when_it_surely_had_no_effect() {
        let refused = || ConnectError(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for (error, elsewhere) in [
            (local(Effect::Write, refused()), true),
            (local(Effect::Read, refused()), true),
            (local(Effect::Write, broken()), false),
            (local(Effect::Read, broken()), true),
            (answered(Effect::Write, Code::Unavailable, None), true),
            (answered(Effect::Write, Code::DeadlineExceeded, Some("OUTCOME_UNKNOWN")), false),
            (answered(Effect::Read, Code::PermissionDenied, None), false),
            (answered(Effect::Write, Code::AlreadyExists, None), false),
        ] {
            assert_eq!(error.another_may_answer(), elsewhere, "{error:?}");
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
            (local(Effect::Read, broken()), Exit::Failed),
            (local(Effect::Write, late()), Exit::Unknown),
            (local(Effect::Read, late()), Exit::Failed),
        ] {
            let text = format!("{error:?}");
            assert_eq!(Failure::from(error).exit(), exit, "{text}");
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

    #[test]
    fn endpoints_and_times_are_judged_before_anything_is_sent() {
        for good in ["127.0.0.1:50051", "node-1.internal:1", "[::1]:50051", "http://a:1/"] {
            parse_endpoint(good).unwrap();
        }
        for bad in ["", "localhost", ":1", "a:b", "https://a:1", "a:99999", "a b:1"] {
            parse_endpoint(bad).unwrap_err();
        }
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(milliseconds));
        }
        for bad in ["", "10", "s", "1h", "-1s", "0s", "99999999999999999999s", "1.5s", "2000m"] {
            parse_duration(bad).unwrap_err();
        }
    }
}
