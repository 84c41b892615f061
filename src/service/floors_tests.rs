//! Floors on every read of the services: what reaches the view, and what the answer says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::testing::{CEILING, LINEAGE, SCHEMA, TestNode, call, key, update};
use super::{
    Call, Consistency, Explain, ExportTuples, LookupResources, LookupSubjects, Raised, ReadTuples, Services,
    StalenessBound, WriteTuples,
};
use crate::caveat::Context;
use crate::consistency::{Requirement, Zookie};
use crate::engine::{CheckItem, ResourceQuestion, SubjectQuestion};
use crate::model::{
    Error, ErrorCode, Floor, ObjectRef, RelationName, Revision, StoreId, TupleFilter, TypeName, UpdateKind, limits,
};
use crate::raft::{CommandBody, SetFloors};

const TUPLE: &str = "document:a#viewer@user:b";

fn name(text: &str) -> TypeName {
    TypeName::new(text).expect("valid")
}

fn floors(of: &[(&str, Floor)]) -> BTreeMap<TypeName, Floor> {
    of.iter().map(|(text, floor)| (name(text), *floor)).collect()
}

fn within(seconds: u64) -> Floor {
    Floor::MaxStaleness(Duration::from_secs(seconds))
}

fn item(text: &str) -> CheckItem {
    let key = key(text);
    CheckItem { resource: key.resource, permission: key.relation, subject: key.subject, context: Context::default() }
}

fn filter(resource_type: Option<&str>) -> TupleFilter {
    let resource_id = key(TUPLE).resource.object_id;
    TupleFilter { resource_type: resource_type.map(name), resource_id: Some(resource_id), ..TupleFilter::default() }
}

async fn with_tuple() -> (Arc<TestNode>, Arc<Services>) {
    let (node, services) = TestNode::start();
    services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
    let updates = ["document:a#viewer@user:b", "document:a#viewer@user:c"].map(|it| update(UpdateKind::Touch, it));
    services
        .write_tuples(call(), WriteTuples { updates: updates.into(), ..WriteTuples::default() })
        .await
        .expect("valid");
    (node, services)
}

async fn set(services: &Services, of: &[(&str, Floor)]) -> Zookie {
    let version = services.read_floors(call()).await.expect("readable").floors.version;
    services.set_floors(call(), version, floors(of)).await.expect("nobody else changes them")
}

/// A read of something, by its name here, as if it were one of a client.
async fn ask(services: &Services, what: &str, consistency: Consistency) -> Result<Option<Raised>, Error> {
    let permission = || RelationName::new("view").expect("valid");
    let document = || ObjectRef::new("document", "a").expect("valid");
    let view = || item("document:a#view@user:b");
    let member = || item("group:g#member@user:b");
    let read = |filter| ReadTuples { consistency: consistency.clone(), filter, limit: 0, cursor: None };
    let export = |filter| ExportTuples { consistency: consistency.clone(), filter, page_tuples: 0, cursor: None };
    Ok(match what {
        "check" => services.check(call(), &consistency, view(), Explain::No).await?.raised,
        "explained check" => services.check(call(), &consistency, view(), Explain::Yes).await?.raised,
        "bulk" => services.check_bulk(call(), &consistency, vec![member(), view()], Explain::No).await?.raised,
        "expand" => services.expand(call(), &consistency, document(), permission()).await?.raised,
        "resources" => {
            let (resource_type, subject) = (name("document"), view().subject);
            let question = ResourceQuestion { resource_type, permission: permission(), subject };
            let request =
                LookupResources { consistency, question, context: Context::default(), limit: 0, cursor: None };
            services.lookup_resources(call(), request).await?.raised
        }
        "subjects" => {
            let question = SubjectQuestion {
                resource: document(),
                permission: permission(),
                subject_type: name("user"),
                subject_relation: None,
            };
            let request = LookupSubjects { consistency, question, context: Context::default() };
            services.lookup_subjects(call(), request).await?.raised
        }
        "read" => services.read_tuples(call(), read(filter(Some("document")))).await?.raised,
        "read of any type" => services.read_tuples(call(), read(filter(None))).await?.raised,
        "export" => services.export_tuples(call(), export(Some(filter(Some("document"))))).await?.raised,
        "export of any type" => services.export_tuples(call(), export(Some(filter(None)))).await?.raised,
        "export of everything" => services.export_tuples(call(), export(None)).await?.raised,
        other => panic!("there is no read {other:?}"),
    })
}

const READS: [&str; 11] = [
    "check",
    "explained check",
    "bulk",
    "expand",
    "resources",
    "subjects",
    "read",
    "read of any type",
    "export",
    "export of any type",
    "export of everything",
];

#[tokio::test]
async fn every_read_is_raised_to_the_floor_of_its_type_and_says_so() {
    let (node, services) = with_tuple().await;
    for read in READS {
        assert_eq!(ask(&services, read, Consistency::MinimizeLatency).await, Ok(None), "{read}");
    }
    set(&services, &[("document", Floor::FullyConsistent), ("user", within(1))]).await;
    let zookie = Zookie { lineage: LINEAGE, shard: 0, revision: Revision::new(1) }.encode();
    for read in READS {
        node.asked.lock().clear();
        let raised = ask(&services, read, Consistency::MinimizeLatency).await.expect(read).expect(read);
        assert_eq!((raised.to, raised.by.as_str()), (Floor::FullyConsistent, "document"), "{read}");
        assert_eq!(*node.asked.lock(), [Requirement::FullyConsistent], "{read}");
        let refused = ask(&services, read, Consistency::AtExactSnapshot(zookie.clone())).await.expect_err(read);
        assert_eq!(refused.code, ErrorCode::BelowFloor, "{read}");
        assert_eq!(ask(&services, read, Consistency::FullyConsistent).await, Ok(None), "{read}");
    }
    // The floor of another type is none of these reads' business, but for those that may find that type.
    set(&services, &[("folder", Floor::FullyConsistent)]).await;
    for read in READS {
        let raised = ask(&services, read, Consistency::MinimizeLatency).await.expect(read);
        assert_eq!(raised.is_some(), read.ends_with("any type") || read.ends_with("everything"), "{read}");
    }
    set(&services, &[]).await;
    for read in READS {
        assert_eq!(ask(&services, read, Consistency::MinimizeLatency).await, Ok(None), "{read}");
    }
}

