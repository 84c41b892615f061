//! Every refusal of the public API, as a table: a request, the gRPC code, the reason in the `ErrorInfo`. Each row is asked of
//! the leader and of a follower, which must not differ.

use futures::future::BoxFuture;
use tonic::{Code, Status};

use crate::harness::wire::authzed::check_bulk_permissions_pair::Response;
use crate::harness::wire::authzed::delete_relationships_response::DeletionProgress;
use crate::harness::wire::authzed::precondition::Operation;
use crate::harness::wire::authzed::{
    CheckBulkPermissionsRequest, ContextualizedCaveat, Cursor, DeleteRelationshipsRequest,
    ExportBulkRelationshipsRequest, ImportBulkRelationshipsRequest, Precondition, ReadRelationshipsRequest,
    RelationshipFilter, RelationshipUpdate, SubjectFilter, WriteRelationshipsRequest, ZedToken,
};
use crate::harness::{
    Client, Cluster, SCHEMA, at_least, check_item, create, delete, exactly, filter, fully, is_allowed, reason_of, touch,
};

/// One request that is refused.
struct Row {
    name: &'static str,
    code: Code,
    /// The reason in the `ErrorInfo`, without SpiceDB's prefix.
    reason: &'static str,
    ask: fn(Client) -> BoxFuture<'static, Result<(), Status>>,
}

/// A row: what it is called, what is expected, and the request as an expression over `client`.
macro_rules! row {
    ($name:literal, $code:ident, $reason:literal, |$client:ident| $ask:expr) => {
        Row {
            name: $name,
            code: Code::$code,
            reason: $reason,
            ask: |$client| Box::pin(async move { $ask.await.map(|_| ()) }),
        }
    };
}

fn schema_rows() -> Vec<Row> {
    vec![
        row!("a schema that does not parse", InvalidArgument, "SCHEMA_PARSE_ERROR", |c| c
            .write_schema("definition user {")),
        row!("a schema with an unknown type", FailedPrecondition, "SCHEMA_TYPE_ERROR", |c| c
            .write_schema("definition document { relation viewer: nobody }")),
        row!("a caveat whose condition has no sense", InvalidArgument, "SCHEMA_PARSE_ERROR", |c| c
            .write_schema("caveat tall(height int) { height > \"x\" }\ndefinition user {}")),
        row!("a caveat with an unused parameter", FailedPrecondition, "SCHEMA_TYPE_ERROR", |c| c
            .write_schema("caveat tall(height int, width int) { height > 2 }\ndefinition user {}")),
        row!("expiration that is not in use", FailedPrecondition, "SCHEMA_TYPE_ERROR", |c| c
            .write_schema("definition user {}\ndefinition document { relation viewer: user with expiration }")),
        row!("a schema without a type in use", InvalidArgument, "SCHEMA_TYPE_ERROR", |c| c
            .write_schema("definition user {}")),
        row!("a schema without a relation in use", InvalidArgument, "SCHEMA_TYPE_ERROR", |c| {
            c.write_schema(
            "definition user {}\ndefinition group { relation member: user }\ndefinition document { relation owner: user }"
        )
        }),
    ]
}

