//! The public API end to end: a real listener on loopback, the generated clients, a node in memory behind it.

mod lookups;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use super::{ApiServices, Listeners, RequestLimits, serve};
use crate::consistency::Zookie;
use crate::model::{Error, ErrorCode, PlaceName, Revision};
use crate::security::{Allowance, ConnectionLimits, Keyring, Listener, ListenerSettings, Protocol};
use crate::service::testing::{LINEAGE, SCHEMA, TestNode, limits};
use crate::service::{
    BackupStream, Changed, ClusterAdmin, ClusterFormed, ClusterStatus, FeatureLevel, JoinAs, JoinProgress, JoinStage,
    MemberChange, MemberReport, NodePosition, Services, SnapshotTaken, Work,
};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::check_bulk_permissions_pair::Response as PairResponse;
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::permissions_service_client::PermissionsServiceClient;
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::schema_service_client::SchemaServiceClient;
use crate::wire::quorate::v1 as cluster_wire;
use crate::wire::quorate::v1::cluster_service_client::ClusterServiceClient;

pub(super) const KEY: &str = "a key";

/// Administration of a node that joins without trouble and cannot be initialised.
pub(super) struct TestAdmin;

impl ClusterAdmin for TestAdmin {
    fn init(&self) -> BoxFuture<'_, Result<ClusterFormed, Error>> {
        async { Err(Error::new(ErrorCode::Unavailable, "cannot")) }.boxed()
    }

    fn join(
        &self,
        _: Vec<String>,
        join_as: JoinAs,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<JoinProgress, Error>>, Error>> {
        let report =
            |stage| Ok(JoinProgress { stage, node_id: 2, applied: Revision::new(1), target: Revision::new(2) });
        let goal = if join_as == JoinAs::Learner { JoinStage::Learner } else { JoinStage::Voter };
        let reports = [JoinStage::Admitted, JoinStage::CatchingUp, goal].map(report);
        async { Ok(stream::iter(reports).boxed()) }.boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<ClusterStatus, Error>> {
        let status = ClusterStatus::waiting(Work::default(), FeatureLevel::new(2));
        async { Ok(status) }.boxed()
    }

    fn ask_members(&self, _: Duration) -> BoxFuture<'_, Vec<MemberReport>> {
        async { vec![MemberReport { node_id: 2, report: Err("silent".to_owned()) }] }.boxed()
    }

    fn position(&self) -> Option<NodePosition> {
        Some(NodePosition { node_id: 3, applied: Revision::new(7) })
    }

    fn change_members(&self, _: MemberChange, _: Instant) -> BoxFuture<'_, Result<Changed, Error>> {
        async { Ok(Changed { leader: 2, term: 4, changed: true }) }.boxed()
    }

    fn set_home_region(&self, _: Option<PlaceName>, _: Instant) -> BoxFuture<'_, Result<bool, Error>> {
        async { Ok(true) }.boxed()
    }

    fn backup(&self, _: HashSet<[u8; 32]>) -> BoxFuture<'_, Result<BackupStream, Error>> {
        async { Err(Error::new(ErrorCode::Unavailable, "cannot")) }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<SnapshotTaken, Error>> {
        async { Ok(SnapshotTaken { snapshot: Revision::new(5), purged: Revision::new(3) }) }.boxed()
    }
}

type Keyed = InterceptedService<Channel, WithKey>;

