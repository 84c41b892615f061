//! Writes, deletes and reads against a node in memory.

use std::sync::Arc;

use super::{DeleteTuples, ExportPage, ExportTuples, ReadTuples, TupleWithCursor, WriteTuples};
use crate::consistency::Zookie;
use crate::model::{
    CaveatUse, Error, ErrorCode, ObjectId, Precondition, PreconditionKind, Qualifiers, RelationName, SubjectFilter,
    SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleUpdate, TypeName, UpdateKind, limits,
};
use crate::raft::ProposeError;
use crate::service::testing::{SCHEMA, TestNode, call, schema_change, update};
use crate::service::{Consistency, Services};

async fn with_schema() -> (Arc<TestNode>, Arc<Services>) {
    let (node, services) = TestNode::start();
    services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
    (node, services)
}

fn writes(updates: Vec<TupleUpdate>) -> WriteTuples {
    WriteTuples { updates, ..WriteTuples::default() }
}

fn documents() -> TupleFilter {
    TupleFilter { resource_type: TypeName::new("document").ok(), ..TupleFilter::default() }
}

fn delete_all() -> DeleteTuples {
    DeleteTuples {
        filter: documents(),
        preconditions: Vec::new(),
        limit: 0,
        allow_partial: false,
        metadata_json: String::new(),
        key: None,
    }
}

fn read_all() -> ReadTuples {
    ReadTuples { consistency: Consistency::FullyConsistent, filter: documents(), limit: 0, cursor: None }
}

async fn collect(services: &Services, read: ReadTuples) -> Result<(Zookie, Vec<TupleWithCursor>), Error> {
    let mut stream = services.read_tuples(call(), read).await?;
    let mut rows = Vec::new();
    while let Some(page) = stream.pages.recv().await {
        rows.extend(page?);
    }
    Ok((stream.zookie, rows))
}

async fn write_documents(services: &Services, count: usize) {
    let all: Vec<_> =
        (0..count).map(|n| update(UpdateKind::Touch, &format!("document:d{n:05}#viewer@user:u"))).collect();
    for part in all.chunks(limits::UPDATES_PER_WRITE) {
        services.write_tuples(call(), writes(part.to_vec())).await.expect("valid");
    }
}

#[tokio::test]
async fn writes_that_need_no_state_to_be_refused() {
    let (node, services) = with_schema().await;
    let touch = |text: &str| update(UpdateKind::Touch, text);
    let many = vec![touch("document:a#viewer@user:b"); limits::UPDATES_PER_WRITE + 1];
    let precondition = |filter| Precondition { kind: PreconditionKind::MustMatch, filter };
    let both = TupleFilter {
        resource_id: ObjectId::new("a").ok(),
        resource_id_prefix: Some("a".to_owned()),
        ..TupleFilter::default()
    };
    let wildcard = TupleFilter {
        subject: Some(SubjectFilter {
            subject_type: TypeName::new("group").unwrap(),
            subject_id: Some(ObjectId::new("*").unwrap()),
            relation: SubjectRelationFilter::Relation(RelationName::new("member").unwrap()),
        }),
        ..TupleFilter::default()
    };
    let guarded = |filter| WriteTuples { preconditions: vec![precondition(filter)], ..WriteTuples::default() };
    let too_many = vec![precondition(documents()); limits::PRECONDITIONS_PER_WRITE + 1];
    let cases = [
        (writes(many), ErrorCode::TooManyUpdates),
        (
            writes(vec![touch("document:a#viewer@user:b"), update(UpdateKind::Delete, "document:a#viewer@user:b")]),
            ErrorCode::DuplicateUpdate,
        ),
        (guarded(TupleFilter::default()), ErrorCode::InvalidFilter),
        (guarded(both), ErrorCode::InvalidFilter),
        (guarded(wildcard), ErrorCode::InvalidArgument),
        (WriteTuples { preconditions: too_many, ..WriteTuples::default() }, ErrorCode::TooManyPreconditions),
        (
            WriteTuples {
                metadata_json: "x".repeat(limits::TRANSACTION_METADATA_BYTES + 1),
                ..writes(vec![touch("document:a#viewer@user:b")])
            },
            ErrorCode::MetadataTooLarge,
        ),
    ];
    let before = node.applied();
    for (write, code) in cases {
        assert_eq!(services.write_tuples(call(), write).await.expect_err("refused").code, code);
    }
    assert_eq!(node.applied(), before, "nothing was proposed");
}

