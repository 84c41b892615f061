//! Lookups by example: what is found, how it is paged, what wildcards exclude, and what a lookup may cost.

use std::time::{Duration, Instant};

use crate::engine::testbed::{
    Bench, SchemaText, and, any, computed, groups, minus, object, or, relation_name, subject, type_name,
};
use crate::engine::{CheckError, Circumstances, Waiter};
use crate::model::{Decision, TimestampMs};
use crate::schema::Rewrite;

use super::*;

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Allowed => String::new(),
        Decision::Denied => panic!("a lookup never gives a denial"),
        Decision::Conditional { missing } => format!("?{}", missing.join(",")),
    }
}

/// `type#permission@subject`, behind a position.
fn resource_lookup(
    bench: &Bench,
    question: &str,
    circumstances: &Circumstances,
    (walked_at, position): (u64, u64),
    bounds: LookupBounds,
) -> Result<ResourceLookup, LookupError> {
    let (left, asked) = question.split_once('@').unwrap();
    let (resource_type, permission) = left.split_once('#').unwrap();
    let question = ResourceQuestion {
        resource_type: type_name(resource_type),
        permission: relation_name(permission),
        subject: subject(asked),
    };
    ResourceLookup::new(&bench.plan, question, circumstances.clone(), TimestampMs(walked_at), position, bounds)
}

fn all_resources(bench: &Bench, question: &str, bounds: LookupBounds) -> Result<Vec<FoundResource>, LookupError> {
    let now = bench.circumstances.now.0;
    let mut lookup = resource_lookup(bench, question, &bench.circumstances, (now, 0), bounds)?;
    let mut all = Vec::new();
    while let Some(batch) = lookup.next_batch(&bench.plan, &*bench.view, &Turn::default(), usize::MAX)? {
        all.extend(batch);
    }
    Ok(all)
}

fn resources(bench: &Bench, question: &str) -> String {
    let found = all_resources(bench, question, LookupBounds::default()).unwrap();
    let mut shown: Vec<String> =
        found.iter().map(|found| format!("{}{}", found.id, decision(&found.decision))).collect();
    shown.sort();
    shown.join(" ")
}

/// `type:id#permission@type` or `…@type#relation`.
fn all_subjects(bench: &Bench, question: &str, bounds: LookupBounds) -> Result<Vec<FoundSubject>, LookupError> {
    let (left, asked) = question.split_once('@').unwrap();
    let (resource, permission) = left.split_once('#').unwrap();
    let (subject_type, relation) = asked.split_once('#').unwrap_or((asked, ""));
    let question = SubjectQuestion {
        resource: object(resource),
        permission: relation_name(permission),
        subject_type: type_name(subject_type),
        subject_relation: (!relation.is_empty()).then(|| relation_name(relation)),
    };
    let mut lookup = SubjectLookup::new(&bench.plan, question, bench.circumstances.clone(), bounds)?;
    let mut all = Vec::new();
    while let Some(batch) = lookup.next_batch(&bench.plan, &*bench.view, &Turn::default())? {
        all.extend(batch);
    }
    Ok(all)
}

fn subjects(bench: &Bench, question: &str) -> String {
    let show = |found: &FoundSubject| {
        let excluded = found.excluded.iter().map(|excluded| match excluded.missing.as_slice() {
            [] => format!(" -{}", excluded.id),
            missing => format!(" -{}?{}", excluded.id, missing.join(",")),
        });
        format!("{}{}{}", found.id, decision(&found.decision), excluded.collect::<String>())
    };
    let found = all_subjects(bench, question, LookupBounds::default()).unwrap();
    let mut shown: Vec<String> = found.iter().map(show).collect();
    shown.sort();
    shown.join("; ")
}

