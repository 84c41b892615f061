//! Check at its bounds: budgets, depth on a real stack, large knots, and work that must not multiply.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::check::names::member;
use crate::engine::testbed::{
    Bench, SchemaText, and, any, computed, groups, guarded_folders, or, relation_name, type_name,
};
use crate::engine::{Budget, CheckError, DEFAULT_MAX_DEPTH, Plan};

#[test]
fn the_budget_of_reads_ends_a_check_with_an_error() {
    let mut bench = Bench::new(groups(), &["group:aaa#member@group:bbb#member", "group:bbb#member@user:tom"]);
    bench.budget = Budget { max_steps: 3, ..Budget::default() };
    bench.expect(&[("group:aaa#member@user:tom", true)]);
    bench.budget = Budget { max_steps: 2, ..Budget::default() };
    let result = bench.ask("group:aaa#member@user:tom");
    assert!(matches!(result, Err(CheckError::StepsExceeded { max_steps: 2 })), "{result:?}");
}

fn on_a_stack_of_16_mib<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, run).unwrap().join().unwrap())
}

#[test]
fn a_chain_of_groups_may_be_of_any_length() {
    let length = 20_000;
    let mut tuples: Vec<String> = (0..length).map(|n| format!("group:g{n}#member@group:g{}#member", n + 1)).collect();
    tuples.push(format!("group:g{length}#member@user:tom"));
    let bench = Bench::large(groups(), tuples);
    on_a_stack_of_16_mib(|| bench.expect(&[("group:g0#member@user:tom", true), ("group:g0#member@user:amy", false)]));
}

#[test]
fn nesting_is_answered_up_to_the_depth_budget_and_refused_beyond_it() {
    // Each folder costs three levels: the permission, the exclusion, and the union in it.
    let deepest = DEFAULT_MAX_DEPTH as usize / 3 - 1;
    assert!(deepest >= 1_000);
    let chain = |length: usize| {
        let mut tuples: Vec<String> = (0..length).map(|n| format!("folder:f{n}#parent@folder:f{}", n + 1)).collect();
        tuples.push(format!("folder:f{length}#viewer@user:tom"));
        Bench::large(guarded_folders(), tuples)
    };
    on_a_stack_of_16_mib(|| {
        let bench = chain(deepest);
        bench.expect(&[("folder:f0#view@user:tom", true), ("folder:f0#view@user:amy", false)]);
        for subject in ["tom", "amy"] {
            let result = chain(deepest + 1).ask(&format!("folder:f0#view@user:{subject}"));
            assert!(matches!(result, Err(CheckError::DepthExceeded { .. })), "{result:?}");
        }
    });
}

/// 300 of a kind, each pointing at each other.
fn knot(kind: &str, relation: &str, suffix: &str) -> Vec<String> {
    let pairs = (0..300).flat_map(|a| (0..300).map(move |b| (a, b)));
    pairs.map(|(a, b)| format!("{kind}:k{a}#{relation}@{kind}:k{b}{suffix}")).collect()
}

#[track_caller]
fn within_a_second<T>(run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = run();
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
    result
}

#[test]
fn a_large_knot_of_groups_is_answered_at_once() {
    let mut tuples = knot("group", "member", "#member");
    tuples.push("group:k299#member@user:tom".into());
    let bench = Bench::large(groups(), tuples);
    within_a_second(|| bench.expect(&[("group:k0#member@user:tom", true), ("group:k0#member@user:amy", false)]));
    // One look-up a group, one visit a membership.
    assert_eq!(bench.cost("group:k0#member@user:amy").unwrap(), (false, 300 + 300 * 300));
}

#[test]
fn a_large_knot_under_an_exclusion_is_answered_at_once() {
    let mut tuples = knot("folder", "parent", "");
    tuples.extend((0..300).map(|n| format!("folder:k{n}#banned@user:eve")));
    tuples.extend(["folder:k299#viewer@user:tom".into(), "folder:k299#viewer@user:eve".into()]);
    let bench = Bench::large(guarded_folders(), tuples);
    within_a_second(|| {
        on_a_stack_of_16_mib(|| {
            bench.expect(&[
                ("folder:k0#view@user:tom", true),
                ("folder:k0#view@user:eve", false),
                ("folder:k0#view@user:amy", false),
            ]);
        });
    });
}