#[tokio::test]
async fn writes_that_the_schema_or_the_data_refuse() {
    let (_, services) = with_schema().await;
    let write = |kind, text| services.write_tuples(call(), writes(vec![update(kind, text)]));
    write(UpdateKind::Create, "document:a#viewer@user:b").await.expect("valid");
    let cases = [
        (UpdateKind::Create, "document:a#viewer@user:b", ErrorCode::AlreadyExists),
        (UpdateKind::Touch, "folder:a#viewer@user:b", ErrorCode::UnknownDefinition),
        (UpdateKind::Touch, "document:a#editor@user:b", ErrorCode::UnknownRelation),
        (UpdateKind::Touch, "document:a#view@user:b", ErrorCode::CannotUpdatePermission),
        (UpdateKind::Touch, "document:a#owner@group:g#member", ErrorCode::InvalidSubjectType),
        (UpdateKind::Delete, "document:a#owner@group:g#member", ErrorCode::InvalidSubjectType),
    ];
    for (kind, text, code) in cases {
        assert_eq!(write(kind, text).await.expect_err(text).code, code, "{text}");
    }
    write(UpdateKind::Touch, "document:a#viewer@user:b").await.expect("a touch of what exists");
    write(UpdateKind::Delete, "document:absent#viewer@user:b").await.expect("a delete of what does not");
}

#[tokio::test]
async fn a_failed_precondition_says_which_one() {
    let (_, services) = with_schema().await;
    let mut write = writes(vec![update(UpdateKind::Touch, "document:a#viewer@user:b")]);
    write.preconditions = [PreconditionKind::MustNotMatch, PreconditionKind::MustMatch]
        .map(|kind| Precondition { kind, filter: documents() })
        .to_vec();
    let error = services.write_tuples(call(), write.clone()).await.expect_err("nothing matches");
    assert_eq!(error.code, ErrorCode::PreconditionFailed);
    assert!(error.details.contains(&("precondition_operation", "OPERATION_MUST_MATCH".to_owned())), "{error:?}");
    assert!(error.details.contains(&("precondition_resource_type", "document".to_owned())), "{error:?}");
    write.preconditions.pop();
    services.write_tuples(call(), write).await.expect("nothing matches, as demanded");
}

#[tokio::test]
async fn an_empty_write_names_the_present_state() {
    let (node, services) = with_schema().await;
    let zookie = services.write_tuples(call(), WriteTuples::default()).await.expect("allowed").zookie;
    assert_eq!(zookie.revision, node.applied());
}

#[tokio::test]
async fn without_a_schema_no_definition_is_known() {
    let (_, services) = TestNode::start();
    let write = writes(vec![update(UpdateKind::Touch, "document:a#viewer@user:b")]);
    assert_eq!(services.write_tuples(call(), write).await.expect_err("none").code, ErrorCode::UnknownDefinition);
}

#[tokio::test]
async fn a_node_that_lags_behind_the_schema_asks_for_the_latest_before_it_refuses() {
    let (node, services) = with_schema().await;
    *node.lags_at.lock() = Some(node.applied());
    node.apply(schema_change(&node, &SCHEMA.replace("relation owner: user", "relation owner: user | group#member")));
    let write = writes(vec![update(UpdateKind::Touch, "document:a#owner@group:g#member")]);
    services.write_tuples(call(), write).await.expect("the latest schema allows it");
    let filter = TupleFilter { resource_type: TypeName::new("folder").ok(), ..TupleFilter::default() };
    let delete = DeleteTuples { filter, ..delete_all() };
    let error = services.delete_tuples(call(), delete.clone()).await.expect_err("no schema has it");
    assert_eq!(error.code, ErrorCode::UnknownDefinition);
    node.apply(schema_change(&node, &format!("{SCHEMA} definition folder {{}}")));
    services.delete_tuples(call(), delete).await.expect("the latest schema has it");
}

