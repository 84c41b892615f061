//! Check by example: what each operator means, what cycles and budgets do, and what is never read.

use crate::caveat::Context;
use crate::engine::testbed::{Bench, SchemaText, all, and, any, computed, groups, guarded_folders, minus, or, tuple};
use crate::engine::{Budget, CheckError, CheckItem, Waiter, check_bulk};
use crate::model::TimestampMs;
use crate::schema::Rewrite;

#[test]
fn a_relation_holds_direct_subjects_everyone_and_members_of_usersets() {
    let schema = SchemaText::with_users()
        .definition("group")
        .relation("member", "user group#member")
        .definition("doc")
        .relation("viewer", "user group#member")
        .relation("public", "user:*")
        .relation("either", "user user:*");
    let bench = Bench::new(
        schema,
        &[
            "doc:one#viewer@user:tom",
            "doc:one#viewer@group:eng#member",
            "group:eng#member@user:amy",
            "group:eng#member@group:core#member",
            "group:core#member@user:bob",
            "doc:one#public@user:*",
            "doc:two#either@user:tom",
        ],
    );
    bench.expect(&[
        ("doc:one#viewer@user:tom", true),
        ("doc:one#viewer@user:amy", true),
        ("doc:one#viewer@user:bob", true),
        ("doc:one#viewer@user:eve", false),
        ("doc:two#viewer@user:tom", false),
        ("doc:one#public@user:anyone", true),
        ("doc:two#public@user:anyone", false),
        ("doc:two#either@user:tom", true),
        ("doc:two#either@user:amy", false),
        ("doc:one#viewer@group:eng", false),
    ]);
}

#[test]
fn a_userset_is_a_member_of_itself_and_of_what_it_was_given() {
    let schema = groups()
        .definition("doc")
        .relation("viewer", "group#member group:*")
        .permission("view", minus(computed("viewer"), Rewrite::Nil));
    let bench = Bench::new(
        schema,
        &["group:eng#member@group:core#member", "doc:one#viewer@group:eng#member", "doc:two#viewer@group:*"],
    );
    bench.expect(&[
        ("group:eng#member@group:eng#member", true),
        ("group:lone#member@group:lone#member", true),
        ("doc:one#view@doc:one#view", true),
        ("doc:two#view@doc:one#view", false),
        ("group:eng#member@group:core#member", true),
        ("group:core#member@group:eng#member", false),
        ("doc:one#view@group:core#member", true),
        ("doc:one#view@group:eng", false),
        ("doc:two#view@group:eng", true),
        // A wildcard stands for the usersets of its type too, as in SpiceDB.
        ("doc:two#view@group:eng#member", true),
    ]);
}

#[test]
fn operators_combine_sets() {
    let schema = SchemaText::with_users()
        .definition("doc")
        .relation("aaa", "user user:*")
        .relation("bbb", "user")
        .relation("ccc", "user user:*")
        .permission("both", and([computed("aaa"), computed("bbb")]))
        .permission("some", or([computed("aaa"), computed("bbb")]))
        .permission("less", minus(computed("aaa"), computed("ccc")))
        .permission("nested", minus(computed("aaa"), minus(computed("ccc"), computed("bbb"))))
        .permission("nobody", Rewrite::Nil)
        .permission("still", minus(computed("aaa"), Rewrite::Nil));
    let bench = Bench::new(
        schema,
        &[
            "doc:one#aaa@user:*",
            "doc:one#bbb@user:tom",
            "doc:one#ccc@user:amy",
            "doc:two#aaa@user:tom",
            "doc:two#ccc@user:*",
        ],
    );
    bench.expect(&[
        ("doc:one#both@user:tom", true),
        ("doc:one#both@user:amy", false),
        ("doc:two#some@user:tom", true),
        ("doc:two#some@user:amy", false),
        ("doc:one#less@user:tom", true),
        ("doc:one#less@user:amy", false),
        ("doc:two#less@user:tom", false),
        ("doc:one#nested@user:tom", true),
        ("doc:one#nested@user:amy", false),
        ("doc:one#nobody@user:tom", false),
        ("doc:one#still@user:eve", true),
    ]);
}