#[derive(Clone)]
struct WithKey(Option<&'static str>);

impl tonic::service::Interceptor for WithKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = self.0 {
            let value = MetadataValue::try_from(format!("Bearer {key}")).expect("ASCII");
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// A server that ends with the test.
struct Server {
    channel: Channel,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), super::ServeError>>,
}

impl Server {
    async fn start(services: Arc<Services>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let keyring = Arc::new(Keyring::new(&[KEY], None).expect("one key"));
        let api = ApiServices { services, cluster: Arc::new(TestAdmin), audit: None };
        let shutdown = CancellationToken::new();
        let limits = ConnectionLimits { most: 10, most_from_one: None };
        let settings = ListenerSettings { name: "client", protocol: Protocol::Http2, limits, tls: None };
        let serving = tokio::spawn(serve(
            Listeners {
                grpc: Listener::new(listener, settings).expect("bound"),
                gateway: None,
                console: None,
                metrics: None,
            },
            api,
            keyring,
            RequestLimits { node: Allowance::default(), watches: 10 },
            shutdown.clone(),
        ));
        let channel = Endpoint::try_from(endpoint).expect("an address").connect().await.expect("it listens");
        Self { channel, shutdown, serving }
    }

    async fn member() -> (Arc<TestNode>, Self) {
        let (node, services) = TestNode::start();
        (node, Self::start(services).await)
    }

    fn permissions(&self, key: Option<&'static str>) -> PermissionsServiceClient<Keyed> {
        PermissionsServiceClient::with_interceptor(self.channel.clone(), WithKey(key))
    }

    fn schema(&self) -> SchemaServiceClient<Keyed> {
        SchemaServiceClient::with_interceptor(self.channel.clone(), WithKey(Some(KEY)))
    }

    async fn health(&self, service: &str) -> ServingStatus {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(self.channel.clone()).check(request).await.expect("known").into_inner().status()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        drop(self.channel);
        self.serving.await.expect("does not panic").expect("ends well");
    }
}

fn object(text: &str) -> wire::ObjectReference {
    let (object_type, object_id) = text.split_once(':').expect("type:id");
    wire::ObjectReference { object_type: object_type.to_owned(), object_id: object_id.to_owned() }
}

fn subject(text: &str) -> wire::SubjectReference {
    wire::SubjectReference { object: Some(object(text)), optional_relation: String::new() }
}

fn write(operation: Operation, resource: &str, relation: &str, user: &str) -> wire::WriteRelationshipsRequest {
    let relationship = wire::Relationship {
        resource: Some(object(resource)),
        relation: relation.to_owned(),
        subject: Some(subject(user)),
        ..Default::default()
    };
    let update = wire::RelationshipUpdate { operation: operation.into(), relationship: Some(relationship) };
    wire::WriteRelationshipsRequest { updates: vec![update], ..Default::default() }
}

fn check(resource: &str, permission: &str, user: &str) -> wire::CheckPermissionRequest {
    wire::CheckPermissionRequest {
        consistency: consistency(Requirement::FullyConsistent(true)),
        resource: Some(object(resource)),
        permission: permission.to_owned(),
        subject: Some(subject(user)),
        ..Default::default()
    }
}

fn consistency(requirement: Requirement) -> Option<wire::Consistency> {
    Some(wire::Consistency { requirement: Some(requirement) })
}

fn documents() -> Option<wire::RelationshipFilter> {
    Some(wire::RelationshipFilter { resource_type: "document".to_owned(), ..Default::default() })
}

fn reason(status: &Status) -> (Code, String, String) {
    let info = status.get_details_error_info().expect("every error says why");
    (status.code(), info.domain, info.reason)
}

async fn read(
    client: &mut PermissionsServiceClient<Keyed>,
    request: wire::ReadRelationshipsRequest,
) -> Result<Vec<wire::ReadRelationshipsResponse>, Status> {
    let mut stream = client.read_relationships(request).await?.into_inner();
    let mut rows = Vec::new();
    while let Some(row) = stream.message().await? {
        rows.push(row);
    }
    Ok(rows)
}

#[tokio::test]
async fn a_session_from_schema_to_deletion() {
    let (_, server) = Server::member().await;
    let (mut schema, mut client) = (server.schema(), server.permissions(Some(KEY)));

    let none = schema.read_schema(wire::ReadSchemaRequest {}).await.expect_err("none yet");
    assert_eq!(none.code(), Code::NotFound);
    let written = schema.write_schema(wire::WriteSchemaRequest { schema: SCHEMA.to_owned() }).await.expect("valid");
    let read_back = schema.read_schema(wire::ReadSchemaRequest {}).await.expect("written").into_inner();
    assert_eq!(read_back.schema_text, SCHEMA);
    assert_eq!(read_back.read_at, written.into_inner().written_at);

    let mut last = None;
    for user in ["user:a", "user:b", "user:c"] {
        let response = client.write_relationships(write(Operation::Create, "document:1", "viewer", user)).await;
        last = response.expect("valid").into_inner().written_at;
    }

    let mut fresh = check("document:1", "view", "user:c");
    fresh.consistency = last.clone().and_then(|token| consistency(Requirement::AtLeastAsFresh(token)));
    let answer = client.check_permission(fresh).await.expect("answers");
    assert!(answer.metadata().contains_key("x-request-id"));
    let answer = answer.into_inner();
    assert_eq!(answer.permissionship(), Permissionship::HasPermission);
    assert_eq!(answer.checked_at, last);
    let denied = client.check_permission(check("document:1", "view", "user:d")).await.expect("answers").into_inner();
    assert_eq!(denied.permissionship(), Permissionship::NoPermission);

    let first = wire::ReadRelationshipsRequest {
        consistency: consistency(Requirement::FullyConsistent(true)),
        relationship_filter: documents(),
        optional_limit: 2,
        optional_cursor: None,
    };
    let page = read(&mut client, first.clone()).await.expect("readable");
    assert_eq!(page.len(), 2);
    let cursor = page[1].after_result_cursor.clone();
    let rest = read(&mut client, wire::ReadRelationshipsRequest { optional_cursor: cursor, ..first }).await;
    let rest = rest.expect("readable");
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].relationship.as_ref().and_then(|it| it.subject.clone()), Some(subject("user:c")));

    let delete = wire::DeleteRelationshipsRequest {
        relationship_filter: documents(),
        optional_limit: 2,
        optional_allow_partial_deletions: true,
        ..Default::default()
    };
    use wire::delete_relationships_response::DeletionProgress;
    for (count, progress) in [(2, DeletionProgress::Partial), (1, DeletionProgress::Complete)] {
        let answer = client.delete_relationships(delete.clone()).await.expect("valid").into_inner();
        assert_eq!((answer.relationships_deleted_count, answer.deletion_progress()), (count, progress));
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_carry_the_reasons_that_clients_branch_on() {
    let (_, server) = Server::member().await;
    let (mut schema, mut client) = (server.schema(), server.permissions(Some(KEY)));
    let write_schema = |text: &str| wire::WriteSchemaRequest { schema: text.to_owned() };
    schema.write_schema(write_schema(SCHEMA)).await.expect("valid");
    client.write_relationships(write(Operation::Create, "document:1", "viewer", "user:a")).await.expect("valid");

    let mut caveated = write(Operation::Create, "document:2", "viewer", "user:a");
    if let Some(relationship) = &mut caveated.updates[0].relationship {
        relationship.optional_caveat = Some(wire::ContextualizedCaveat { caveat_name: "c".to_owned(), context: None });
    }
    let mut expiring = write(Operation::Create, "document:2", "viewer", "user:a");
    if let Some(relationship) = &mut expiring.updates[0].relationship {
        relationship.optional_expires_at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    }
    let foreign = Zookie { lineage: LINEAGE + 1, shard: 0, revision: Revision::new(1) }.encode();
    let exactly = |token: String| {
        let mut request = check("document:1", "view", "user:a");
        request.consistency = consistency(Requirement::AtExactSnapshot(wire::ZedToken { token }));
        request
    };
    let bad_cursor = wire::ReadRelationshipsRequest {
        relationship_filter: documents(),
        optional_cursor: Some(wire::Cursor { token: "AQID".to_owned() }),
        ..Default::default()
    };
    let create = |resource, relation, user| write(Operation::Create, resource, relation, user);
    let cases = [
        (
            client.write_relationships(create("document:1", "viewer", "user:a")).await.map(drop),
            (Code::AlreadyExists, "authzed.com", "ERROR_REASON_ATTEMPT_TO_RECREATE_RELATIONSHIP"),
        ),
        (
            client.write_relationships(create("folder:1", "viewer", "user:a")).await.map(drop),
            (Code::FailedPrecondition, "authzed.com", "ERROR_REASON_UNKNOWN_DEFINITION"),
        ),
        (
            client.write_relationships(create("document:1", "view", "user:a")).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_CANNOT_UPDATE_PERMISSION"),
        ),
        (
            client.write_relationships(caveated).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_INVALID_SUBJECT_TYPE"),
        ),
        (
            client.write_relationships(expiring).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_INVALID_SUBJECT_TYPE"),
        ),
        (
            client.check_permission(check("document:1", "absent", "user:a")).await.map(drop),
            (Code::FailedPrecondition, "authzed.com", "ERROR_REASON_UNKNOWN_RELATION_OR_PERMISSION"),
        ),
        (
            client.check_permission(exactly(foreign)).await.map(drop),
            (Code::FailedPrecondition, "quorate", "FOREIGN_ZOOKIE"),
        ),
        (
            client.check_permission(exactly("?".to_owned())).await.map(drop),
            (Code::InvalidArgument, "quorate", "INVALID_ZOOKIE"),
        ),
        (
            read(&mut client, bad_cursor).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_INVALID_CURSOR"),
        ),
        (
            schema.write_schema(write_schema("definition user {}")).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_SCHEMA_TYPE_ERROR"),
        ),
        (
            schema.write_schema(write_schema("definition")).await.map(drop),
            (Code::InvalidArgument, "authzed.com", "ERROR_REASON_SCHEMA_PARSE_ERROR"),
        ),
    ];
    for (outcome, (code, domain, name)) in cases {
        let status = outcome.expect_err(name);
        assert_eq!(reason(&status), (code, domain.to_owned(), name.to_owned()), "{status:?}");
        assert!(status.metadata().contains_key("x-request-id"), "{status:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bulk_check_has_a_status_for_each_item_that_fails() {
    let (_, server) = Server::member().await;
    server.schema().write_schema(wire::WriteSchemaRequest { schema: SCHEMA.to_owned() }).await.expect("valid");
    let mut client = server.permissions(Some(KEY));
    client.write_relationships(write(Operation::Create, "document:1", "viewer", "user:a")).await.expect("valid");
    let item = |permission: &str| wire::CheckBulkPermissionsRequestItem {
        resource: Some(object("document:1")),
        permission: permission.to_owned(),
        subject: Some(subject("user:a")),
        context: None,
    };
    let request = wire::CheckBulkPermissionsRequest {
        consistency: consistency(Requirement::FullyConsistent(true)),
        items: vec![item("view"), item("absent"), item("owner")],
        with_tracing: false,
    };
    let answer = client.check_bulk_permissions(request).await.expect("answers").into_inner();
    assert!(answer.checked_at.is_some());
    let found: Vec<_> = answer
        .pairs
        .into_iter()
        .map(|pair| match pair.response.expect("given") {
            PairResponse::Item(item) => Ok(item.permissionship()),
            PairResponse::Error(status) => Err((status.code, status.details.len())),
        })
        .collect();
    let unknown = Err((Code::FailedPrecondition as i32, 1));
    assert_eq!(found, [Ok(Permissionship::HasPermission), unknown, Ok(Permissionship::NoPermission)]);
    server.stop().await;
}

#[tokio::test]
async fn the_key_guards_everything_but_health_and_reflection() {
    let (_, server) = Server::member().await;
    for (key, code) in [(None, Code::Unauthenticated), (Some("another key"), Code::PermissionDenied)] {
        let status = server.permissions(key).check_permission(check("document:1", "view", "user:a")).await;
        assert_eq!(status.expect_err("no key").code(), code);
        let mut cluster = ClusterServiceClient::with_interceptor(server.channel.clone(), WithKey(key));
        assert_eq!(cluster.status(cluster_wire::StatusRequest {}).await.expect_err("no key").code(), code);
        let mut schema = SchemaServiceClient::with_interceptor(server.channel.clone(), WithKey(key));
        assert_eq!(schema.read_schema(wire::ReadSchemaRequest {}).await.expect_err("no key").code(), code);
    }
    assert_eq!(server.health("").await, ServingStatus::Serving);

    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut reflection = ServerReflectionClient::new(server.channel.clone());
    let mut answers = reflection.server_reflection_info(stream::iter([request])).await.expect("served").into_inner();
    let answer = answers.message().await.expect("answers").expect("one answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("not a list of services: {answer:?}");
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"authzed.api.v1.PermissionsService".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("peer")), "{names:?}");
    drop((answers, reflection));
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_waits_says_so_and_serves_once_it_is_a_member() {
    let services = Arc::new(Services::new(limits()));
    let server = Server::start(Arc::clone(&services)).await;
    let ready = "authzed.api.v1.PermissionsService";
    let status = server.permissions(Some(KEY)).check_permission(check("document:1", "view", "user:a")).await;
    let status = status.expect_err("waits");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("quorate cluster init"), "{}", status.message());
    assert_eq!(server.health(ready).await, ServingStatus::NotServing);

    let node = Arc::new(TestNode::default());
    services.attach(node.clone(), node.clone(), node);
    services.set_ready(true);
    server.schema().write_schema(wire::WriteSchemaRequest { schema: SCHEMA.to_owned() }).await.expect("a member");
    for _ in 0..100 {
        if server.health(ready).await == ServingStatus::Serving {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(server.health(ready).await, ServingStatus::Serving);
    server.stop().await;
}

#[tokio::test]
async fn administration_reaches_the_node() {
    let (_, server) = Server::member().await;
    let mut client = ClusterServiceClient::with_interceptor(server.channel.clone(), WithKey(Some(KEY)));
    let refused = client.init(cluster_wire::InitRequest {}).await.expect_err("cannot");
    assert_eq!(refused.code(), Code::Unavailable);
    let status = client.status(cluster_wire::StatusRequest {}).await.expect("answers").into_inner();
    assert_eq!(status.state(), cluster_wire::status_response::State::Waiting);
    let taken = client.snapshot(cluster_wire::SnapshotRequest {}).await.expect("taken").into_inner();
    assert_eq!((taken.snapshot_index, taken.purged_index), (5, 3));
    let none = client.join(cluster_wire::JoinRequest::default()).await.expect_err("no peer");
    assert_eq!(none.code(), Code::InvalidArgument);
    use cluster_wire::join_progress::Stage;
    for (learner, goal) in [(false, Stage::Voter), (true, Stage::Learner)] {
        let peers = vec!["127.0.0.1:1".to_owned()];
        let mut reports = client.join(cluster_wire::JoinRequest { peers, learner }).await.expect("joins").into_inner();
        let mut stages = Vec::new();
        while let Some(report) = reports.message().await.expect("goes on") {
            stages.push(report.stage());
        }
        assert_eq!(stages, [Stage::Admitted, Stage::CatchingUp, goal]);
    }
    drop(client);
    server.stop().await;
}