#[tokio::test]
async fn a_schema_that_changes_under_a_write_is_judged_anew() {
    let (node, services) = with_schema().await;
    let write = writes(vec![update(UpdateKind::Touch, "document:a#viewer@user:b")]);

    node.others.lock().push_back(schema_change(&node, &format!("{SCHEMA} definition folder {{}}")));
    services.write_tuples(call(), write.clone()).await.expect("still valid");

    let without_viewers =
        SCHEMA.replace("relation viewer: user | user:* | group#member", "relation viewer: group#member");
    node.others.lock().push_back(schema_change(&node, &without_viewers));
    let error = services.write_tuples(call(), write.clone()).await.expect_err("no longer valid");
    assert_eq!(error.code, ErrorCode::InvalidSubjectType);
}

#[tokio::test]
async fn a_schema_that_never_rests_is_a_conflict() {
    let (node, services) = with_schema().await;
    let mut latest = node.applied().index();
    for _ in 0..10 {
        // Each replaces the one before it: the refused write between them takes an index too.
        let mut change = schema_change(&node, SCHEMA);
        if let crate::raft::CommandBody::WriteSchema(change) = &mut change {
            change.replaces = Some(crate::model::Revision::new(latest));
        }
        latest = if latest == node.applied().index() { latest + 1 } else { latest + 2 };
        node.others.lock().push_back(change);
    }
    let write = writes(vec![update(UpdateKind::Touch, "document:a#viewer@user:b")]);
    assert_eq!(services.write_tuples(call(), write).await.expect_err("never rests").code, ErrorCode::Conflict);
}

#[tokio::test]
async fn an_unknown_outcome_stays_apart_from_a_failure() {
    let (node, services) = with_schema().await;
    let cases = [
        (ProposeError::Unknown("the leader is gone".to_owned()), ErrorCode::OutcomeUnknown),
        (ProposeError::NotProposed("there is no leader".to_owned()), ErrorCode::Unavailable),
        (ProposeError::Overloaded, ErrorCode::ResourceExhausted),
    ];
    for (failure, code) in cases {
        *node.fails_with.lock() = Some(failure);
        let write = writes(vec![update(UpdateKind::Touch, "document:a#viewer@user:b")]);
        assert_eq!(services.write_tuples(call(), write).await.expect_err("fails").code, code);
    }
}

/// `document:a#viewer@user:b`, limited.
fn limited(kind: UpdateKind, caveat: Option<(&str, &str)>, expires_at: Option<u64>) -> TupleUpdate {
    let mut update = update(kind, "document:a#viewer@user:b");
    let caveat = caveat.map(|(name, context)| CaveatUse { name: name.to_owned(), context_json: context.to_owned() });
    update.tuple.qualifiers = Qualifiers { caveat, expires_at: expires_at.map(TimestampMs) };
    update
}

const LIMITED_SCHEMA: &str = "
    use expiration
    caveat tall(height int) { height > 2 }
    definition user {}
    definition document {
        relation viewer: user | user with tall | user with expiration
        relation owner: user
    }";

