//! A client of one node: requests over the public protocol, answers in the terms of histories.
//!
//! What failed is told apart from what may have happened by the error's details: an error that a node made carries a reason,
//! and one that a broken connection made does not. Without any connection nothing was sent, and nothing happened.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request as Rpc, Status};
use tonic_types::StatusExt as _;

use super::convert::{filter_of, floor_to_wire, update_from_wire, update_to_wire};
use super::formation::NodeStatus;
use super::wire::authzed::api::v1 as api;
use super::wire::authzed::api::v1::permissions_service_client::PermissionsServiceClient;
use super::wire::authzed::api::v1::schema_service_client::SchemaServiceClient;
use super::wire::authzed::api::v1::watch_service_client::WatchServiceClient;
use super::wire::quorate::v1::cluster_service_client::ClusterServiceClient;
use super::wire::quorate::v1::consistency_service_client::ConsistencyServiceClient;
use super::wire::quorate::v1::status_response::State;
use super::wire::quorate::v1::{InitRequest, JoinRequest, SetFloorsRequest, SnapshotRequest, StatusRequest};
use super::zookie::Zookie;
use crate::history::{Answer, Failure, Floors, LogEntry, Outcome, Relationship, Request, Update, Write};
use crate::oracle::Rules;

/// The bearer key of every cluster under test.
pub(super) const KEY: &str = "jepsen-key";
/// What a node is given for one request, as a rule.
const DEADLINE: Duration = Duration::from_millis(1200);
/// The same where nobody is in a hurry.
const LONG_DEADLINE: Duration = Duration::from_secs(20);
/// After it a client gives up, whatever the node does.
const GRACE: Duration = Duration::from_millis(400);
const IDEMPOTENCY_KEY: &str = "quorate-idempotency-key";
const REPLAYED: &str = "quorate-replayed";
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// Under which a write's name stands in its metadata.
const OP: &str = "op";

/// A client of one node. Connects when first used, and again after the node was away.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) channel: Channel,
    pub(super) lineage: u64,
    /// What a node is given for one request.
    deadline: Duration,
}

/// Why there is no answer.
pub(super) enum Trouble {
    /// The node, or the way to it, says so.
    Status(Status),
    /// There is one, and it is not one that a cluster may give.
    Nonsense(String),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// A watch under way.
pub struct Watching {
    stream: tonic::Streaming<api::WatchResponse>,
    lineage: u64,
}

/// One message of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchTold {
    /// Something changed.
    Entry(LogEntry),
    /// Everything up to here was told.
    Through(u64),
    /// Something that no watch may say.
    Nonsense(String),
}