/// Each level asks twice for the level above, and an allowed operand in between must not make it forget the first answer:
/// that would double the work a level.
#[test]
fn two_ways_up_at_every_level_do_not_double_the_work() {
    let way = |aside: &str| or([any("parent", "view"), and([computed(aside), computed("gate")])]);
    let schema = SchemaText::with_users()
        .definition("folder")
        .relation("parent", "folder")
        .relation("gate", "user")
        .relation("left", "user")
        .relation("right", "user")
        .relation("never", "user")
        .permission("view", and([way("left"), way("right"), or([computed("never"), any("parent", "view")])]));
    let length = 60;
    let mut tuples: Vec<String> = (0..length).map(|n| format!("folder:f{n}#parent@folder:f{}", n + 1)).collect();
    // The last folder leads back to the first, so that no denial on the way is final before the end.
    tuples.push(format!("folder:f{length}#parent@folder:f0"));
    for relation in ["gate", "left", "right"] {
        tuples.extend((0..=length).map(|n| format!("folder:f{n}#{relation}@user:tom")));
    }
    let bench = Bench::large(schema, tuples);
    let (allowed, reads) = within_a_second(|| bench.cost("folder:f0#view@user:tom").unwrap());
    assert!(!allowed);
    assert!(reads < 20 * length, "{reads} reads");
}

#[test]
fn a_plan_is_shared_between_threads() {
    let bench = Arc::new(Bench::new(groups(), &["group:aaa#member@user:tom"]));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| bench.expect(&[("group:aaa#member@user:tom", true)]));
        }
    });
}

/// A hostile context may make one caveat cost a lot, on each of many tuples.
#[test]
fn caveats_share_one_budget() {
    let tuples: Vec<String> =
        (0..50).map(|n| format!("group:g#member@group:m{n}#member with some {{\"i\":{n}}}")).collect();
    let tuples: Vec<&str> = tuples.iter().map(String::as_str).collect();
    let schema = groups().caveat("some", "i j", "[1, 2, 3, 4, 5].exists(x, x * i == j)");
    let mut bench = Bench::new(schema, &tuples).under(0, r#"{"j": -1}"#);
    assert_eq!(bench.decide("group:g#member@user:u").unwrap(), "denied");
    let steps = bench.outcome("group:g#member@user:u").unwrap().caveat_steps;
    assert!((50 * 20..50 * 100).contains(&steps), "{steps}");
    bench.budget.max_caveat_steps = steps + 1;
    assert_eq!(bench.decide("group:g#member@user:u").unwrap(), "denied");
    bench.budget.max_caveat_steps = steps / 2;
    let result = bench.decide("group:g#member@user:u");
    assert!(matches!(result, Err(CheckError::CaveatStepsExceeded { .. })), "{result:?}");
}

#[test]
fn a_relation_that_holds_many_usersets_is_planned_at_once() {
    let count = 20_000;
    let mut schema = SchemaText::with_users().definition("team");
    for n in 0..count {
        schema = schema.relation(&format!("rel{n}"), "user");
    }
    let usersets: Vec<String> = (0..count).map(|n| format!("team#rel{n}")).collect();
    let schema = schema.definition("doc").relation("viewer", &usersets.join(" "));
    let tuples = (0..count).map(|n| format!("doc:d#viewer@team:t#rel{n}"));
    within_a_second(|| Bench::large(schema, tuples).expect(&[("doc:d#viewer@user:tom", false)]));
}

/// What suffices for a permission is not gathered along all of such a chain for each of its links.
#[test]
fn a_long_chain_of_permissions_is_planned_at_once() {
    let length = 10_000;
    let mut schema = SchemaText::with_users().definition("doc");
    for n in 0..length {
        let (own, next) = (format!("own{n}"), format!("can{}", n + 1));
        schema = schema.relation(&own, "user").permission(&format!("can{n}"), or([computed(&own), computed(&next)]));
    }
    let schema = schema.relation(&format!("can{length}"), "user").done();
    let plan = within_a_second(|| Plan::new(schema));
    let members = plan.members_met_from(member(&plan, &type_name("doc"), &relation_name("can0")).unwrap());
    assert_eq!(members.len(), 2 * length + 1);
    assert!(members.iter().all(|id| plan.member(*id).relations.len() <= 8));
}
