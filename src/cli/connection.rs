//! Talking to a cluster as a client: the flags that every such command has, and the endpoints, tried in order for as long
//! as a call surely had no effect.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;

use super::call_error::{CallError, Effect};
use super::failure::Failure;
use super::trust::{HTTP, HTTPS, TrustArgs};
use super::write_key::WriteKey;
use crate::model::limits;
use crate::wire::authzed::v1::experimental_service_client::ExperimentalServiceClient;
use crate::wire::authzed::v1::permissions_service_client::PermissionsServiceClient;
use crate::wire::authzed::v1::schema_service_client::SchemaServiceClient;
use crate::wire::authzed::v1::watch_service_client::WatchServiceClient;
use crate::wire::quorate::v1::backup_service_client::BackupServiceClient;
use crate::wire::quorate::v1::cluster_service_client::ClusterServiceClient;
use crate::wire::quorate::v1::consistency_service_client::ConsistencyServiceClient;
use crate::wire::quorate::v1::schema_plan_service_client::SchemaPlanServiceClient;

/// For a call whose command knows no better.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest message of a backup: the list of its files.
const BACKUP_BYTES: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A watch tells a whole transaction in one message, and SpiceDB bounds what one may hold by its own settings only.
const WATCH_MESSAGE_BYTES: usize = 256 << 20;

/// Where the cluster is, and how to talk to it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConnectionArgs {
    /// Node to talk to, with TLS as https://HOST:PORT, and on another machine without as http://HOST:PORT; of several, with
    /// commas, the first that can serve answers
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
    #[command(flatten)]
    trust: TrustArgs,
    /// How long a call may take: 500ms, 10s, 2m [default: 10s; longer for long work]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, help_heading = "Connection")]
    timeout: Option<Duration>,
    /// Print JSON: one document, or one a line for lists
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl ConnectionArgs {
    /// How long the command may take as a whole.
    pub(super) fn timeout_or(&self, default: Duration) -> Duration {
        self.timeout.unwrap_or(default)
    }

    /// The cluster. Nothing is connected yet. `default_timeout` is for when the caller named none.
    pub(super) fn open(&self, default_timeout: Duration) -> Result<Connection, Failure> {
        Connection::new(&self.endpoint, &self.trust, self.key.as_deref(), self.timeout.unwrap_or(default_timeout))
    }

    /// Each endpoint for itself.
    pub(super) fn open_each(&self, timeout: Duration) -> Result<Vec<Connection>, Failure> {
        let open = |endpoint: &String| {
            Connection::new(std::slice::from_ref(endpoint), &self.trust, self.key.as_deref(), timeout)
        };
        self.endpoint.iter().map(open).collect()
    }

    /// The same connection flags for another node.
    pub(super) fn open_at(&self, endpoint: &str, timeout: Duration) -> Result<Connection, Failure> {
        // Members name themselves without a scheme, and all of them are served in the same way.
        let scheme =
            [HTTPS, HTTP].into_iter().find(|scheme| self.endpoint.iter().any(|given| given.starts_with(scheme)));
        let endpoint = format!("{}{endpoint}", scheme.unwrap_or_default());
        Connection::new(&[endpoint], &self.trust, self.key.as_deref(), timeout)
    }

    /// The ways to all endpoints, and what authorizes a request there, for who makes connections of his own.
    pub(super) fn ways(&self) -> Result<(Vec<Endpoint>, Option<MetadataValue<Ascii>>), Failure> {
        let key = self.key.as_deref();
        let way = |endpoint: &String| way(&self.trust, endpoint, key);
        Ok((self.endpoint.iter().map(way).collect::<Result<_, _>>()?, key.map(authorization).transpose()?))
    }

    /// Whether a single node is named, as commands that act on one node need.
    pub(super) fn require_one_endpoint(&self) -> Result<(), Failure> {
        if self.endpoint.len() == 1 {
            return Ok(());
        }
        Err(Failure::usage("this command acts on one node; name it with --endpoint"))
    }
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

    /// Earlier names of calls, for servers that know no others.
    pub(super) fn experimental(self) -> ExperimentalServiceClient<Stamped> {
        ExperimentalServiceClient::with_interceptor(self.channel, self.stamp)
            .max_decoding_message_size(limits::MESSAGE_BYTES)
    }

    pub(super) fn watches(self) -> WatchServiceClient<Stamped> {
        WatchServiceClient::with_interceptor(self.channel, self.stamp).max_decoding_message_size(WATCH_MESSAGE_BYTES)
    }

    pub(super) fn schema_plans(self) -> SchemaPlanServiceClient<Stamped> {
        SchemaPlanServiceClient::with_interceptor(self.channel, self.stamp)
            .max_decoding_message_size(limits::MESSAGE_BYTES)
    }

    pub(super) fn consistency(self) -> ConsistencyServiceClient<Stamped> {
        ConsistencyServiceClient::with_interceptor(self.channel, self.stamp)
    }

    pub(super) fn backups(self) -> BackupServiceClient<Stamped> {
        BackupServiceClient::with_interceptor(self.channel, self.stamp).max_decoding_message_size(BACKUP_BYTES)
    }

    pub(super) fn health(self) -> HealthClient<Stamped> {
        HealthClient::with_interceptor(self.channel, self.stamp)
    }

    pub(super) fn cluster(self) -> ClusterServiceClient<Stamped> {
        ClusterServiceClient::with_interceptor(self.channel, self.stamp)
    }
}

