//! A client of one node: requests over the public protocol, answers in the terms of histories.
//!
//! What failed is told apart from what may have happened by the error's details: an error that a node made carries a reason,
//! and one that a broken connection made does not. Without any connection nothing was sent, and nothing happened.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request as Rpc, Status};
use tonic_types::StatusExt as _;

use super::formation::NodeStatus;
use super::wire::admin::cluster_service_client::ClusterServiceClient;
use super::wire::admin::status_response::State;
use super::wire::admin::{InitRequest, JoinRequest, SnapshotRequest, StatusRequest};
use super::wire::authzed as api;
use super::wire::authzed::permissions_service_client::PermissionsServiceClient;
use super::wire::authzed::schema_service_client::SchemaServiceClient;
use super::wire::authzed::watch_service_client::WatchServiceClient;
use super::zookie::Zookie;
use crate::history::{Answer, Failure, LogEntry, Mode, Outcome, Relationship, Request, Update, Write};
use crate::oracle::Rules;

/// The bearer key of every cluster under test.
pub(super) const KEY: &str = "jepsen-key";
/// What a node is given for one request.
const DEADLINE: Duration = Duration::from_millis(1200);
/// When a client gives up, whatever the node does.
const GIVE_UP: Duration = Duration::from_millis(1600);
const NODE_APPLIED: &str = "quorate-applied";
const MAX_STALENESS: &str = "quorate-max-staleness";
const IDEMPOTENCY_KEY: &str = "quorate-idempotency-key";
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// Under which a write's name stands in its metadata.
const OP: &str = "op";

/// A client of one node. Connects when first used, and again after the node was away.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) channel: Channel,
    lineage: u64,
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
}