#[test]
fn arrows_go_to_objects_that_have_the_target() {
    let schema = SchemaText::with_users()
        .definition("team")
        .relation("member", "user")
        .relation("lead", "user")
        .definition("bot")
        .relation("owner", "user")
        .definition("doc")
        .relation("team", "team bot team#lead")
        .permission("some", any("team", "member"))
        .permission("each", all("team", "member"));
    let bench = Bench::new(
        schema,
        &[
            "team:aaa#member@user:tom",
            "team:bbb#member@user:tom",
            "team:bbb#member@user:amy",
            "team:bbb#lead@user:eve",
            "doc:one#team@team:aaa",
            "doc:one#team@team:bbb",
            "doc:mixed#team@team:aaa",
            "doc:mixed#team@bot:rob",
            "doc:lead#team@team:bbb#lead",
        ],
    );
    bench.expect(&[
        ("doc:one#some@user:amy", true),
        ("doc:one#each@user:amy", false),
        ("doc:one#each@user:tom", true),
        ("doc:mixed#some@user:tom", true),
        ("doc:mixed#each@user:tom", false),
        ("doc:none#some@user:tom", false),
        ("doc:none#each@user:tom", false),
        // The subject's relation is not followed: the arrow goes to the team.
        ("doc:lead#some@user:amy", true),
        ("doc:lead#each@user:amy", true),
        ("doc:lead#some@user:eve", false),
    ]);
}

#[test]
fn a_tuple_that_its_relation_does_not_admit_does_not_count() {
    let schema = groups()
        .definition("doc")
        .relation("viewer", "user")
        .relation("parent", "doc")
        .permission("view", or([computed("viewer"), any("parent", "viewer")]));
    let bench = Bench::new(
        schema,
        &[
            "doc:one#viewer@group:eng#member",
            "doc:one#viewer@user:*",
            "group:eng#member@user:tom",
            "doc:two#parent@doc:ok#viewer",
            "doc:ok#viewer@user:tom",
        ],
    );
    bench.expect(&[("doc:one#view@user:tom", false), ("doc:two#view@user:tom", false)]);
}

#[test]
fn cycles_of_groups_end_in_the_least_fixpoint() {
    let bench = Bench::new(
        groups(),
        &[
            "group:aaa#member@group:bbb#member",
            "group:bbb#member@group:ccc#member",
            "group:ccc#member@group:aaa#member",
            "group:ccc#member@user:tom",
            "group:self#member@group:self#member",
        ],
    );
    bench.expect(&[
        ("group:aaa#member@user:tom", true),
        ("group:bbb#member@user:tom", true),
        ("group:aaa#member@user:amy", false),
        ("group:self#member@user:tom", false),
        ("group:aaa#member@group:aaa#member", true),
        ("group:bbb#member@group:aaa#member", true),
    ]);
}

/// A denial found while an ancestor was under way must not outlive the ancestor's becoming allowed.
#[test]
fn a_provisional_denial_is_forgotten_when_its_ground_falls() {
    let schema = SchemaText::with_users()
        .definition("node")
        .relation("next", "node")
        .relation("seed", "user")
        .relation("gate", "user")
        .permission("reach", and([or([any("next", "reach"), computed("seed")]), computed("gate")]))
        .permission("probe", and([or([any("next", "probe"), computed("seed"), any("next", "late")]), computed("gate")]))
        .permission("late", and([computed("seed"), computed("gate")]));
    let tuples = [
        "node:aaa#next@node:bbb",
        "node:bbb#next@node:aaa",
        "node:aaa#next@node:ccc",
        "node:ccc#seed@user:tom",
        "node:aaa#gate@user:tom",
        "node:bbb#gate@user:tom",
        "node:ccc#gate@user:tom",
    ];
    let bench = Bench::new(schema, &tuples);
    let questions =
        ["node:aaa#reach@user:tom", "node:bbb#reach@user:tom", "node:aaa#probe@user:tom", "node:bbb#probe@user:tom"];
    for order in [questions, {
        let mut reversed = questions;
        reversed.reverse();
        reversed
    }] {
        for (question, result) in order.iter().zip(bench.ask_bulk(&order)) {
            assert!(result.unwrap(), "{question}");
        }
    }
}

