//! Checks and lookups over the durable store, each with its answer looked at.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use quorate::engine::{
    Budget, Circumstances, LookupBounds, ResourceLookup, ResourceQuestion, SubjectLookup, SubjectQuestion, Turn, check,
};
use quorate::model::{Decision, ObjectRef, SubjectRef, TimestampMs, TypeName};

use crate::data::{DEEPEST, DOCUMENTS, VIEWERS, WIDE, World, flat_user, object, relation, user, world};
use crate::floor::Plain;
use crate::folder;

pub(crate) fn benches(criterion: &mut Criterion) {
    let folder = folder();
    let world = world(&folder.path().join("store"));
    let plain = Plain::open(&folder.path().join("plain"), DOCUMENTS * VIEWERS);

    let mut group = criterion.benchmark_group("floor");
    let mut numbers = (0..DOCUMENTS * VIEWERS).cycle().step_by(7919);
    let mut number = || numbers.next().expect("it never ends");
    group.bench_function("rocksdb get, hit", |b| b.iter(|| assert!(plain.get(number()))));
    group.bench_function("rocksdb get, miss", |b| b.iter(|| assert!(!plain.get_absent(number()))));
    group.bench_function("rocksdb seek", |b| b.iter(|| assert!(plain.seek(number()))));
    group.finish();

    checks(criterion, &world);
    lookups(criterion, &world);
}

fn decide(world: &World, resource: &ObjectRef, permission: &str, subject: &SubjectRef) -> bool {
    let circumstances = Circumstances { now: TimestampMs(1), ..Circumstances::default() };
    let (view, permission) = (world.view.as_ref(), relation(permission));
    let outcome =
        check(&world.plan, view, resource, &permission, subject, &circumstances, &Budget::default()).expect("it ends");
    outcome.decision == Decision::Allowed
}

fn checks(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("check");
    let mut documents = (0..DOCUMENTS).cycle().step_by(7919);
    let mut flat = |off: u64| {
        let document = documents.next().expect("it never ends");
        (object("doc", &format!("f{document}")), user(&flat_user(document, document % VIEWERS, off)))
    };
    for (name, off) in [("direct viewer", 0), ("denied", 1)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || flat(off),
                |(document, who)| assert_eq!(decide(world, &document, "view", &who), off == 0),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    for depth in [1, 4, 16, DEEPEST] {
        let (document, who) = (object("doc", &format!("d{depth}")), user("deep"));
        group.bench_function(BenchmarkId::new("through groups", depth), |b| {
            b.iter(|| assert!(decide(world, black_box(&document), "view", &who)));
        });
    }
    for (name, document, permission, who, allowed) in [
        ("one of many viewers", "wide", "view", "wide7", true),
        ("intersection", "algebra", "edit", "insider", true),
        ("exclusion", "algebra", "read", "barred", false),
    ] {
        let (document, who) = (object("doc", document), user(who));
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(decide(world, black_box(&document), permission, &who), allowed));
        });
    }
    group.finish();
}

fn lookups(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("lookup");
    let type_name = |name: &str| TypeName::new(name).expect("a valid name");
    group.bench_function("1,000 resources", |b| {
        b.iter(|| {
            let question = ResourceQuestion {
                resource_type: type_name("doc"),
                permission: relation("view"),
                subject: user("many"),
            };
            let (circumstances, bounds) = (Circumstances::default(), LookupBounds::default());
            let begun = TimestampMs(1);
            let mut lookup =
                ResourceLookup::new(&world.plan, question, circumstances, begun, 0, bounds).expect("a valid question");
            let mut found = 0;
            while let Some(batch) =
                lookup.next_batch(&world.plan, world.view.as_ref(), &Turn::default(), usize::MAX).expect("it ends")
            {
                found += batch.len() as u64;
            }
            assert_eq!(found, WIDE);
        });
    });
    group.bench_function("1,000 subjects", |b| {
        b.iter(|| {
            let question = SubjectQuestion {
                resource: object("doc", "wide"),
                permission: relation("view"),
                subject_type: type_name("user"),
                subject_relation: None,
            };
            let (circumstances, bounds) = (Circumstances::default(), LookupBounds::default());
            let mut lookup =
                SubjectLookup::new(&world.plan, question, circumstances, bounds).expect("a valid question");
            let mut found = 0;
            while let Some(batch) =
                lookup.next_batch(&world.plan, world.view.as_ref(), &Turn::default()).expect("it ends")
            {
                found += batch.len() as u64;
            }
            assert_eq!(found, WIDE);
        });
    });
    group.finish();
}
