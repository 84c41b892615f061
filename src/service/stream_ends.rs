//! How streams end that their reader or their deadline cuts short: with an error, never as if that were all. And that those
//! that nothing cuts short are whole, however little of what they pass they match.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::testing::{SCHEMA, TestNode, call, key, update};
use super::{
    Call, Consistency, ExportTuples, LookupResources, LookupSubjects, ReadTuples, ResourceQuestion, Services,
    SubjectQuestion, Watch, WatchEvent, WatchKinds, WatchStart, WriteTuples,
};
use crate::caveat::Context;
use crate::model::{Error, ErrorCode, TupleFilter, UpdateKind};

/// More than waits for a reader of any stream.
const RESULTS: usize = 4000;

/// How many items come, and what the last word is.
async fn drain<T>(mut stream: mpsc::Receiver<Result<T, Error>>, count: impl Fn(&T) -> usize) -> End {
    let first = stream.recv().await.expect("a first one").expect("no error yet");
    let mut items = count(&first);
    while !stream.is_closed() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while let Some(item) = stream.recv().await {
        match item {
            Ok(item) => items += count(&item),
            Err(error) => return End { items, error: Some(error.code) },
        }
    }
    End { items, error: None }
}

#[derive(Debug, PartialEq, Eq)]
struct End {
    items: usize,
    error: Option<ErrorCode>,
}

/// Each stream, read to its end by a reader that takes the first item and then rests until the writer has given up.
async fn ends(services: &Services, call: Call) -> Vec<(&'static str, End)> {
    let consistency = Consistency::FullyConsistent;
    let asked = key("document:all#view@user:b");
    let filter = TupleFilter { resource_type: Some(asked.resource.object_type.clone()), ..TupleFilter::default() };
    let read = ReadTuples { consistency: consistency.clone(), filter, limit: 0, cursor: None };
    let read = services.read_tuples(call, read).await.expect("valid").pages;
    let export = ExportTuples { page_tuples: 500, ..ExportTuples::default() };
    let export = services.export_tuples(call, export).await.expect("valid").pages;
    let question = ResourceQuestion {
        resource_type: asked.resource.object_type.clone(),
        permission: asked.relation.clone(),
        subject: asked.subject.clone(),
    };
    let context = Context::new();
    let resources = LookupResources {
        consistency: consistency.clone(),
        question,
        context: context.clone(),
        limit: 0,
        cursor: None,
    };
    let resources = services.lookup_resources(call, resources).await.expect("valid").batches;
    let question = SubjectQuestion {
        resource: asked.resource,
        permission: asked.relation,
        subject_type: asked.subject.object.object_type,
        subject_relation: None,
    };
    let subjects = LookupSubjects { consistency, question, context };
    let subjects = services.lookup_subjects(call, subjects).await.expect("valid").batches;
    let (read, export, resources, subjects) = tokio::join!(
        drain(read, Vec::len),
        drain(export, |page| page.tuples.len()),
        drain(resources, Vec::len),
        drain(subjects, Vec::len),
    );
    vec![("read", read), ("export", export), ("resources", resources), ("subjects", subjects)]
}

async fn write_results(services: &Services) {
    services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
    let texts =
        (0..RESULTS).flat_map(|n| [format!("document:d{n}#viewer@user:b"), format!("document:all#viewer@user:u{n}")]);
    let updates: Vec<_> = texts.map(|text| update(UpdateKind::Touch, &text)).collect();
    for updates in updates.chunks(1000) {
        let write = WriteTuples { updates: updates.to_vec(), ..WriteTuples::default() };
        services.write_tuples(call(), write).await.expect("valid");
    }
}

#[tokio::test]
async fn a_reader_that_rests_too_long_never_takes_a_part_for_the_whole() {
    let (_, services) = TestNode::start_impatient();
    write_results(&services).await;
    for (stream, end) in ends(&services, call()).await {
        assert_eq!(end.error, Some(ErrorCode::ResourceExhausted), "{stream}");
        assert!((1..RESULTS).contains(&end.items), "{stream}: {}", end.items);
    }
}

#[tokio::test]
async fn a_stream_that_does_not_end_by_its_deadline_says_so() {
    let (_, services) = TestNode::start();
    write_results(&services).await;
    let late = Call { stream_deadline: Some(Instant::now() + Duration::from_millis(1500)), ..call() };
    for (stream, end) in ends(&services, late).await {
        assert_eq!(end.error, Some(ErrorCode::DeadlineExceeded), "{stream}");
        assert!((1..RESULTS).contains(&end.items), "{stream}: {}", end.items);
    }
    let kinds = WatchKinds { tuples: true, schema: false, checkpoints: false };
    let watch = Watch { start: WatchStart::Now, object_types: Vec::new(), filters: Vec::new(), kinds };
    let late = Call { stream_deadline: Some(Instant::now() + Duration::from_millis(100)), ..call() };
    let mut events = services.watch(late, watch).await.expect("begins");
    assert_eq!(events.recv().await.expect("a last word").expect_err("late").code, ErrorCode::DeadlineExceeded);
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_filter_that_matches_little_finds_all_of_it() {
    let (_, services) = TestNode::start();
    write_results(&services).await;
    let owned =
        ["document:d17#owner@user:b", "document:d3999#owner@user:b"].map(|text| update(UpdateKind::Touch, text));
    let write = WriteTuples { updates: owned.to_vec(), ..WriteTuples::default() };
    services.write_tuples(call(), write).await.expect("valid");
    let owners = key("document:d17#owner@user:b");
    let filter = TupleFilter {
        resource_type: Some(owners.resource.object_type),
        relation: Some(owners.relation),
        ..TupleFilter::default()
    };
    let consistency = Consistency::FullyConsistent;
    let read = ReadTuples { consistency, filter: filter.clone(), limit: 0, cursor: None };
    let mut pages = services.read_tuples(call(), read).await.expect("valid").pages;
    let mut found = Vec::new();
    while let Some(page) = pages.recv().await {
        found.extend(page.expect("no error").into_iter().map(|row| row.tuple.key.to_string()));
    }
    assert_eq!(found, ["document:d17#owner@user:b", "document:d3999#owner@user:b"]);

    let kinds = WatchKinds { tuples: true, schema: false, checkpoints: false };
    let watch = Watch { start: WatchStart::Snapshot, object_types: Vec::new(), filters: vec![filter], kinds };
    let mut events = services.watch(call(), watch).await.expect("begins");
    let mut told = 0;
    loop {
        match events.recv().await.expect("goes on").expect("no error") {
            WatchEvent::Snapshot { updates } => told += updates.len(),
            WatchEvent::Checkpoint { .. } => break,
            event => panic!("not of a snapshot: {event:?}"),
        }
    }
    assert_eq!(told, 2);
}