fn write_rows() -> Vec<Row> {
    vec![
        row!("a relationship with a caveat that is not allowed", InvalidArgument, "INVALID_SUBJECT_TYPE", |c| c
            .write([with_caveat("document:c#viewer@user:u")])),
        row!("a caveat with a context that is too large", InvalidArgument, "MAX_RELATIONSHIP_CONTEXT_SIZE", |c| {
            let mut update = with_caveat("document:c#viewer@user:u");
            let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".repeat(25_000))) };
            let caveat = update.relationship.as_mut().and_then(|it| it.optional_caveat.as_mut());
            caveat.expect("it has one").context =
                Some(prost_types::Struct { fields: [("text".to_owned(), value)].into() });
            async move { c.write([update]).await }
        }),
        row!("a relationship that may not expire", InvalidArgument, "INVALID_SUBJECT_TYPE", |c| c
            .write([with_expiration("document:e#viewer@user:u")])),
        row!("an unknown type", FailedPrecondition, "UNKNOWN_DEFINITION", |c| c
            .write([touch("folder:f#viewer@user:u")])),
        row!("an unknown relation", FailedPrecondition, "UNKNOWN_RELATION_OR_PERMISSION", |c| c
            .write([touch("document:d#reader@user:u")])),
        row!("a permission instead of a relation", InvalidArgument, "CANNOT_UPDATE_PERMISSION", |c| c
            .write([touch("document:d#view@user:u")])),
        row!("a subject of the wrong type", InvalidArgument, "INVALID_SUBJECT_TYPE", |c| c
            .write([touch("document:d#owner@group:g#member")])),
        row!("a wildcard where none is allowed", InvalidArgument, "INVALID_SUBJECT_TYPE", |c| c
            .write([touch("document:d#owner@user:*")])),
        row!("a bad object id", InvalidArgument, "INVALID_ARGUMENT", |c| c
            .write([touch("document:with space#viewer@user:u")])),
        row!("a bad type", InvalidArgument, "INVALID_ARGUMENT", |c| c.write([touch("Document:d#viewer@user:u")])),
        row!("a bad relation", InvalidArgument, "INVALID_ARGUMENT", |c| c.write([touch("document:d#VIEWER@user:u")])),
        row!("a wildcard resource", InvalidArgument, "INVALID_ARGUMENT", |c| c
            .write([touch("document:*#viewer@user:u")])),
        row!("an update without a relationship", InvalidArgument, "INVALID_ARGUMENT", |c| c
            .write([RelationshipUpdate::default()])),
        row!("one tuple twice", InvalidArgument, "UPDATES_ON_SAME_RELATIONSHIP", |c| c
            .write([touch("document:d#viewer@user:u"), delete("document:d#viewer@user:u")])),
        row!("too many updates", InvalidArgument, "TOO_MANY_UPDATES_IN_REQUEST", |c| c
            .write((0..1001).map(|n| touch(&format!("document:many-{n}#viewer@user:u"))))),
        row!("a CREATE of what exists", AlreadyExists, "ATTEMPT_TO_RECREATE_RELATIONSHIP", |c| c
            .write([touch("document:new#viewer@user:u"), create("document:there#viewer@user:tom")])),
        row!("a failed MUST_MATCH", FailedPrecondition, "WRITE_OR_DELETE_PRECONDITION_FAILURE", |c| write_if(
            &c,
            vec![must(Operation::MustMatch, filter("document:absent"))]
        )),
        row!("a failed MUST_NOT_MATCH", FailedPrecondition, "WRITE_OR_DELETE_PRECONDITION_FAILURE", |c| write_if(
            &c,
            vec![
                must(Operation::MustMatch, filter("document:there")),
                must(Operation::MustNotMatch, filter("document:there"))
            ]
        )),
        row!("a precondition that says nothing", InvalidArgument, "EMPTY_PRECONDITION", |c| write_if(
            &c,
            vec![Precondition::default()]
        )),
        row!("too many preconditions", InvalidArgument, "TOO_MANY_PRECONDITIONS_IN_REQUEST", |c| write_if(
            &c,
            vec![must(Operation::MustMatch, filter("document:there")); 1001]
        )),
    ]
}

fn delete_rows() -> Vec<Row> {
    vec![
        row!(
            "a delete of more than its limit",
            InvalidArgument,
            "TOO_MANY_RELATIONSHIPS_FOR_TRANSACTIONAL_DELETE",
            |c| remove(
                &c,
                DeleteRelationshipsRequest {
                    relationship_filter: Some(filter("document")),
                    optional_limit: 1,
                    ..Default::default()
                }
            )
        ),
        row!(
            "a delete with a limit that is too large",
            InvalidArgument,
            "EXCEEDS_MAXIMUM_ALLOWABLE_LIMIT",
            |c| remove(
                &c,
                DeleteRelationshipsRequest {
                    relationship_filter: Some(filter("document")),
                    optional_limit: 1001,
                    ..Default::default()
                }
            )
        ),
        row!("a delete without a filter", InvalidArgument, "INVALID_ARGUMENT", |c| remove(
            &c,
            DeleteRelationshipsRequest::default()
        )),
        row!("a delete with an empty filter", InvalidArgument, "INVALID_FILTER", |c| remove(
            &c,
            DeleteRelationshipsRequest {
                relationship_filter: Some(RelationshipFilter::default()),
                ..Default::default()
            }
        )),
        row!("a delete whose precondition fails", FailedPrecondition, "WRITE_OR_DELETE_PRECONDITION_FAILURE", |c| {
            remove(
                &c,
                DeleteRelationshipsRequest {
                    relationship_filter: Some(filter("document:there")),
                    optional_preconditions: vec![must(Operation::MustNotMatch, filter("document:there"))],
                    ..Default::default()
                },
            )
        }),
    ]
}