impl Client {
    pub(super) fn new(address: &str, lineage: u64) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address makes a URI")
            .connect_timeout(Duration::from_secs(1))
            .tcp_nodelay(true)
            .connect_lazy();
        Self { channel, lineage, deadline: DEADLINE }
    }

    /// The same client, which waits for long.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { deadline: LONG_DEADLINE, ..self }
    }

    /// A request with its deadline.
    pub(super) fn timed<T>(&self, message: T) -> Rpc<T> {
        let mut rpc = Self::rpc(message);
        rpc.set_timeout(self.deadline);
        rpc
    }

    pub(super) fn rpc<T>(message: T) -> Rpc<T> {
        let mut rpc = Rpc::new(message);
        rpc.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().expect("the key is plain text"));
        rpc
    }

    /// Asks, and says in the terms of a history what came of it. Pages after the first are asked of `nodes`.
    pub async fn perform(&self, request: &Request, nodes: &[Self]) -> Outcome {
        let answered = async {
            match request {
                Request::Write(write) => self.write(write).await,
                Request::Schema { version, .. } => self.write_schema(*version).await,
                Request::Floors { floors } => self.set_floors(floors).await,
                Request::Check { mode, questions } => self.check(*mode, questions).await,
                Request::ContentCheck { question } => self.content_check(question).await,
                Request::List { mode, kind, id, page } => self.list(*mode, (kind, id.as_deref()), *page, nodes).await,
                Request::Resources { mode, kind, permission, user, page } => {
                    self.resources(*mode, (kind, permission), user, *page, nodes).await
                }
                Request::Subjects { mode, kind, id, permission } => self.subjects(*mode, (kind, id), permission).await,
                Request::Expand { mode, kind, id, permission } => self.expand(*mode, (kind, id), permission).await,
            }
        };
        let result = tokio::time::timeout(self.deadline + GRACE, answered).await;
        let changes = request.mode().is_none();
        let unclear = |reason: &str, message: String| {
            let failure = Failure { reason: reason.to_owned(), message };
            if changes { Outcome::Info(failure) } else { Outcome::Fail(failure) }
        };
        match result {
            Ok(Ok(answer)) => Outcome::Ok(answer),
            Ok(Err(Trouble::Status(status))) => outcome_of(&status, changes),
            Ok(Err(Trouble::Nonsense(what))) => unclear(Failure::NONSENSE, what),
            Err(_) => unclear("gave-up", String::new()),
        }
    }

    async fn write(&self, write: &Write) -> Result<Answer, Trouble> {
        let field = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(write.op.clone())) };
        let metadata = prost_types::Struct { fields: [(OP.to_owned(), field)].into() };
        let must_match = |relationship: &Relationship| api::Precondition {
            operation: api::precondition::Operation::MustMatch.into(),
            filter: Some(filter_of(relationship)),
        };
        let message = api::WriteRelationshipsRequest {
            updates: write.updates.iter().map(update_to_wire).collect(),
            optional_preconditions: write.only_if.iter().map(must_match).collect(),
            optional_transaction_metadata: Some(metadata),
        };
        let mut rpc = self.timed(message);
        if let Some(key) = &write.idempotency_key {
            rpc.metadata_mut().insert(IDEMPOTENCY_KEY, ascii(key));
        }
        let response = PermissionsServiceClient::new(self.channel.clone()).write_relationships(rpc).await?;
        let replayed = response.metadata().get(REPLAYED).is_some_and(|value| value == "true");
        Ok(Answer::Written { index: self.index(response.get_ref().written_at.as_ref())?, replayed })
    }

    async fn write_schema(&self, version: usize) -> Result<Answer, Trouble> {
        let rpc = self.timed(api::WriteSchemaRequest { schema: Rules::version(version).text() });
        let response = SchemaServiceClient::new(self.channel.clone()).write_schema(rpc).await?;
        Ok(Answer::written(self.index(response.get_ref().written_at.as_ref())?))
    }

    /// The first floors of the cluster.
    async fn set_floors(&self, floors: &Floors) -> Result<Answer, Trouble> {
        let floors = floors.iter().map(floor_to_wire).collect();
        let rpc = self.timed(SetFloorsRequest { expected_version: 0, floors });
        let response = ConsistencyServiceClient::new(self.channel.clone()).set_floors(rpc).await?;
        Ok(Answer::written(self.index(response.get_ref().set_at.as_ref())?))
    }

    pub(super) fn index(&self, token: Option<&api::ZedToken>) -> Result<u64, Trouble> {
        index_of(self.lineage, token).map_err(Trouble::Nonsense)
    }

    /// Begins to watch after an index.
    pub async fn watch(&self, after: u64) -> Result<Watching, Status> {
        let token = api::ZedToken { token: Zookie { lineage: self.lineage, index: after }.encode() };
        let message = api::WatchRequest {
            optional_start_cursor: Some(token),
            optional_update_kinds: vec![
                api::WatchKind::IncludeRelationshipUpdates.into(),
                api::WatchKind::IncludeSchemaUpdates.into(),
                api::WatchKind::IncludeCheckpoints.into(),
            ],
            ..Default::default()
        };
        let started = WatchServiceClient::new(self.channel.clone()).watch(Self::rpc(message)).await?;
        Ok(Watching { stream: started.into_inner(), lineage: self.lineage })
    }

    /// What the node says of itself.
    pub async fn status(&self) -> Result<NodeStatus, Status> {
        let rpc = self.timed(StatusRequest {});
        let status = ClusterServiceClient::new(self.channel.clone()).status(rpc).await?.into_inner();
        Ok(NodeStatus {
            id: status.node_id,
            term: status.term,
            leads: status.state() == State::Leader,
            committed: status.committed_index,
            applied: status.applied_index,
            hash: status.state_hash,
            snapshot: status.snapshot_index,
            purged: status.purged_index,
            version: status.version,
            lineage: u64::from_str_radix(&status.lineage, 16).unwrap_or_default(),
        })
    }

    pub(super) async fn init(&self) -> Result<(), Status> {
        ClusterServiceClient::new(self.channel.clone()).init(Self::rpc(InitRequest {})).await.map(drop)
    }

    /// Joins, and waits for the end of it.
    pub(super) async fn join(&self, peers: Vec<String>, learner: bool) -> Result<(), Status> {
        let mut admin = ClusterServiceClient::new(self.channel.clone());
        let mut stream = admin.join(Self::rpc(JoinRequest { peers, learner })).await?.into_inner();
        while stream.message().await?.is_some() {}
        Ok(())
    }

    /// Has the node write a snapshot and purge its log.
    pub async fn snapshot(&self) -> Result<(), Status> {
        ClusterServiceClient::new(self.channel.clone()).snapshot(Self::rpc(SnapshotRequest {})).await.map(drop)
    }
}