/// The same through a longer cycle: what relies on a provisional denial is provisional too.
#[test]
fn a_denial_that_rests_on_a_provisional_one_is_provisional() {
    let schema = SchemaText::with_users()
        .definition("node")
        .relation("next", "node")
        .relation("seed", "user")
        .relation("gate", "user:*")
        .permission("reach", and([or([any("next", "reach"), computed("seed")]), computed("gate")]));
    let mut tuples = vec![
        "node:aaa#next@node:bbb",
        "node:bbb#next@node:ccc",
        "node:ccc#next@node:aaa",
        "node:aaa#next@node:ddd",
        "node:ddd#seed@user:tom",
    ];
    tuples.extend(["node:aaa#gate@user:*", "node:bbb#gate@user:*", "node:ccc#gate@user:*", "node:ddd#gate@user:*"]);
    let bench = Bench::new(schema, &tuples);
    let questions = ["node:aaa#reach@user:tom", "node:bbb#reach@user:tom", "node:ccc#reach@user:tom"];
    for (question, result) in questions.iter().zip(bench.ask_bulk(&questions)) {
        assert!(result.unwrap(), "{question}");
    }
}

/// What a frame relied on before it came to an exclusion still counts after it.
#[test]
fn an_exclusion_does_not_hide_what_was_relied_on_before_it() {
    let schema = SchemaText::with_users()
        .definition("node")
        .relation("next", "node")
        .relation("seed", "user")
        .relation("banned", "user")
        .permission("reach", or([any("next", "reach"), minus(computed("seed"), computed("banned"))]));
    let bench = Bench::new(
        schema,
        &[
            "node:aaa#next@node:bbb",
            "node:aaa#next@node:ccc",
            "node:bbb#next@node:aaa",
            "node:bbb#seed@user:tom",
            "node:bbb#banned@user:tom",
            "node:ccc#seed@user:tom",
        ],
    );
    let questions = ["node:aaa#reach@user:tom", "node:bbb#reach@user:tom"];
    for (question, result) in questions.iter().zip(bench.ask_bulk(&questions)) {
        assert!(result.unwrap(), "{question}");
    }
}

/// A walk that ends early knows nothing of the nodes that it had not finished.
#[test]
fn a_walk_that_finds_the_subject_denies_nobody() {
    let bench = Bench::new(
        groups(),
        &[
            "group:aaa#member@group:bbb#member",
            "group:aaa#member@group:ccc#member",
            "group:bbb#member@group:ddd#member",
            "group:ccc#member@user:tom",
            "group:ddd#member@user:tom",
        ],
    );
    let questions = ["group:aaa#member@user:tom", "group:bbb#member@user:tom", "group:ddd#member@user:tom"];
    for (question, result) in questions.iter().zip(bench.ask_bulk(&questions)) {
        assert!(result.unwrap(), "{question}");
    }
}

