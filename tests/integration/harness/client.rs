//! A client of one node, over the wire, and what its errors say.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::text::{object_reference, relationship_text, subject_reference};
use super::wire::authzed::check_permission_response::Permissionship;
use super::wire::authzed::experimental_service_client::ExperimentalServiceClient;
use super::wire::authzed::permissions_service_client::PermissionsServiceClient;
use super::wire::authzed::schema_service_client::SchemaServiceClient;
use super::wire::authzed::watch_service_client::WatchServiceClient;
use super::wire::authzed::{
    CheckBulkPermissionsRequestItem, CheckPermissionRequest, Consistency, ReadRelationshipsRequest, RelationshipFilter,
    RelationshipUpdate, WriteRelationshipsRequest, WriteSchemaRequest, ZedToken,
};
use super::wire::cluster::cluster_service_client::ClusterServiceClient;
use super::wire::cluster::consistency_service_client::ConsistencyServiceClient;
use super::wire::cluster::{
    DemoteRequest, InitRequest, JoinProgress, JoinRequest, PromoteRequest, RemoveRequest, SnapshotRequest,
    StatusRequest, StatusResponse, TransferLeaderRequest, TransferLeaderResponse, UpgradeRequest,
};

/// The bearer key of every cluster under test.
pub(crate) const KEY: &str = "integration-key";

/// Nothing that a test does takes longer than this, unless something is broken.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Puts the key on every request.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Transport = InterceptedService<Channel, Bearer>;

/// Speaks to one node. Connects when first used, and again after the node was away.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) permissions: PermissionsServiceClient<Transport>,
    pub(crate) schemas: SchemaServiceClient<Transport>,
    pub(crate) watches: WatchServiceClient<Transport>,
    pub(crate) admin: ClusterServiceClient<Transport>,
    pub(crate) consistency: ConsistencyServiceClient<Transport>,
    pub(crate) experimental: ExperimentalServiceClient<Transport>,
}

/// What a check said, and at which index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) at: ZedToken,
}

impl Client {
    /// A client with the right key.
    pub(crate) fn new(address: &str) -> Self {
        Self::with_key(address, Some(KEY))
    }

    /// A client with this key, or with none.
    pub(crate) fn with_key(address: &str, key: Option<&str>) -> Self {
        let bearer = Bearer(key.map(|key| format!("Bearer {key}").parse().expect("test keys are plain text")));
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address makes a URI")
            .connect_timeout(Duration::from_secs(2))
            .timeout(GIVE_UP)
            .connect_lazy();
        Self {
            permissions: PermissionsServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            schemas: SchemaServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            watches: WatchServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            admin: ClusterServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            consistency: ConsistencyServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            experimental: ExperimentalServiceClient::with_interceptor(channel, bearer),
        }
    }

    pub(crate) async fn write_schema(&self, schema: &str) -> Result<ZedToken, Status> {
        let request = WriteSchemaRequest { schema: schema.to_owned() };
        let response = self.schemas.clone().write_schema(request).await?.into_inner();
        Ok(response.written_at.expect("every answer carries a zookie"))
    }

    /// Writes all of it or nothing.
    pub(crate) async fn write(
        &self,
        updates: impl IntoIterator<Item = RelationshipUpdate>,
    ) -> Result<ZedToken, Status> {
        let request = WriteRelationshipsRequest { updates: updates.into_iter().collect(), ..Default::default() };
        let response = self.permissions.clone().write_relationships(request).await?.into_inner();
        Ok(response.written_at.expect("every answer carries a zookie"))
    }

    /// Checks `resource#permission@subject`.
    pub(crate) async fn check(&self, check: &str, consistency: Option<Consistency>) -> Result<Answer, Status> {
        let item = check_item(check);
        let request = CheckPermissionRequest {
            consistency,
            resource: item.resource,
            permission: item.permission,
            subject: item.subject,
            context: None,
            with_tracing: false,
        };
        let response = self.permissions.clone().check_permission(request).await?.into_inner();
        let allowed = is_allowed(response.permissionship());
        Ok(Answer { allowed, at: response.checked_at.expect("every answer carries a zookie") })
    }

    /// The relationships that match, as texts in the order of the answer, and the zookie of the read when there was any.
    pub(crate) async fn read(
        &self,
        filter: RelationshipFilter,
        consistency: Option<Consistency>,
    ) -> Result<(Vec<String>, Option<ZedToken>), Status> {
        let request = ReadRelationshipsRequest {
            consistency,
            relationship_filter: Some(filter),
            optional_limit: 0,
            optional_cursor: None,
        };
        let mut stream = self.permissions.clone().read_relationships(request).await?.into_inner();
        let (mut found, mut read_at) = (Vec::new(), None);
        while let Some(row) = stream.message().await? {
            found.push(relationship_text(&row.relationship.expect("a row holds a relationship")));
            read_at = row.read_at;
        }
        Ok((found, read_at))
    }