impl Watching {
    /// The next message; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<WatchTold>, Status> {
        let Some(message) = self.stream.message().await? else { return Ok(None) };
        let index = match index_of(self.lineage, message.changes_through.as_ref()) {
            Ok(index) => index,
            Err(what) => return Ok(Some(WatchTold::Nonsense(what))),
        };
        if message.is_checkpoint {
            return Ok(Some(WatchTold::Through(index)));
        }
        let name = |fields: prost_types::Struct| match fields.fields.get(OP)?.kind.clone()? {
            prost_types::value::Kind::StringValue(op) => Some(op),
            _ => None,
        };
        let op = message.optional_transaction_metadata.and_then(name);
        let updates: Option<Vec<Update>> = message.updates.iter().map(update_from_wire).collect();
        let Some(updates) = updates else {
            return Ok(Some(WatchTold::Nonsense(format!("a change at {index} that nobody can read"))));
        };
        Ok(Some(WatchTold::Entry(LogEntry { index, op, updates, schema: message.schema_updated })))
    }
}

pub(super) fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("names in this program are plain text")
}

fn index_of(lineage: u64, token: Option<&api::ZedToken>) -> Result<u64, String> {
    let token = token.ok_or("an answer without a zookie")?;
    let zookie = Zookie::decode(&token.token).filter(|zookie| zookie.lineage == lineage);
    zookie.map(|zookie| zookie.index).ok_or_else(|| format!("an odd zookie: {}", token.token))
}

fn reason_of(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    Some(info.reason.strip_prefix("ERROR_REASON_").map_or(info.reason.clone(), str::to_owned))
}

/// An error in the terms of a history: the node's reason, else the code.
#[must_use]
pub fn failure_of(status: &Status) -> Failure {
    let reason = reason_of(status).unwrap_or_else(|| format!("{:?}", status.code()));
    Failure { reason, message: status.message().chars().take(200).collect() }
}

fn outcome_of(status: &Status, changes: bool) -> Outcome {
    let reason = reason_of(status);
    let definite = reason.as_deref().is_some_and(|reason| reason != OUTCOME_UNKNOWN) || was_never_sent(status);
    let failure = failure_of(status);
    if definite || !changes { Outcome::Fail(failure) } else { Outcome::Info(failure) }
}

/// Whether there was no connection to send it on.
fn was_never_sent(status: &Status) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