#[tokio::test]
async fn a_view_is_judged_by_the_floors_that_it_ends_up_with() {
    let (node, services) = with_tuple().await;
    let version = set(&services, &[]).await.revision;
    node.asked.lock().clear();
    let floors = floors(&[("document", Floor::FullyConsistent)]);
    let change = SetFloors { store: StoreId::DEFAULT, replaces: version, floors };
    node.meanwhile.lock().push_back(CommandBody::SetFloors(change));
    let raised = ask(&services, "check", Consistency::MinimizeLatency).await.expect("answers").expect("raised");
    assert_eq!(raised.to, Floor::FullyConsistent);
    assert_eq!(*node.asked.lock(), [Requirement::MinimizeLatency, Requirement::FullyConsistent], "it went again");
}

#[tokio::test]
async fn a_listing_goes_on_at_its_state_whatever_floor_comes() {
    let (_, services) = with_tuple().await;
    let consistency = Consistency::MinimizeLatency;
    let request = ReadTuples { consistency, filter: filter(Some("document")), limit: 1, cursor: None };
    let mut first = services.read_tuples(call(), request.clone()).await.expect("answers");
    let cursor = first.pages.recv().await.expect("a page").expect("readable").remove(0).cursor;
    set(&services, &[("document", Floor::FullyConsistent)]).await;
    let next = services.read_tuples(call(), ReadTuples { cursor: Some(cursor), ..request }).await.expect("goes on");
    assert_eq!((next.zookie, next.raised), (first.zookie, None));
}

#[tokio::test]
async fn a_check_before_content_changes_sees_everything_whatever_bound_comes_with_it() {
    let (node, services) = with_tuple().await;
    *node.lags_at.lock() = Some(Revision::new(1));
    let bounds = [
        StalenessBound::None,
        StalenessBound::Within { bound: Duration::from_secs(3600), local_only: false },
        StalenessBound::Within { bound: Duration::from_secs(3600), local_only: true },
        StalenessBound::Lag(1_000_000),
    ];
    for staleness in bounds {
        for of in [&[][..], &[("document", within(5))], &[("document", Floor::FullyConsistent)]] {
            set(&services, of).await;
            node.asked.lock().clear();
            let acknowledged = node.applied();
            let call = Call { staleness, ..call() };
            let answer = services.check_content_change(call, item("document:a#view@user:b")).await.expect("answers");
            assert_eq!(answer.answer.decision, crate::model::Decision::Allowed);
            assert!(answer.zookie.revision >= acknowledged, "{staleness:?}");
            assert_eq!(*node.asked.lock(), [Requirement::FullyConsistent], "{staleness:?}");
        }
    }
}

#[tokio::test]
async fn a_local_request_is_raised_locally_or_not_at_all() {
    let (node, services) = with_tuple().await;
    let bound = StalenessBound::Within { bound: CEILING * 2, local_only: true };
    let check = async || {
        node.asked.lock().clear();
        let call = Call { staleness: bound, ..call() };
        let answer = services.check(call, &Consistency::default(), item("document:a#view@user:b"), Explain::No).await;
        answer.map(|answer| answer.raised.is_some()).map_err(|error| error.code)
    };
    let last = || node.asked.lock().last().copied();
    let locally = |bound| Some(Requirement::MaxStaleness { bound, local_only: true });
    assert_eq!((check().await, last()), (Ok(false), locally(CEILING)));
    set(&services, &[("document", within(5))]).await;
    assert_eq!((check().await, last()), (Ok(true), locally(Duration::from_secs(5))));
    set(&services, &[("group", within(5))]).await;
    assert_eq!((check().await, last()), (Ok(false), locally(CEILING)));
    set(&services, &[("document", Floor::FullyConsistent)]).await;
    assert_eq!(check().await, Err(ErrorCode::BelowFloor));
}

#[tokio::test]
async fn floors_are_changed_from_the_version_in_force_and_are_bounded() {
    let (_, services) = TestNode::start();
    let none = services.read_floors(call()).await.expect("readable").floors;
    assert_eq!((none.version, none.by_type.len()), (Revision::ZERO, 0));
    let first = services.set_floors(call(), Revision::ZERO, floors(&[("aaa", within(1))])).await.expect("the first");
    let stale = services.set_floors(call(), Revision::ZERO, floors(&[])).await.expect_err("changed meanwhile");
    assert_eq!(stale.code, ErrorCode::Conflict);
    assert_eq!(stale.details, [("current_version", first.revision.to_string())]);
    let found = services.read_floors(call()).await.expect("readable");
    assert_eq!((found.floors.version, &found.floors.by_type), (first.revision, &floors(&[("aaa", within(1))])));
    assert!(found.zookie.revision >= first.revision);

    let many = (0..=limits::FLOORS_PER_STORE).map(|n| (name(&format!("type_{n}")), within(1))).collect();
    let long = floors(&[("aaa", Floor::MaxStaleness(Duration::from_millis(limits::FLOOR_STALENESS_MS + 1)))]);
    for refused in [many, long, floors(&[("aaa", within(0))])] {
        let error = services.set_floors(call(), first.revision, refused).await.expect_err("out of bounds");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    }
}