fn read_rows() -> Vec<Row> {
    vec![
        row!("a read of an unknown type", FailedPrecondition, "UNKNOWN_DEFINITION", |c| c
            .read(filter("folder"), fully())),
        row!("a read of a permission", FailedPrecondition, "SCHEMA_TYPE_ERROR", |c| c
            .read(RelationshipFilter { optional_relation: "view".to_owned(), ..filter("document") }, fully())),
        row!("a read with an id and an id prefix", InvalidArgument, "INVALID_FILTER", |c| c.read(
            RelationshipFilter { optional_resource_id_prefix: "th".to_owned(), ..filter("document:there") },
            fully()
        )),
        row!("a read with an empty filter", InvalidArgument, "INVALID_FILTER", |c| c
            .read(RelationshipFilter::default(), fully())),
        row!("a read with a bad subject type", InvalidArgument, "INVALID_ARGUMENT", |c| c.read(
            RelationshipFilter {
                optional_subject_filter: Some(SubjectFilter { subject_type: "U".to_owned(), ..Default::default() }),
                ..filter("document")
            },
            fully()
        )),
        row!("a read with a limit that is too large", InvalidArgument, "EXCEEDS_MAXIMUM_ALLOWABLE_LIMIT", |c| page(
            &c, "document", 1001, None
        )),
        row!("a cursor with another limit", InvalidArgument, "INVALID_CURSOR", |c| async move {
            let cursor = first_cursor(&c).await;
            page(&c, "document", 2, Some(&cursor)).await
        }),
        row!(
            "an export with pages that are too large",
            InvalidArgument,
            "EXCEEDS_MAXIMUM_ALLOWABLE_LIMIT",
            |c| export(&c, 10_001, None)
        ),
        row!("an export that goes on with the cursor of a read", InvalidArgument, "INVALID_CURSOR", |c| async move {
            let cursor = first_cursor(&c).await;
            export(&c, 0, Some(&cursor)).await
        }),
        row!("an import of what exists", AlreadyExists, "ATTEMPT_TO_RECREATE_RELATIONSHIP", |c| async move {
            let relationships = vec![touch("document:imported#viewer@user:u"), touch("document:there#viewer@user:tom")];
            let relationships = relationships.into_iter().filter_map(|update| update.relationship).collect();
            let request = ImportBulkRelationshipsRequest { relationships };
            c.permissions.clone().import_bulk_relationships(futures::stream::iter([request])).await
        }),
        row!("a cursor that is no cursor", InvalidArgument, "INVALID_CURSOR", |c| page(
            &c,
            "document",
            1,
            Some("no cursor")
        )),
        row!("a cursor of another request", InvalidArgument, "INVALID_CURSOR", |c| async move {
            let cursor = first_cursor(&c).await;
            page(&c, "group", 1, Some(&cursor)).await
        }),
    ]
}