#[tokio::test]
async fn what_limits_a_tuple_is_judged_kept_and_replaced() {
    let (_, services) = TestNode::start();
    services.write_schema(call(), LIMITED_SCHEMA.to_owned()).await.expect("valid");
    let write = |update| services.write_tuples(call(), writes(vec![update]));
    let far = Some(u64::MAX);
    for (caveat, expires_at) in
        [(None, None), (Some(("tall", r#"{"height":3}"#)), None), (None, far), (Some(("tall", "")), None)]
    {
        let touch = limited(UpdateKind::Touch, caveat, expires_at);
        write(touch.clone()).await.expect("allowed");
        let rows = collect(&services, read_all()).await.expect("readable").1;
        let found: Vec<_> = rows.into_iter().map(|row| row.tuple).collect();
        assert_eq!(found, [touch.tuple], "a touch replaces what limits the tuple");
    }
    let refused = [
        (limited(UpdateKind::Touch, Some(("tall", "")), far), ErrorCode::InvalidSubjectType),
        (limited(UpdateKind::Touch, Some(("small", "")), None), ErrorCode::InvalidSubjectType),
        (limited(UpdateKind::Touch, Some(("tall", r#"{"height":"x"}"#)), None), ErrorCode::CaveatParameterType),
        (limited(UpdateKind::Touch, Some(("tall", r#"{"width":1}"#)), None), ErrorCode::CaveatParameterType),
        (limited(UpdateKind::Create, None, None), ErrorCode::AlreadyExists),
    ];
    for (update, code) in refused {
        assert_eq!(write(update.clone()).await.expect_err("refused").code, code, "{update:?}");
    }
    write(limited(UpdateKind::Delete, None, None)).await.expect("a delete needs no caveat");
    assert!(collect(&services, read_all()).await.expect("readable").1.is_empty());
}

#[tokio::test]
async fn what_has_expired_is_not_read_and_stands_in_the_way_of_a_create() {
    let (node, services) = TestNode::start();
    services.write_schema(call(), LIMITED_SCHEMA.to_owned()).await.expect("valid");
    let far = u64::MAX - 5;
    let write = |update| services.write_tuples(call(), writes(vec![update]));
    write(limited(UpdateKind::Create, None, Some(far))).await.expect("allowed");
    assert_eq!(collect(&services, read_all()).await.expect("readable").1.len(), 1);
    // The local clock is far behind.
    *node.cluster_time.lock() = TimestampMs(far);
    assert!(collect(&services, read_all()).await.expect("readable").1.is_empty());
    assert!(export(&services, ExportTuples::default()).await.expect("readable").is_empty());
    let error = write(limited(UpdateKind::Create, None, None)).await.expect_err("stored");
    assert_eq!(error.code, ErrorCode::AlreadyExists);
    write(limited(UpdateKind::Touch, None, None)).await.expect("allowed");
    assert_eq!(collect(&services, read_all()).await.expect("readable").1.len(), 1);
}

async fn export(services: &Services, request: ExportTuples) -> Result<Vec<ExportPage>, Error> {
    let mut stream = services.export_tuples(call(), request).await?.pages;
    let mut pages = Vec::new();
    while let Some(page) = stream.recv().await {
        pages.push(page?);
    }
    Ok(pages)
}

fn batches(batches: Vec<Vec<Tuple>>) -> impl futures::Stream<Item = Result<Vec<Tuple>, Error>> + Send {
    futures::stream::iter(batches.into_iter().map(Ok))
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Tuple> {
    numbers.map(|n| update(UpdateKind::Touch, &format!("document:d{n:05}#viewer@user:u")).tuple).collect()
}

#[tokio::test]
async fn an_import_of_one_entry_is_all_or_nothing() {
    let (_, services) = with_schema().await;
    let import = |stream| services.import_tuples(call(), batches(stream));
    assert_eq!(import(vec![]).await, Ok(0));
    assert_eq!(import(vec![numbered(0..3), vec![], numbered(3..10)]).await, Ok(10));
    let refused = [
        (vec![numbered(10..12), numbered(9..10)], ErrorCode::AlreadyExists),
        (vec![numbered(10..12), numbered(11..13)], ErrorCode::AlreadyExists),
        (
            vec![numbered(10..12), vec![update(UpdateKind::Touch, "folder:a#viewer@user:b").tuple]],
            ErrorCode::UnknownDefinition,
        ),
    ];
    for (stream, code) in refused {
        let error = import(stream).await.expect_err("refused");
        assert_eq!(error.code, code);
        assert!(error.details.contains(&("relationships_loaded", "0".to_owned())), "{error:?}");
    }
    assert_eq!(collect(&services, read_all()).await.expect("valid").1.len(), 10);
}

#[tokio::test]
async fn a_long_import_says_how_far_it_came() {
    let (node, services) = with_schema().await;
    let (all, before) = (limits::IMPORT_ENTRY_TUPLES + 5, node.applied());
    assert_eq!(services.import_tuples(call(), batches(vec![numbered(0..all)])).await, Ok(all as u64));
    assert_eq!(node.applied().index(), before.index() + 2, "two entries");
    let clash = vec![numbered(all..2 * all), numbered(0..1)];
    let error = services.import_tuples(call(), batches(clash)).await.expect_err("exists");
    let loaded = limits::IMPORT_ENTRY_TUPLES.to_string();
    assert!(error.details.contains(&("relationships_loaded", loaded.clone())), "{error:?}");
    assert!(error.message.contains(&loaded), "{error}");
    let rest =
        services.import_tuples(call(), batches(vec![numbered(all + limits::IMPORT_ENTRY_TUPLES..2 * all)])).await;
    assert_eq!(rest, Ok(5), "it goes on where it stopped");
}

#[tokio::test]
async fn an_export_goes_on_at_the_same_state_with_the_same_filter() {
    let (_, services) = with_schema().await;
    write_documents(&services, 7).await;
    let request = || ExportTuples { consistency: Consistency::FullyConsistent, page_tuples: 3, ..Default::default() };
    let pages = export(&services, request()).await.expect("valid");
    let sizes: Vec<_> = pages.iter().map(|page| page.tuples.len()).collect();
    assert_eq!(sizes, [3, 3, 1]);
    services.delete_tuples(call(), delete_all()).await.expect("valid");
    let cursor = Some(pages[0].cursor.clone());
    let rest =
        export(&services, ExportTuples { cursor: cursor.clone(), page_tuples: 2, ..request() }).await.expect("valid");
    let found: Vec<_> = rest.into_iter().flat_map(|page| page.tuples).collect();
    assert_eq!(found, numbered(3..7), "with pages of another size");
    let last = Some(pages[2].cursor.clone());
    assert!(export(&services, ExportTuples { cursor: last, ..request() }).await.expect("valid").is_empty());

    let refused = [
        (ExportTuples { cursor: cursor.clone(), filter: Some(documents()), ..request() }, ErrorCode::InvalidCursor),
        (ExportTuples { page_tuples: limits::EXPORT_PAGE + 1, ..request() }, ErrorCode::LimitTooLarge),
        (ExportTuples { filter: Some(TupleFilter::default()), ..request() }, ErrorCode::InvalidFilter),
    ];
    for (request, code) in refused {
        assert_eq!(export(&services, request).await.expect_err("refused").code, code);
    }
    let read = ReadTuples { cursor, ..read_all() };
    assert_eq!(collect(&services, read).await.expect_err("of an export").code, ErrorCode::InvalidCursor);
}

#[tokio::test]
async fn a_delete_stops_at_its_limit_only_where_that_is_allowed() {
    let (_, services) = with_schema().await;
    write_documents(&services, 5).await;
    let limited = |limit, allow_partial| DeleteTuples { limit, allow_partial, ..delete_all() };
    let error = services.delete_tuples(call(), limited(4, false)).await.expect_err("5 match");
    assert_eq!(error.code, ErrorCode::TooManyDeletes);
    let over = limits::READ_LIMIT + 1;
    assert_eq!(
        services.delete_tuples(call(), limited(over, true)).await.expect_err("over").code,
        ErrorCode::LimitTooLarge
    );
    for (expected, partial) in [(2, true), (2, true), (1, false), (0, false)] {
        let answer = services.delete_tuples(call(), limited(2, true)).await.expect("valid");
        assert_eq!((answer.count, answer.partial), (expected, partial));
    }
    // As in SpiceDB, a limit that was reached exactly may have more behind it.
    write_documents(&services, 2).await;
    for expected in [(2, true), (0, false)] {
        let answer = services.delete_tuples(call(), limited(2, false)).await.expect("valid");
        assert_eq!((answer.count, answer.partial), expected);
    }
    let empty = DeleteTuples { filter: TupleFilter::default(), ..delete_all() };
    assert_eq!(services.delete_tuples(call(), empty).await.expect_err("empty").code, ErrorCode::InvalidFilter);
}

#[tokio::test]
async fn a_long_read_is_one_state_in_many_pages() {
    let (_, services) = with_schema().await;
    write_documents(&services, 1234).await;
    let mut stream = services.read_tuples(call(), read_all()).await.expect("valid");
    let first = stream.pages.recv().await.expect("a page").expect("readable");
    assert!(first.len() < 1234, "not all at once");
    services.delete_tuples(call(), delete_all()).await.expect("valid");
    let mut found: Vec<String> = first.into_iter().map(|row| row.tuple.key.to_string()).collect();
    while let Some(page) = stream.pages.recv().await {
        found.extend(page.expect("readable").into_iter().map(|row| row.tuple.key.to_string()));
    }
    let expected: Vec<String> = (0..1234).map(|n| format!("document:d{n:05}#viewer@user:u")).collect();
    assert_eq!(found, expected);
    assert!(collect(&services, read_all()).await.expect("valid").1.is_empty());
}

#[tokio::test]
async fn a_cursor_goes_on_at_the_same_state() {
    let (_, services) = with_schema().await;
    write_documents(&services, 7).await;
    let (zookie, mut rows) = collect(&services, ReadTuples { limit: 3, ..read_all() }).await.expect("valid");
    assert_eq!(rows.len(), 3);
    services.delete_tuples(call(), delete_all()).await.expect("valid");
    loop {
        let cursor = rows.last().map(|row| row.cursor.clone());
        let (at, more) = collect(&services, ReadTuples { limit: 3, cursor, ..read_all() }).await.expect("valid");
        assert_eq!(at, zookie);
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    let names: Vec<_> = rows.iter().map(|row| row.tuple.key.resource.object_id.to_string()).collect();
    assert_eq!(names, (0..7).map(|n| format!("d{n:05}")).collect::<Vec<_>>());

    let cursor = rows.last().map(|row| row.cursor.clone());
    let filter = TupleFilter { resource_type: TypeName::new("group").ok(), ..TupleFilter::default() };
    let others = [
        ReadTuples { cursor: cursor.clone(), filter, limit: 3, ..read_all() },
        ReadTuples { cursor: cursor.clone(), limit: 4, ..read_all() },
        ReadTuples { cursor, consistency: Consistency::MinimizeLatency, limit: 3, ..read_all() },
    ];
    for other in others {
        assert_eq!(collect(&services, other).await.expect_err("other request").code, ErrorCode::InvalidCursor);
    }
    let damaged = ReadTuples { cursor: Some("AAAA".to_owned()), ..read_all() };
    assert_eq!(collect(&services, damaged).await.expect_err("damaged").code, ErrorCode::InvalidCursor);
}

#[tokio::test]
async fn reads_are_bounded_and_need_known_names() {
    let (_, services) = with_schema().await;
    let over = ReadTuples { limit: limits::READ_LIMIT + 1, ..read_all() };
    assert_eq!(collect(&services, over).await.expect_err("over").code, ErrorCode::LimitTooLarge);
    let filter = TupleFilter { resource_type: TypeName::new("folder").ok(), ..TupleFilter::default() };
    let unknown = ReadTuples { filter, ..read_all() };
    assert_eq!(collect(&services, unknown).await.expect_err("unknown").code, ErrorCode::UnknownDefinition);
    let empty = ReadTuples { filter: TupleFilter::default(), ..read_all() };
    assert_eq!(collect(&services, empty).await.expect_err("empty").code, ErrorCode::InvalidFilter);
}