impl Client {
    pub(super) fn new(address: &str, lineage: u64) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address makes a URI")
            .connect_timeout(Duration::from_secs(1))
            .tcp_nodelay(true)
            .connect_lazy();
        Self { channel, lineage }
    }

    pub(super) fn rpc<T>(message: T) -> Rpc<T> {
        let mut rpc = Rpc::new(message);
        rpc.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().expect("the key is plain text"));
        rpc
    }

    /// Asks, and says in the terms of a history what came of it.
    pub async fn perform(&self, request: &Request) -> Outcome {
        let answered = async {
            match request {
                Request::Write(write) => self.write(write).await,
                Request::Schema { version, .. } => self.write_schema(*version).await,
                Request::Check { mode, questions } => self.check(*mode, questions).await,
                Request::List { mode, kind, id } => self.list(*mode, kind, id.as_deref()).await,
            }
        };
        let result = tokio::time::timeout(GIVE_UP, answered).await;
        let changes = matches!(request, Request::Write(_) | Request::Schema { .. });
        match result {
            Ok(Ok(answer)) => Outcome::Ok(answer),
            Ok(Err(status)) => outcome_of(&status, changes),
            Err(_) => {
                let failure = Failure { reason: "gave-up".to_owned(), message: String::new() };
                if changes { Outcome::Info(failure) } else { Outcome::Fail(failure) }
            }
        }
    }

    async fn write(&self, write: &Write) -> Result<Answer, Status> {
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
        let mut rpc = Self::rpc(message);
        rpc.set_timeout(DEADLINE);
        if let Some(key) = &write.idempotency_key {
            rpc.metadata_mut().insert(IDEMPOTENCY_KEY, ascii(key));
        }
        let response = PermissionsServiceClient::new(self.channel.clone()).write_relationships(rpc).await?;
        Ok(Answer::Written { index: self.index(response.get_ref().written_at.as_ref())? })
    }

    async fn write_schema(&self, version: usize) -> Result<Answer, Status> {
        let mut rpc = Self::rpc(api::WriteSchemaRequest { schema: Rules::version(version).text() });
        rpc.set_timeout(DEADLINE);
        let response = SchemaServiceClient::new(self.channel.clone()).write_schema(rpc).await?;
        Ok(Answer::Written { index: self.index(response.get_ref().written_at.as_ref())? })
    }

    async fn check(&self, mode: Mode, questions: &[Relationship]) -> Result<Answer, Status> {
        let mut permissions = PermissionsServiceClient::new(self.channel.clone());
        if let [question] = questions {
            let message = api::CheckPermissionRequest {
                consistency: self.consistency(mode),
                resource: Some(object(&question.kind, &question.id)),
                permission: question.relation.clone(),
                subject: Some(subject_to_wire(question)),
                ..Default::default()
            };
            let response = permissions.check_permission(read(message, mode)).await?;
            let applied = applied_of(response.metadata());
            let response = response.into_inner();
            let allowed = vec![is_allowed(response.permissionship())];
            return Ok(Answer::Decided { index: self.index(response.checked_at.as_ref())?, applied, allowed });
        }
        let item = |question: &Relationship| api::CheckBulkPermissionsRequestItem {
            resource: Some(object(&question.kind, &question.id)),
            permission: question.relation.clone(),
            subject: Some(subject_to_wire(question)),
            ..Default::default()
        };
        let items = questions.iter().map(item).collect();
        let message =
            api::CheckBulkPermissionsRequest { consistency: self.consistency(mode), items, with_tracing: false };
        let response = permissions.check_bulk_permissions(read(message, mode)).await?;
        let applied = applied_of(response.metadata());
        let response = response.into_inner();
        let mut allowed = Vec::with_capacity(questions.len());
        for pair in &response.pairs {
            match &pair.response {
                Some(api::check_bulk_permissions_pair::Response::Item(item)) => {
                    allowed.push(is_allowed(item.permissionship()));
                }
                Some(api::check_bulk_permissions_pair::Response::Error(error)) => {
                    return Err(Status::internal(format!("part of a bulk check failed: {}", error.message)));
                }
                None => return Err(Status::internal("part of a bulk check has no answer")),
            }
        }
        Ok(Answer::Decided { index: self.index(response.checked_at.as_ref())?, applied, allowed })
    }

    async fn list(&self, mode: Mode, kind: &str, id: Option<&str>) -> Result<Answer, Status> {
        let filter = api::RelationshipFilter {
            resource_type: kind.to_owned(),
            optional_resource_id: id.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        let message = api::ReadRelationshipsRequest {
            consistency: self.consistency(mode),
            relationship_filter: Some(filter),
            ..Default::default()
        };
        let mut permissions = PermissionsServiceClient::new(self.channel.clone());
        let mut stream = permissions.read_relationships(read(message, mode)).await?.into_inner();
        let (mut index, mut relationships) = (None, Vec::new());
        while let Some(row) = stream.message().await? {
            let at = self.index(row.read_at.as_ref())?;
            if index.is_some_and(|before| before != at) {
                return Err(Status::internal("rows of one listing have different zookies"));
            }
            index = Some(at);
            relationships.extend(row.relationship.as_ref().and_then(relationship_from_wire));
        }
        let applied = stream.trailers().await?.as_ref().and_then(applied_of);
        Ok(Answer::Listed { index, applied, relationships })
    }

    fn consistency(&self, mode: Mode) -> Option<api::Consistency> {
        use api::consistency::Requirement;
        let token = |index: u64| api::ZedToken { token: Zookie { lineage: self.lineage, index }.encode() };
        let requirement = match mode {
            Mode::Full => Requirement::FullyConsistent(true),
            Mode::Fresh(known) => Requirement::AtLeastAsFresh(token(known.index)),
            Mode::Exact(known) => Requirement::AtExactSnapshot(token(known.index)),
            Mode::Stale(_) | Mode::Minimal => Requirement::MinimizeLatency(true),
        };
        Some(api::Consistency { requirement: Some(requirement) })
    }

    fn index(&self, token: Option<&api::ZedToken>) -> Result<u64, Status> {
        index_of(self.lineage, token)
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
        let mut rpc = Self::rpc(StatusRequest {});
        rpc.set_timeout(DEADLINE);
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
    pub(super) async fn join(&self, peers: Vec<String>) -> Result<(), Status> {
        let mut admin = ClusterServiceClient::new(self.channel.clone());
        let mut stream = admin.join(Self::rpc(JoinRequest { peers, learner: false })).await?.into_inner();
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
        let index = index_of(self.lineage, message.changes_through.as_ref())?;
        if message.is_checkpoint {
            return Ok(Some(WatchTold::Through(index)));
        }
        let name = |fields: prost_types::Struct| match fields.fields.get(OP)?.kind.clone()? {
            prost_types::value::Kind::StringValue(op) => Some(op),
            _ => None,
        };
        let op = message.optional_transaction_metadata.and_then(name);
        let updates = message.updates.iter().filter_map(update_from_wire).collect();
        Ok(Some(WatchTold::Entry(LogEntry { index, op, updates, schema: message.schema_updated })))
    }
}

fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("names in this program are plain text")
}