#[test]
fn an_exclusion_in_a_cycle_with_itself_is_an_error_and_never_an_allow() {
    let schema = SchemaText::with_users()
        .definition("doc")
        .relation("viewer", "user")
        .relation("parent", "doc")
        .relation("rival", "doc")
        .permission("view", minus(computed("viewer"), any("rival", "view")));
    let bench = Bench::new(
        schema,
        &[
            "doc:one#viewer@user:tom",
            "doc:one#rival@doc:two",
            "doc:two#viewer@user:tom",
            "doc:two#rival@doc:one",
            "doc:three#viewer@user:tom",
            "doc:three#rival@doc:four",
            "doc:self#viewer@user:tom",
            "doc:self#rival@doc:self",
        ],
    );
    for question in ["doc:one#view@user:tom", "doc:two#view@user:tom", "doc:self#view@user:tom"] {
        let result = bench.ask(question);
        assert!(matches!(result, Err(CheckError::CycleThroughExclusion { .. })), "{question}: {result:?}");
    }
    // Whoever is no viewer is denied whatever the cycle says; a rival without a cycle is no trouble.
    bench.expect(&[("doc:one#view@user:amy", false), ("doc:three#view@user:tom", true)]);
}

#[test]
fn an_exclusion_beside_a_cycle_is_judged_when_the_cycle_is_closed() {
    let bench = Bench::new(
        guarded_folders(),
        &[
            "folder:aaa#parent@folder:bbb",
            "folder:bbb#parent@folder:aaa",
            "folder:bbb#viewer@user:tom",
            "folder:bbb#viewer@user:eve",
            "folder:aaa#banned@user:eve",
        ],
    );
    bench.expect(&[
        ("folder:aaa#view@user:tom", true),
        ("folder:bbb#view@user:tom", true),
        ("folder:aaa#view@user:eve", false),
        ("folder:bbb#view@user:eve", true),
        ("folder:aaa#view@user:amy", false),
    ]);
}

#[test]
fn what_the_schema_rules_out_costs_no_read() {
    let schema = groups()
        .definition("doc")
        .relation("viewer", "group#member user")
        .relation("robot", "doc")
        .relation("banned", "user")
        .permission("view", or([computed("viewer"), computed("robot")]))
        .permission("gated", and([computed("viewer"), computed("robot")]));
    let bench = Bench::new(
        schema,
        &["doc:one#viewer@user:tom", "doc:one#viewer@user:amy", "doc:one#viewer@user:bob", "doc:one#robot@doc:two"],
    );
    assert_eq!(bench.cost("doc:one#robot@user:tom").unwrap(), (false, 0));
    assert_eq!(bench.cost("doc:one#gated@user:tom").unwrap(), (false, 0));
    assert_eq!(bench.cost("doc:one#banned@group:eng#member").unwrap(), (false, 0));
    // One look-up finds a direct subject; a miss does not visit the other users.
    assert_eq!(bench.cost("doc:one#view@user:tom").unwrap(), (true, 1));
    assert_eq!(bench.cost("doc:one#view@user:eve").unwrap(), (false, 1));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let bench = Bench::new(groups(), &[]);
    assert!(matches!(bench.ask("ghost:one#member@user:tom"), Err(CheckError::UnknownDefinition { .. })));
    assert!(matches!(bench.ask("group:one#ghost@user:tom"), Err(CheckError::UnknownRelation { .. })));
    assert!(matches!(bench.ask("group:one#member@ghost:tom"), Err(CheckError::UnknownDefinition { .. })));
    assert!(matches!(bench.ask("group:one#member@group:one#ghost"), Err(CheckError::UnknownRelation { .. })));
    assert!(matches!(bench.ask("group:one#member@user:*"), Err(CheckError::WildcardSubject { .. })));
    assert!(matches!(bench.ask("group:*#member@user:tom"), Err(CheckError::WildcardResource { .. })));
}