    pub(crate) async fn status(&self) -> Result<StatusResponse, Status> {
        Ok(self.admin.clone().status(StatusRequest {}).await?.into_inner())
    }

    pub(crate) async fn init(&self) -> Result<(), Status> {
        self.admin.clone().init(InitRequest {}).await.map(|_| ())
    }

    /// Has the leader hand over to this node, or for 0 to whom it likes.
    pub(crate) async fn transfer_leader(&self, to: u64) -> Result<TransferLeaderResponse, Status> {
        Ok(self.admin.clone().transfer_leader(TransferLeaderRequest { to }).await?.into_inner())
    }

    pub(crate) async fn promote(&self, node_id: u64) -> Result<bool, Status> {
        Ok(self.admin.clone().promote(PromoteRequest { node_id }).await?.into_inner().changed)
    }

    pub(crate) async fn demote(&self, node_id: u64) -> Result<bool, Status> {
        Ok(self.admin.clone().demote(DemoteRequest { node_id }).await?.into_inner().changed)
    }

    pub(crate) async fn remove(&self, node_id: u64) -> Result<bool, Status> {
        Ok(self.admin.clone().remove(RemoveRequest { node_id }).await?.into_inner().changed)
    }

    /// Raises the feature level to `to`, or for 0 as far as this node can; the level that it is at.
    pub(crate) async fn upgrade(&self, to: u32) -> Result<u32, Status> {
        Ok(self.admin.clone().upgrade(UpgradeRequest { to }).await?.into_inner().feature_level)
    }

    pub(crate) async fn snapshot(&self) -> Result<(), Status> {
        self.admin.clone().snapshot(SnapshotRequest {}).await.map(|_| ())
    }

    /// Joins by `peers` and waits for the end of it; the last progress that was reported.
    pub(crate) async fn join(&self, peers: Vec<String>, learner: bool) -> Result<Option<JoinProgress>, Status> {
        let mut stream = self.admin.clone().join(JoinRequest { peers, learner }).await?.into_inner();
        let mut last = None;
        while let Some(progress) = stream.message().await? {
            last = Some(progress);
        }
        Ok(last)
    }
}

/// `resource#permission@subject` as an item of a bulk check.
pub(crate) fn check_item(check: &str) -> CheckBulkPermissionsRequestItem {
    let (resource, subject) = check.split_once('@').unwrap_or_else(|| panic!("{check:?} has no subject"));
    let (resource, permission) = resource.split_once('#').unwrap_or_else(|| panic!("{check:?} has no permission"));
    CheckBulkPermissionsRequestItem {
        resource: Some(object_reference(resource)),
        permission: permission.to_owned(),
        subject: Some(subject_reference(subject)),
        context: None,
    }
}

/// Yes or no; there is no third answer without caveats.
pub(crate) fn is_allowed(permissionship: Permissionship) -> bool {
    match permissionship {
        Permissionship::HasPermission => true,
        Permissionship::NoPermission => false,
        Permissionship::Unspecified | Permissionship::ConditionalPermission => {
            panic!("not an answer: {permissionship:?}")
        }
    }
}

/// The reason in the status's `ErrorInfo`, without its common prefix. Every error that a node gives has one; an error that
/// this process's own transport made has none.
pub(crate) fn reason_of(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    match info.domain.as_str() {
        "authzed.com" => Some(info.reason.trim_start_matches("ERROR_REASON_").to_owned()),
        "quorate" => Some(info.reason),
        _ => panic!("an unknown domain of reasons: {status:?}"),
    }
}

/// What a failed write says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node says that nothing was written, and that trying again is safe.
    NothingWritten,
    /// The node says that it does not know, or the connection broke before it could say anything.
    Unknown,
    /// The node refused it after judging it.
    Refused,
}

/// Reads a failed write's outcome. A node that leaves it open has failed its promise.
pub(crate) fn outcome_of(status: &Status) -> Outcome {
    let Some(reason) = reason_of(status) else {
        return Outcome::Unknown; // The transport broke; the node said nothing.
    };
    match (status.code(), reason.as_str()) {
        (_, "OUTCOME_UNKNOWN" | "INTERNAL") => Outcome::Unknown,
        (Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted, _) => {
            Outcome::NothingWritten
        }
        (Code::AlreadyExists | Code::FailedPrecondition | Code::InvalidArgument, _) => Outcome::Refused,
        _ => panic!("the write failed and does not say whether it took effect: {status:?}"),
    }
}