fn documents() -> SchemaText {
    SchemaText::with_users()
        .caveat("ca", "aa", "aa")
        .caveat("cb", "bb", "bb")
        .definition("group")
        .relation("member", "user group#member")
        .definition("doc")
        .relation("pub", "user user:* group group#member")
        .relation("and", "user user:*")
        .relation("ban", "user user:*")
        .relation("one", "user")
        .permission("minus", minus(computed("pub"), computed("ban")))
        .permission("both", and([computed("pub"), computed("and")]))
        .permission("but", minus(computed("pub"), minus(computed("and"), computed("one"))))
        .permission("self_or", or([Rewrite::Itself, computed("one")]))
        .permission("again", or([minus(computed("pub"), computed("ban")), computed("one")]))
}

#[test]
fn resources_are_found_by_every_way_that_leads_to_them() {
    let bench = Bench::new(
        documents(),
        &[
            "doc:all#pub@user:*",
            "doc:own#pub@user:tom",
            "doc:team#pub@group:core#member",
            "group:core#member@group:sub#member",
            "group:sub#member@user:tom",
            "doc:cond#pub@user:tom with cb",
            "doc:soon#pub@user:tom until 200",
            "doc:gone#pub@user:tom until 100",
            "doc:own#ban@user:tom with ca",
            "doc:all#ban@user:amy",
            "doc:group#pub@group:core",
        ],
    )
    .under(100, "{}");
    for (question, expected) in [
        ("doc#pub@user:tom", "all cond?bb own soon team"),
        ("doc#minus@user:tom", "all cond?bb own?aa soon team"),
        ("doc#minus@user:amy", ""),
        ("doc#pub@group:sub#member", "team"),
        ("doc#pub@group:core", "group"),
        ("group#member@group:sub#member", "core sub"),
        ("doc#self_or@doc:any", "any"),
        ("doc#minus@doc:own#minus", "own"),
        ("doc#minus@doc:own#pub", "own"),
        ("doc#one@group:core", ""),
    ] {
        assert_eq!(resources(&bench, question), expected, "{question}");
    }
    let bench = bench.under(100, r#"{"aa": true, "bb": true}"#);
    assert_eq!(resources(&bench, "doc#minus@user:tom"), "all cond soon team");
}

#[test]
fn pages_do_not_shift_when_a_relationship_expires_between_them() {
    let tuples = [
        "doc:aaa#pub@user:tom until 150",
        "doc:bbb#pub@user:tom",
        "doc:ccc#pub@user:tom until 150",
        "doc:ddd#pub@user:tom",
    ];
    let bench = Bench::new(documents(), &tuples);
    let page = |now: u64, position: u64| {
        let circumstances = Circumstances { now: TimestampMs(now), ..Circumstances::default() };
        let lookup =
            resource_lookup(&bench, "doc#pub@user:tom", &circumstances, (100, position), LookupBounds::default());
        lookup.unwrap().next_batch(&bench.plan, &*bench.view, &Turn::default(), usize::MAX).unwrap().unwrap()
    };
    let ids = |page: &[FoundResource]| page.iter().map(|found| found.id.to_string()).collect::<Vec<_>>().join(" ");
    let first = page(100, 0);
    assert_eq!(ids(&first), "aaa bbb ccc ddd");
    // What expired since the first page is not given any more, and nothing else is skipped for it.
    assert_eq!(ids(&page(150, 0)), "bbb ddd");
    assert_eq!(ids(&page(150, first[0].position)), "bbb ddd");
    assert_eq!(ids(&page(150, first[1].position)), "ddd");
}

/// Each expectation is what SpiceDB 1.54 gives, up to the order, and up to two things: a subject given by name carries its
/// whole answer here, and the part of it that comes by name there; and a name can stand beside a wildcard that covers it.
#[test]
fn wildcards_name_whom_they_exclude() {
    let cases: [(&[&str], &str, &str); 18] = [
        (&["doc:d#pub@user:*", "doc:d#ban@user:tom"], "minus", "* -tom"),
        (&["doc:d#pub@user:*", "doc:d#pub@user:tom"], "minus", "*; tom"),
        (&["doc:d#pub@user:*", "doc:d#pub@user:tom"], "both", ""),
        (
            &["doc:d#pub@user:*", "doc:d#pub@user:tom", "doc:d#ban@user:tom", "doc:d#ban@user:amy"],
            "minus",
            "* -amy -tom",
        ),
        (&["doc:d#pub@user:*", "doc:d#ban@user:tom with cb"], "minus", "* -tom?bb"),
        (&["doc:d#pub@user:*", "doc:d#pub@user:tom", "doc:d#ban@user:tom with cb"], "minus", "* -tom?bb; tom?bb"),
        (&["doc:d#pub@user:* with ca", "doc:d#ban@user:tom"], "minus", "*?aa -tom"),
        (&["doc:d#pub@user:* with ca", "doc:d#pub@user:tom"], "minus", "*?aa; tom"),
        (&["doc:d#pub@user:* with ca", "doc:d#ban@user:tom with cb"], "minus", "*?aa -tom?bb"),
        (&["doc:d#pub@user:*", "doc:d#and@user:*", "doc:d#and@user:tom"], "both", "*; tom"),
        (&["doc:d#pub@user:*", "doc:d#and@user:tom"], "both", "tom"),
        (&["doc:d#pub@user:* with ca", "doc:d#and@user:tom"], "both", "tom?aa"),
        (&["doc:d#pub@user:* with ca", "doc:d#and@user:* with cb", "doc:d#pub@user:tom"], "both", "*?aa,bb; tom?bb"),
        (&["doc:d#pub@user:*", "doc:d#and@user:*", "doc:d#one@user:tom"], "but", "tom"),
        (&["doc:d#one@user:tom", "doc:d#ban@user:*"], "again", "tom"),
        (&["doc:d#pub@user:*", "doc:d#ban@user:* with cb", "doc:d#ban@user:tom"], "minus", "*?bb -tom"),
        (&["doc:d#pub@user:*", "doc:d#ban@user:tom", "doc:d#one@user:tom"], "again", "*; tom"),
        (&["doc:d#pub@user:*", "doc:d#ban@user:tom", "doc:d#one@user:tom with ca"], "again", "* -tom?aa; tom?aa"),
    ];
    for (tuples, permission, expected) in cases {
        let bench = Bench::new(documents(), tuples);
        assert_eq!(subjects(&bench, &format!("doc:d#{permission}@user")), expected, "{permission} of {tuples:?}");
    }
}

#[test]
fn subjects_can_be_usersets_and_objects_themselves() {
    let bench = Bench::new(
        documents(),
        &[
            "doc:d#pub@group:core#member",
            "doc:d#pub@group:plain",
            "group:core#member@group:sub#member",
            "group:sub#member@user:tom",
            "group:sub#member@user:gone until 100",
        ],
    )
    .under(100, "{}");
    for (question, expected) in [
        ("doc:d#minus@user", "tom"),
        ("doc:d#minus@group#member", "core; sub"),
        ("doc:d#minus@group", "plain"),
        ("doc:d#minus@doc#minus", "d"),
        ("doc:d#minus@doc#pub", "d"),
        ("doc:d#self_or@doc", "d"),
        ("doc:none#minus@user", ""),
    ] {
        assert_eq!(subjects(&bench, question), expected, "{question}");
    }
}

#[test]
fn questions_that_cannot_be_asked_are_errors() {
    let bench = Bench::new(documents(), &[]);
    let resources = |question| all_resources(&bench, question, LookupBounds::default()).unwrap_err();
    assert!(matches!(resources("doc#pub@user:*"), LookupError::WildcardSubject { .. }));
    assert!(matches!(resources("nil#pub@user:tom"), LookupError::Check(CheckError::UnknownDefinition { .. })));
    assert!(matches!(resources("doc#none@user:tom"), LookupError::Check(CheckError::UnknownRelation { .. })));
    assert!(matches!(resources("doc#pub@user:tom#none"), LookupError::Check(CheckError::UnknownRelation { .. })));
    let subjects = |question| all_subjects(&bench, question, LookupBounds::default()).unwrap_err();
    assert!(matches!(subjects("doc:d#none@user"), LookupError::Check(CheckError::UnknownRelation { .. })));
    assert!(matches!(subjects("doc:d#pub@nil"), LookupError::Check(CheckError::UnknownDefinition { .. })));
    assert!(matches!(subjects("doc:d#pub@user#none"), LookupError::Check(CheckError::UnknownRelation { .. })));
}

#[test]
fn what_a_lookup_may_spend_is_bounded() {
    let tuples: Vec<String> =
        (0..100).flat_map(|n| [format!("group:g{n}#member@user:tom"), format!("group:big#member@user:u{n}")]).collect();
    let bench = Bench::large(groups(), tuples);
    let bounds = LookupBounds::default();
    let few_reads = LookupBounds { max_reads: 99, ..bounds };
    let few_seen = LookupBounds { max_seen: 50, ..bounds };
    let resources = |bounds| all_resources(&bench, "group#member@user:tom", bounds);
    let subjects = |bounds| all_subjects(&bench, "group:big#member@user", bounds);
    assert_eq!((resources(bounds).unwrap().len(), subjects(bounds).unwrap().len()), (100, 100));
    assert!(matches!(resources(few_reads), Err(LookupError::ReadsExceeded { max_reads: 99 })));
    assert!(matches!(subjects(few_reads), Err(LookupError::ReadsExceeded { max_reads: 99 })));
    assert!(matches!(resources(few_seen), Err(LookupError::SeenExceeded { max_seen: 50 })));
    assert!(matches!(subjects(few_seen), Err(LookupError::SeenExceeded { max_seen: 50 })));

    let excluded: Vec<String> = (0..3).map(|n| format!("doc:d#ban@user:u{n}")).collect();
    let mut tuples: Vec<&str> = excluded.iter().map(String::as_str).collect();
    tuples.push("doc:d#pub@user:*");
    let bench = Bench::new(documents(), &tuples);
    let few_excluded = LookupBounds { max_excluded: 2, ..bounds };
    assert!(matches!(
        all_subjects(&bench, "doc:d#minus@user", few_excluded),
        Err(LookupError::ExcludedExceeded { max_excluded: 2 })
    ));
}

#[test]
fn what_expires_between_two_batches_is_not_given() {
    let expiring = |text: &str, at: u64| crate::model::Tuple {
        key: crate::engine::testbed::tuple(text),
        qualifiers: crate::model::Qualifiers { expires_at: Some(TimestampMs(at)), ..Default::default() },
    };
    let mut bench = Bench::new(documents(), &[]);
    bench.view = crate::engine::testbed::stored([
        expiring("doc:aaa#pub@user:tom", 200),
        expiring("doc:bbb#pub@user:tom", 300),
        expiring("doc:ccc#pub@user:tom", 200),
        // Everyone has `minus` of it but amy, until she is not banned any more; bob is given it by name for a while.
        expiring("doc:ddd#pub@user:*", 300),
        expiring("doc:ddd#ban@user:amy", 200),
    ]);
    let bench = bench.under(100, "{}");
    let at = |now| Turn { now: TimestampMs(now), waiter: Waiter::default() };
    let (plan, view) = (&bench.plan, &*bench.view);
    let mut lookup =
        resource_lookup(&bench, "doc#pub@user:tom", &bench.circumstances, (100, 0), LookupBounds::default()).unwrap();
    let mut next = |now| {
        let batch = lookup.next_batch(plan, view, &at(now), 1).unwrap();
        batch.map(|found| found.iter().map(|found| found.id.to_string()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(next(199).as_deref(), Some("aaa"));
    // A clock that goes back brings nothing back.
    assert_eq!((next(200).as_deref(), next(150)), (Some("bbb"), Some("ddd".to_owned())));

    let question = || SubjectQuestion {
        resource: object("doc:ddd"),
        permission: relation_name("minus"),
        subject_type: type_name("user"),
        subject_relation: None,
    };
    let everyone = |times: &[u64]| {
        let bounds = LookupBounds { batch_reads: 1, ..LookupBounds::default() };
        let mut lookup = SubjectLookup::new(plan, question(), bench.circumstances.clone(), bounds).unwrap();
        let (mut all, mut times) = (Vec::new(), times.iter().copied());
        let mut now = times.next().unwrap();
        while let Some(batch) = lookup.next_batch(plan, view, &at(now)).unwrap() {
            all.extend(batch.into_iter().map(|found| {
                let excluded = found.excluded.iter().map(|excluded| format!("-{}", excluded.id));
                format!("{}{}", found.id, excluded.collect::<String>())
            }));
            now = times.next().unwrap_or(now);
        }
        all.join(" ")
    };
    assert_eq!(everyone(&[100]), "*-amy");
    assert_eq!(everyone(&[100, 100, 100, 200]), "*");
    for batches in 1..6 {
        let mut times = vec![100; batches];
        times.push(300);
        let found = everyone(&times);
        assert!(found.is_empty() || batches > 3 && found == "*-amy", "{batches}: {found}");
    }
}

#[test]
fn a_lookup_ends_when_nobody_waits_and_loses_nothing_that_it_found() {
    let tuples: Vec<String> = (0..100).map(|n| format!("group:g{n}#member@user:tom")).collect();
    let bench = Bench::large(groups(), tuples);
    let gone = Waiter::until(Instant::now() + Duration::from_secs(60));
    gone.leave();
    let late = Waiter::until(Instant::now());
    for waiter in [gone, late] {
        let turn = Turn { waiter, ..Turn::default() };
        let (plan, view, bounds) = (&bench.plan, &*bench.view, LookupBounds::default());
        let resources = resource_lookup(&bench, "group#member@user:tom", &bench.circumstances, (0, 0), bounds)
            .unwrap()
            .next_batch(plan, view, &turn, usize::MAX);
        assert!(matches!(resources, Err(LookupError::Check(CheckError::GivenUp))));
        let question = SubjectQuestion {
            resource: object("group:g1"),
            permission: relation_name("member"),
            subject_type: type_name("user"),
            subject_relation: None,
        };
        let mut lookup = SubjectLookup::new(plan, question, bench.circumstances.clone(), bounds).unwrap();
        let subjects = lookup.next_batch(plan, view, &turn).and_then(|_| lookup.next_batch(plan, view, &turn));
        assert!(matches!(subjects, Err(LookupError::Check(CheckError::GivenUp))));
    }
}

/// 100,000 documents in 1,000 folders; tom sees 10,000 through 100 folders of his group, and is banned from some.
#[test]
fn ten_thousand_of_a_hundred_thousand_are_found_in_reasonable_time() {
    let schema = SchemaText::with_users()
        .definition("group")
        .relation("member", "user group#member")
        .definition("folder")
        .relation("viewer", "group#member")
        .definition("doc")
        .relation("folder", "folder")
        .relation("banned", "user")
        .permission("see", any("folder", "viewer"))
        .permission("view", minus(computed("see"), computed("banned")));
    let mut tuples = vec!["group:team#member@group:core#member".to_owned(), "group:core#member@user:tom".to_owned()];
    for folder in 0..1_000 {
        let group = if folder < 100 { "team" } else { "other" };
        tuples.push(format!("folder:f{folder}#viewer@group:{group}#member"));
        tuples.extend((0..100).map(|doc| format!("doc:d{folder}-{doc}#folder@folder:f{folder}")));
    }
    tuples.extend((0..50).map(|doc| format!("doc:d0-{doc}#banned@user:tom")));
    let bench = Bench::large(schema, tuples);
    let begin = Instant::now();
    assert_eq!(all_resources(&bench, "doc#see@user:tom", LookupBounds::default()).unwrap().len(), 10_000);
    let found = all_resources(&bench, "doc#view@user:tom", LookupBounds::default()).unwrap();
    assert_eq!(found.len(), 9_950);
    assert!(found.is_sorted_by_key(|found| found.position));
    assert!(begin.elapsed() < Duration::from_secs(10), "took {:?}", begin.elapsed());
}