#[test]
fn a_failed_item_of_a_bulk_check_leaves_the_others_alone() {
    let mut bench = Bench::new(
        guarded_folders(),
        &["folder:aaa#parent@folder:bbb", "folder:bbb#parent@folder:ccc", "folder:ccc#viewer@user:tom"],
    );
    bench.budget = Budget { max_depth: 7, ..Budget::default() };
    let questions =
        ["folder:aaa#view@user:tom", "folder:ccc#view@user:tom", "ghost:aaa#view@user:tom", "folder:bbb#view@user:tom"];
    let results = bench.ask_bulk(&questions);
    assert!(matches!(results[0], Err(CheckError::DepthExceeded { max_depth: 7 })), "{:?}", results[0]);
    assert!(matches!(results[1], Ok(true)));
    assert!(matches!(results[2], Err(CheckError::UnknownDefinition { .. })));
    assert!(matches!(results[3], Ok(true)));
}

#[test]
fn items_with_one_subject_share_what_was_found_out() {
    let bench = Bench::new(groups(), &["group:aaa#member@group:bbb#member", "group:bbb#member@user:tom"]);
    let items: Vec<_> = ["group:aaa#member@user:tom", "group:bbb#member@user:tom", "group:aaa#member@user:tom"]
        .iter()
        .map(|text| {
            let key = tuple(text);
            CheckItem {
                resource: key.resource,
                permission: key.relation,
                subject: key.subject,
                context: Context::default(),
            }
        })
        .collect();
    let results = check_bulk(&bench.plan, &*bench.view, &items, TimestampMs(0), &bench.budget);
    let reads: Vec<u64> = results.into_iter().map(|result| result.unwrap().reads).collect();
    assert_eq!(reads, [3, 0, 0]);
}

/// An item that is answered by itself must not help another over the circle that leaves it without an answer.
#[test]
fn a_circle_through_an_exclusion_is_an_error_alone_and_beside_others() {
    let schema = SchemaText::with_users()
        .definition("group")
        .relation("member", "user")
        .relation("blocked", "group#odd")
        .permission("odd", minus(computed("member"), computed("blocked")))
        .permission("plain", minus(computed("member"), computed("member")))
        .definition("doc")
        .relation("viewer", "group#odd")
        .permission("view", computed("viewer"));
    let bench = Bench::new(
        schema,
        &[
            "doc:d#viewer@group:b#odd",
            "doc:d#viewer@group:c#odd",
            "group:b#blocked@group:b#odd",
            "group:b#member@user:tom",
            "group:c#member@user:tom",
        ],
    );
    let is_circle = |result: &Result<bool, CheckError>| matches!(result, Err(CheckError::CycleThroughExclusion { .. }));
    assert!(is_circle(&bench.ask("doc:d#view@user:tom")));
    let results = bench.ask_bulk(&["group:c#odd@user:tom", "doc:d#view@user:tom", "group:c#plain@user:tom"]);
    assert!(matches!(results[..], [Ok(true), Err(_), Ok(false)]) && is_circle(&results[1]), "{results:?}");
    let circular = |member| {
        let question = tuple(&format!("group:c#{member}@user:tom"));
        let object_type = bench.plan.type_id(&question.resource.object_type).unwrap();
        bench.plan.member(bench.plan.member_id(object_type, &question.relation).unwrap()).circular
    };
    assert_eq!(["odd", "blocked", "plain", "member"].map(circular), [true, true, false, false]);
}

#[test]
fn a_check_ends_when_nobody_waits() {
    let tuples = (0..5_000).map(|n| format!("group:big#member@group:g{n}#member"));
    let mut bench = Bench::large(groups(), tuples);
    let waiter = Waiter::until(std::time::Instant::now() + std::time::Duration::from_secs(60));
    bench.budget = Budget::on_behalf_of(waiter.clone());
    assert_eq!(bench.decide("group:big#member@user:tom").unwrap(), "denied");
    waiter.leave();
    assert!(matches!(bench.decide("group:big#member@user:tom"), Err(CheckError::GivenUp)));
    bench.budget = Budget::on_behalf_of(Waiter::until(std::time::Instant::now()));
    assert!(matches!(bench.decide("group:big#member@user:tom"), Err(CheckError::GivenUp)));
}