fn read<T>(message: T, mode: Mode) -> Rpc<T> {
    let mut rpc = Client::rpc(message);
    rpc.set_timeout(DEADLINE);
    if let Mode::Stale(ms) = mode {
        rpc.metadata_mut().insert(MAX_STALENESS, ascii(&format!("{ms}ms")));
    }
    rpc
}

fn applied_of(metadata: &MetadataMap) -> Option<u64> {
    metadata.get(NODE_APPLIED)?.to_str().ok()?.parse().ok()
}

fn index_of(lineage: u64, token: Option<&api::ZedToken>) -> Result<u64, Status> {
    let token = token.ok_or_else(|| Status::internal("an answer without a zookie"))?;
    let zookie = Zookie::decode(&token.token).filter(|zookie| zookie.lineage == lineage);
    zookie.map(|zookie| zookie.index).ok_or_else(|| Status::internal(format!("an odd zookie: {}", token.token)))
}

fn outcome_of(status: &Status, changes: bool) -> Outcome {
    let reason = status
        .get_details_error_info()
        .map(|info| info.reason.strip_prefix("ERROR_REASON_").map_or(info.reason.clone(), str::to_owned));
    let definite = reason.as_deref().is_some_and(|reason| reason != OUTCOME_UNKNOWN) || was_never_sent(status);
    let code = || format!("{:?}", status.code());
    let failure =
        Failure { reason: reason.unwrap_or_else(code), message: status.message().chars().take(200).collect() };
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

fn is_allowed(permissionship: api::check_permission_response::Permissionship) -> bool {
    permissionship == api::check_permission_response::Permissionship::HasPermission
}

fn object(kind: &str, id: &str) -> api::ObjectReference {
    api::ObjectReference { object_type: kind.to_owned(), object_id: id.to_owned() }
}

fn subject_to_wire(relationship: &Relationship) -> api::SubjectReference {
    let subject = &relationship.subject;
    api::SubjectReference {
        object: Some(object(&subject.kind, &subject.id)),
        optional_relation: subject.relation.clone().unwrap_or_default(),
    }
}

fn update_to_wire(update: &Update) -> api::RelationshipUpdate {
    let (Update::Touch(relationship) | Update::Delete(relationship)) = update;
    let operation = match update {
        Update::Touch(_) => api::relationship_update::Operation::Touch,
        Update::Delete(_) => api::relationship_update::Operation::Delete,
    };
    let relationship = api::Relationship {
        resource: Some(object(&relationship.kind, &relationship.id)),
        relation: relationship.relation.clone(),
        subject: Some(subject_to_wire(relationship)),
        ..Default::default()
    };
    api::RelationshipUpdate { operation: operation.into(), relationship: Some(relationship) }
}

/// `None` for what this harness never writes, which is then missing where it is compared.
fn relationship_from_wire(relationship: &api::Relationship) -> Option<Relationship> {
    let (resource, subject) = (relationship.resource.as_ref()?, relationship.subject.as_ref()?);
    let subject_object = subject.object.as_ref()?;
    Some(Relationship {
        kind: resource.object_type.clone(),
        id: resource.object_id.clone(),
        relation: relationship.relation.clone(),
        subject: crate::history::Subject {
            kind: subject_object.object_type.clone(),
            id: subject_object.object_id.clone(),
            relation: Some(subject.optional_relation.clone()).filter(|relation| !relation.is_empty()),
        },
    })
}

fn update_from_wire(update: &api::RelationshipUpdate) -> Option<Update> {
    let relationship = relationship_from_wire(update.relationship.as_ref()?)?;
    Some(match update.operation() {
        api::relationship_update::Operation::Delete => Update::Delete(relationship),
        api::relationship_update::Operation::Create
        | api::relationship_update::Operation::Touch
        | api::relationship_update::Operation::Unspecified => Update::Touch(relationship),
    })
}

fn filter_of(relationship: &Relationship) -> api::RelationshipFilter {
    let subject = &relationship.subject;
    let relation = subject.relation.clone().unwrap_or_default();
    api::RelationshipFilter {
        resource_type: relationship.kind.clone(),
        optional_resource_id: relationship.id.clone(),
        optional_relation: relationship.relation.clone(),
        optional_subject_filter: Some(api::SubjectFilter {
            subject_type: subject.kind.clone(),
            optional_subject_id: subject.id.clone(),
            optional_relation: Some(api::subject_filter::RelationFilter { relation }),
        }),
        ..Default::default()
    }
}