fn check_rows() -> Vec<Row> {
    vec![
        row!("a check of an unknown type", FailedPrecondition, "UNKNOWN_DEFINITION", |c| c
            .check("folder:f#view@user:u", fully())),
        row!("a check of an unknown permission", FailedPrecondition, "UNKNOWN_RELATION_OR_PERMISSION", |c| c
            .check("document:d#print@user:u", fully())),
        row!("a check for an unknown type of subject", FailedPrecondition, "UNKNOWN_DEFINITION", |c| c
            .check("document:d#view@robot:r", fully())),
        row!(
            "a check for an unknown relation of a subject",
            FailedPrecondition,
            "UNKNOWN_RELATION_OR_PERMISSION",
            |c| c.check("document:d#view@group:g#boss", fully())
        ),
        row!("a check for a wildcard", InvalidArgument, "WILDCARD_NOT_ALLOWED", |c| c
            .check("document:d#view@user:*", fully())),
        row!("a check with a bad object id", InvalidArgument, "INVALID_ARGUMENT", |c| c
            .check("document:with space#view@user:u", fully())),
        row!("too many checks at once", InvalidArgument, "TOO_MANY_CHECKS_IN_REQUEST", |c| bulk(
            &c,
            vec!["document:d#view@user:u"; 10_001]
        )),
        row!("a damaged zookie", InvalidArgument, "INVALID_ZOOKIE", |c| c
            .check("document:d#view@user:u", exactly(&zookie("damaged")))),
        row!("a damaged zookie as a lower bound", InvalidArgument, "INVALID_ZOOKIE", |c| c
            .check("document:d#view@user:u", at_least(&zookie("damaged")))),
        row!("an empty zookie", InvalidArgument, "INVALID_ZOOKIE", |c| c
            .check("document:d#view@user:u", at_least(&zookie("")))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_their_codes_and_reasons_on_every_node() {
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let clients = [("leader", cluster.client(leader)), ("follower", cluster.client(cluster.others(&[leader])[0]))];
    clients[0]
        .1
        .write([touch("document:there#viewer@user:tom"), touch("document:there#owner@user:tom")])
        .await
        .unwrap();
    clients[0].1.write([touch("group:eng#member@user:tom")]).await.unwrap();
    let before = clients[0].1.read(filter("document"), fully()).await.unwrap().0;

    let mut complaints = Vec::new();
    let rows = [schema_rows(), write_rows(), delete_rows(), read_rows(), check_rows()];
    for row in rows.iter().flatten() {
        for (place, client) in &clients {
            let Err(status) = (row.ask)(client.clone()).await else {
                complaints.push(format!("{} ({place}): not refused", row.name));
                continue;
            };
            let reason = reason_of(&status).unwrap_or_default();
            if status.code() != row.code || reason != row.reason {
                let (code, message) = (status.code(), status.message());
                complaints.push(format!(
                    "{} ({place}): {:?} {:?} expected, got {code:?} {reason:?}: {message}",
                    row.name, row.code, row.reason
                ));
            }
            if status.message().is_empty() {
                complaints.push(format!("{} ({place}): no message", row.name));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    let after = clients[0].1.read(filter("document"), fully()).await.unwrap().0;
    assert_eq!(before, after, "what was refused changed nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_refused_does_what_it_says() {
    let cluster = Cluster::form(3).await;
    let client = cluster.client(cluster.others(&[cluster.leader().await])[0]);

    // A missing and a wrong key, on each service.
    for (key, code) in [(None, Code::Unauthenticated), (Some("wrong"), Code::PermissionDenied)] {
        let stranger = Client::with_key(&cluster.nodes[0].client_address, key);
        assert_eq!(stranger.check("document:d#view@user:u", None).await.unwrap_err().code(), code);
        assert_eq!(stranger.write_schema(SCHEMA).await.unwrap_err().code(), code);
        assert_eq!(stranger.status().await.unwrap_err().code(), code);
    }

    // Preconditions are judged on the state before the updates of the same request.
    let twice = vec![must(Operation::MustNotMatch, filter("document:d"))];
    write_if_on(&client, twice.clone(), "document:d#viewer@user:u").await.unwrap();
    assert_eq!(
        write_if_on(&client, twice, "document:d#viewer@user:u").await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    write_if_on(&client, vec![must(Operation::MustMatch, filter("document:d"))], "document:d#viewer@user:v")
        .await
        .unwrap();
    // A delete of what is absent does nothing; a CREATE after a DELETE is a new beginning.
    client.write([delete("document:absent#viewer@user:u")]).await.unwrap();
    client.write([delete("document:d#viewer@user:u")]).await.unwrap();
    client.write([create("document:d#viewer@user:u")]).await.unwrap();

    // A delete goes on where its limit stopped it.
    client.write((0..25).map(|n| touch(&format!("document:page-{n}#viewer@user:u")))).await.unwrap();
    let some = DeleteRelationshipsRequest {
        relationship_filter: Some(RelationshipFilter {
            optional_resource_id_prefix: "page-".to_owned(),
            ..filter("document")
        }),
        optional_limit: 10,
        optional_allow_partial_deletions: true,
        ..Default::default()
    };
    for (progress, count) in
        [(DeletionProgress::Partial, 10), (DeletionProgress::Partial, 10), (DeletionProgress::Complete, 5)]
    {
        let deleted = client.permissions.clone().delete_relationships(some.clone()).await.unwrap().into_inner();
        assert_eq!((deleted.deletion_progress(), deleted.relationships_deleted_count), (progress, count));
    }

    // Pages follow one another without a gap or a repetition, at one index.
    let all: Vec<String> = (0..25).map(|n| format!("document:list-{n:02}#viewer@user:u")).collect();
    client.write(all.iter().map(|tuple| touch(tuple))).await.unwrap();
    assert_eq!(read_in_pages(&client, "list-", 7).await, all);

    // Bulk answers keep the order of the request, and one bad item does not spoil the others.
    let items =
        ["document:d#view@user:v", "document:d#view@user:none", "document:d#print@user:v", "document:d#view@user:u"];
    let request = CheckBulkPermissionsRequest {
        consistency: fully(),
        items: items.iter().map(|item| check_item(item)).collect(),
        with_tracing: false,
    };
    let pairs = client.permissions.clone().check_bulk_permissions(request).await.unwrap().into_inner().pairs;
    let said: Vec<Option<bool>> = pairs
        .iter()
        .map(|pair| match pair.response.as_ref().expect("every item is answered") {
            Response::Item(item) => Some(is_allowed(item.permissionship())),
            Response::Error(status) => {
                assert_eq!(status.code, Code::FailedPrecondition as i32);
                None
            }
        })
        .collect();
    assert_eq!(said, [Some(true), Some(false), None, Some(true)]);
    for (pair, item) in pairs.iter().zip(items) {
        assert_eq!(pair.request, Some(check_item(item)), "each answer repeats its question");
    }
}

fn zookie(token: &str) -> ZedToken {
    ZedToken { token: token.to_owned() }
}

fn must(operation: Operation, filter: RelationshipFilter) -> Precondition {
    Precondition { operation: operation.into(), filter: Some(filter) }
}

async fn write_if(client: &Client, preconditions: Vec<Precondition>) -> Result<(), Status> {
    write_if_on(client, preconditions, "document:guarded#viewer@user:u").await
}

async fn write_if_on(client: &Client, optional_preconditions: Vec<Precondition>, tuple: &str) -> Result<(), Status> {
    let request =
        WriteRelationshipsRequest { updates: vec![touch(tuple)], optional_preconditions, ..Default::default() };
    client.permissions.clone().write_relationships(request).await.map(|_| ())
}

async fn remove(client: &Client, request: DeleteRelationshipsRequest) -> Result<(), Status> {
    client.permissions.clone().delete_relationships(request).await.map(|_| ())
}

async fn bulk(client: &Client, checks: Vec<&str>) -> Result<(), Status> {
    let items = checks.into_iter().map(check_item).collect();
    let request = CheckBulkPermissionsRequest { consistency: fully(), items, with_tracing: false };
    client.permissions.clone().check_bulk_permissions(request).await.map(|_| ())
}

fn with_caveat(tuple: &str) -> RelationshipUpdate {
    let mut update = touch(tuple);
    let caveat = ContextualizedCaveat { caveat_name: "tall".to_owned(), context: None };
    update.relationship.as_mut().expect("it has one").optional_caveat = Some(caveat);
    update
}

fn with_expiration(tuple: &str) -> RelationshipUpdate {
    let mut update = touch(tuple);
    let far = prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 };
    update.relationship.as_mut().expect("it has one").optional_expires_at = Some(far);
    update
}

/// One page; the rows do not matter.
async fn page(client: &Client, resource_type: &str, limit: u32, cursor: Option<&str>) -> Result<(), Status> {
    let request = ReadRelationshipsRequest {
        consistency: fully(),
        relationship_filter: Some(filter(resource_type)),
        optional_limit: limit,
        optional_cursor: cursor.map(|token| Cursor { token: token.to_owned() }),
    };
    let mut rows = client.permissions.clone().read_relationships(request).await?.into_inner();
    while rows.message().await?.is_some() {}
    Ok(())
}

/// An export; the rows do not matter.
async fn export(client: &Client, limit: u32, cursor: Option<&str>) -> Result<(), Status> {
    let request = ExportBulkRelationshipsRequest {
        consistency: fully(),
        optional_limit: limit,
        optional_cursor: cursor.map(|token| Cursor { token: token.to_owned() }),
        optional_relationship_filter: None,
    };
    let mut pages = client.permissions.clone().export_bulk_relationships(request).await?.into_inner();
    while pages.message().await?.is_some() {}
    Ok(())
}

/// The cursor after the first document.
async fn first_cursor(client: &Client) -> String {
    let request = ReadRelationshipsRequest {
        consistency: fully(),
        relationship_filter: Some(filter("document")),
        optional_limit: 1,
        optional_cursor: None,
    };
    let mut rows = client.permissions.clone().read_relationships(request).await.unwrap().into_inner();
    let row = rows.message().await.unwrap().expect("there is a document");
    row.after_result_cursor.expect("every row has a cursor").token
}

/// All documents whose id has this prefix, by pages, while others are written in between.
async fn read_in_pages(client: &Client, prefix: &str, limit: u32) -> Vec<String> {
    let mut request = ReadRelationshipsRequest {
        consistency: fully(),
        relationship_filter: Some(RelationshipFilter {
            optional_resource_id_prefix: prefix.to_owned(),
            ..filter("document")
        }),
        optional_limit: limit,
        optional_cursor: None,
    };
    let mut found = Vec::new();
    loop {
        let mut rows = client.permissions.clone().read_relationships(request.clone()).await.unwrap().into_inner();
        let before = found.len();
        while let Some(row) = rows.message().await.unwrap() {
            found.push(crate::harness::relationship_text(&row.relationship.expect("a row holds a relationship")));
            request.optional_cursor = row.after_result_cursor;
        }
        if found.len() == before {
            return found;
        }
        // A cursor reads on at the index of its first page, so this is not seen.
        client.write([touch(&format!("document:{prefix}zz-{before}#viewer@user:u"))]).await.unwrap();
    }
}