/// Puts the cluster's key, the write's key and the deadline on a request.
#[derive(Clone)]
pub(super) struct Stamp {
    authorization: Option<MetadataValue<Ascii>>,
    idempotency_key: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Interceptor for Stamp {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(value) = &self.idempotency_key {
            request.metadata_mut().insert("quorate-idempotency-key", value.clone());
        }
        request.set_timeout(self.timeout);
        Ok(request)
    }
}

impl Connection {
    /// A cluster reached at any of `endpoints`.
    pub(super) fn new(
        endpoints: &[String],
        trust: &TrustArgs,
        key: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let authorization = key.map(authorization).transpose()?;
        let stamp = Stamp { authorization, idempotency_key: None, timeout };
        let mut nodes = Vec::new();
        for endpoint in endpoints {
            let channel = way(trust, endpoint, key)?.connect_lazy();
            nodes.push((endpoint.clone(), Session { channel, stamp: stamp.clone() }));
        }
        if nodes.is_empty() {
            return Err(Failure::usage("no endpoint is named; give one with --endpoint"));
        }
        Ok(Self { nodes, preferred: AtomicUsize::new(0) })
    }

    /// Makes a call: on the preferred node, then on the others in order for as long as it surely had no effect, or can have no
    /// second one.
    pub(super) async fn call<T, F, Answer>(&self, effect: Effect, call: F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Answer,
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut unsent, mut answered, mut unknown) = (Vec::new(), None, None);
        for offset in 0..self.nodes.len() {
            let at = (first + offset) % self.nodes.len();
            let (endpoint, session) = &self.nodes[at];
            match call(session.clone()).await {
                Ok(response) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(response.into_inner());
                }
                Err(status) => {
                    let error = CallError::new(effect, endpoint, status);
                    if !error.another_may_answer() {
                        // What one node may have done, another's refusal does not undo.
                        return Err(unknown.unwrap_or(error));
                    }
                    if error.outcome_unknown() {
                        unknown.get_or_insert(error);
                        continue;
                    }
                    if error.is_unsent() {
                        unsent.push((endpoint.as_str(), error));
                    } else {
                        answered = Some(error);
                    }
                }
            }
        }
        // A node that answered knows more than one that could not be reached.
        if let Some(error) = unknown.or(answered) {
            return Err(error);
        }
        let (endpoints, errors): (Vec<&str>, Vec<CallError>) = unsent.into_iter().unzip();
        let last = errors.into_iter().last().expect("there is a node, and every one that did not answer left an error");
        Err(last.of_all(&endpoints))
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

    /// A call that writes under a key.
    pub(super) async fn write_once<T, F, Answer>(&self, key: &WriteKey, call: F) -> Result<T, CallError>
    where
        F: Fn(Session) -> Answer,
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let value = key.to_metadata();
        let keyed = |mut node: Session| {
            node.stamp.idempotency_key = Some(value.clone());
            call(node)
        };
        self.call(Effect::KeyedWrite, keyed).await
    }
}

fn way(trust: &TrustArgs, endpoint: &str, key: Option<&str>) -> Result<Endpoint, Failure> {
    Ok(trust.endpoint(endpoint, key.is_some())?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}

fn authorization(key: &str) -> Result<MetadataValue<Ascii>, Failure> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}")
        .parse()
        .map_err(|_| Failure::usage("the key cannot be sent: it has characters that a header cannot hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `HOST:PORT`, `https://HOST:PORT` or `http://HOST:PORT`.
pub(super) fn parse_endpoint(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let address = [HTTPS, HTTP].into_iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    match address.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok() && !text.contains(char::is_whitespace) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write it as HOST:PORT or https://HOST:PORT, for example 127.0.0.1:50051".to_owned()),
    }
}

/// `500ms`, `10s`, `2m`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
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
    use super::*;

    #[test]
    fn endpoints_and_times_are_judged_before_anything_is_sent() {
        for good in ["https://a:1", "127.0.0.1:50051", "node-1.internal:1", "[::1]:50051", "http://a:1/"] {
            parse_endpoint(good).unwrap();
        }
        for bad in ["", "localhost", ":1", "a:b", "https://a", "https://:1", "a:99999", "a b:1"] {
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
