//! Check by example where relationships have conditions: what stays open, which parameters it hangs on, and what a condition
//! that fails does to an answer. Names and values are what SpiceDB gives for the same data.

use crate::caveat::Context;
use crate::engine::testbed::{Bench, SchemaText, all, and, any, computed, guarded_folders, minus, or, tuple};
use crate::engine::{CheckError, CheckItem, check_bulk};
use crate::model::{Decision, TimestampMs};
use crate::schema::Rewrite;

/// One relation a caveat, on documents that can lie in each other.
fn documents() -> SchemaText {
    SchemaText::with_users()
        .caveat("if_a", "a", "a")
        .caveat("if_b", "b", "b")
        .caveat("if_c", "c", "c")
        .caveat("if_ab", "a b", "a && b")
        .caveat("fails", "n", "1 / n == 1")
        .definition("group")
        .relation("member", "user group#member")
        .definition("doc")
        .relation("aaa", "user group#member")
        .relation("bbb", "user")
        .relation("ccc", "user user:*")
        .relation("eee", "user")
        .relation("par", "doc")
        .permission("a_or_b", or([computed("aaa"), computed("bbb")]))
        .permission("a_and_b", and([computed("aaa"), computed("bbb")]))
        .permission("a_less_b", minus(computed("aaa"), computed("bbb")))
        .permission("ab_less_c", minus(and([computed("aaa"), computed("bbb")]), computed("ccc")))
        .permission("a_less_bc", minus(computed("aaa"), and([computed("bbb"), computed("ccc")])))
        .permission("a_less_a", minus(computed("aaa"), computed("aaa")))
        .permission("a_and_e", and([computed("aaa"), computed("eee")]))
        .permission("a_or_e", or([computed("aaa"), computed("eee")]))
        .permission("a_less_e", minus(computed("aaa"), computed("eee")))
        .permission("par_any", any("par", "aaa"))
        .permission("par_all", all("par", "aaa"))
        .permission("not_all", minus(computed("aaa"), all("par", "aaa")))
}

const OPEN: [&str; 3] = ["doc:x#aaa@user:u with if_a", "doc:x#bbb@user:u with if_b", "doc:x#ccc@user:u with if_c"];

#[test]
fn operators_carry_open_conditions_on() {
    let cases: [(&str, &[(&str, &str)]); 9] = [
        ("a_or_b", &[("{}", "a b"), (r#"{"a":false}"#, "b"), (r#"{"b":true}"#, "allowed")]),
        ("a_and_b", &[("{}", "a b"), (r#"{"a":true}"#, "b"), (r#"{"b":false}"#, "denied")]),
        ("a_less_b", &[("{}", "a b"), (r#"{"a":true}"#, "b"), (r#"{"b":false}"#, "a"), (r#"{"b":true}"#, "denied")]),
        ("ab_less_c", &[("{}", "a b c"), (r#"{"a":true}"#, "b c"), (r#"{"c":false}"#, "a b")]),
        (
            "a_less_bc",
            &[
                ("{}", "a b c"),
                (r#"{"b":true}"#, "a c"),
                (r#"{"b":false}"#, "a"),
                (r#"{"a":true,"c":false}"#, "allowed"),
                (r#"{"a":true,"b":true}"#, "c"),
                (r#"{"b":true,"c":true}"#, "denied"),
            ],
        ),
        // A parameter is not followed through two places: Kleene's logic does not know that both are the same.
        ("a_less_a", &[("{}", "a"), (r#"{"a":true}"#, "denied"), (r#"{"a":false}"#, "denied")]),
        ("aaa", &[("{}", "a"), (r#"{"a":true}"#, "allowed"), (r#"{"a":false}"#, "denied"), (r#"{"b":true}"#, "a")]),
        ("par_any", &[("{}", "denied")]),
        ("par_all", &[("{}", "denied")]),
    ];
    for (permission, asked) in cases {
        for (context, expected) in asked {
            let bench = Bench::new(documents(), &OPEN).under(0, context);
            let found = bench.decide(&format!("doc:x#{permission}@user:u")).unwrap();
            assert_eq!(found, *expected, "{permission} in {context}");
        }
    }
}

#[test]
fn what_is_stored_beats_what_is_asked_with() {
    let tuples = [
        r#"doc:x#aaa@user:u with if_a {"a":false}"#,
        r#"doc:y#aaa@user:u with if_ab {"a":true}"#,
        r#"doc:z#aaa@user:u with if_ab {"b":false}"#,
    ];
    let bench = Bench::new(documents(), &tuples).under(0, r#"{"a":true}"#);
    bench.expect_decisions(&[
        ("doc:x#aaa@user:u", "denied"),
        ("doc:y#aaa@user:u", "b"),
        ("doc:z#aaa@user:u", "denied"),
    ]);
}

#[test]
fn conditions_on_the_way_count_with_those_at_its_end() {
    let tuples = [
        "group:g#member@user:u with if_a",
        "group:h#member@group:g#member with if_b",
        "doc:x#aaa@group:h#member",
        "doc:y#par@doc:x with if_c",
        // Nothing is behind this one, so its condition does not matter.
        "doc:y#par@doc:nobody with if_ab",
        "doc:z#par@doc:x with if_c",
        "doc:free#aaa@user:u",
        "doc:z#par@doc:free",
        r#"doc:w#par@doc:free with if_c {"c":false}"#,
        "doc:w#par@doc:free2",
        "doc:free2#aaa@user:u",
        "doc:w#aaa@user:u",
    ];
    let bench = Bench::new(documents(), &tuples);
    bench.expect_decisions(&[
        ("doc:x#aaa@user:u", "a b"),
        ("doc:y#par_any@user:u", "a b c"),
        ("doc:y#par_all@user:u", "denied"),
        ("doc:z#par_any@user:u", "allowed"),
        ("doc:z#par_all@user:u", "a b c"),
        // A relationship whose condition is false does not lead to what all must have.
        ("doc:w#par_all@user:u", "denied"),
        ("doc:w#par_any@user:u", "allowed"),
        ("doc:w#not_all@user:u", "allowed"),
    ]);
    let bench = Bench::new(documents(), &tuples).under(0, r#"{"b":false}"#);
    bench.expect_decisions(&[("doc:x#aaa@user:u", "denied"), ("doc:z#par_all@user:u", "denied")]);
}

#[test]
fn a_condition_on_everyone_is_one_on_each() {
    let tuples = ["doc:x#ccc@user:* with if_c", "doc:x#ccc@user:u with if_a", "doc:x#ccc@user:v"];
    let bench = Bench::new(documents(), &tuples);
    bench.expect_decisions(&[("doc:x#ccc@user:u", "a c"), ("doc:x#ccc@user:v", "allowed"), ("doc:x#ccc@user:w", "c")]);
}

#[test]
fn a_condition_in_a_cycle_is_met_once() {
    let tuples = [
        "group:g#member@group:h#member with if_a",
        "group:h#member@group:g#member",
        "group:h#member@user:u with if_b",
        "group:h#member@user:v",
    ];
    let bench = Bench::new(documents(), &tuples);
    bench.expect_decisions(&[
        ("group:g#member@user:u", "a b"),
        ("group:h#member@user:u", "a b"),
        ("group:g#member@user:v", "a"),
        ("group:h#member@user:v", "allowed"),
        ("group:g#member@user:w", "denied"),
    ]);
}

#[test]
fn an_answer_that_hangs_on_a_failed_condition_is_an_error() {
    let tuples = [
        r#"doc:x#eee@user:u with fails {"n":0}"#,
        "doc:x#aaa@user:u",
        "doc:y#aaa@user:u with if_a",
        r#"doc:y#eee@user:u with fails {"n":0}"#,
        r#"doc:none#eee@user:u with fails {"n":0}"#,
        "doc:lost#eee@user:u with unknown",
    ];
    let bench = Bench::new(documents(), &tuples);
    bench.expect_decisions(&[
        ("doc:x#a_or_e@user:u", "allowed"),
        ("doc:none#a_and_e@user:u", "denied"),
        ("doc:none#a_less_e@user:u", "denied"),
        ("doc:x#eee@user:v", "denied"),
    ]);
    for question in ["doc:x#eee", "doc:x#a_and_e", "doc:x#a_less_e", "doc:y#a_or_e", "doc:y#a_and_e", "doc:y#a_less_e"]
    {
        let result = bench.decide(&format!("{question}@user:u"));
        assert!(matches!(result, Err(CheckError::Caveat { .. })), "{question}: {result:?}");
    }
    let result = bench.decide("doc:lost#eee@user:u");
    assert!(matches!(result, Err(CheckError::UnknownCaveat { .. })), "{result:?}");
    // A value of the wrong type is a failure too, where the parameter is asked for.
    let bench = Bench::new(documents(), &OPEN).under(0, r#"{"a":"yes"}"#);
    bench.expect_decisions(&[("doc:x#bbb@user:u", "b")]);
    assert!(matches!(bench.decide("doc:x#aaa@user:u"), Err(CheckError::Caveat { .. })));
}

#[test]
fn what_has_expired_is_not_there() {
    let tuples = [
        "folder:a#viewer@user:u until 100",
        "folder:b#viewer@user:u",
        "folder:b#banned@user:u until 100",
        "folder:c#parent@folder:b until 100",
    ];
    let before = Bench::new(guarded_folders(), &tuples).under(99, "{}");
    let after = Bench::new(guarded_folders(), &tuples).under(100, "{}");
    before.expect(&[("folder:a#view@user:u", true), ("folder:b#view@user:u", false), ("folder:c#view@user:u", false)]);
    after.expect(&[("folder:a#view@user:u", false), ("folder:b#view@user:u", true), ("folder:c#view@user:u", false)]);

    let tuples = ["doc:x#par@doc:y until 100", "doc:x#par@doc:z", "doc:z#aaa@user:u with if_a until 200"];
    Bench::new(documents(), &tuples).under(99, "{}").expect_decisions(&[("doc:x#par_all@user:u", "denied")]);
    Bench::new(documents(), &tuples).under(100, "{}").expect_decisions(&[("doc:x#par_all@user:u", "a")]);
    Bench::new(documents(), &tuples).under(200, "{}").expect_decisions(&[("doc:x#par_all@user:u", "denied")]);
}

#[test]
fn the_object_itself_is_a_subject() {
    let schema = SchemaText::with_users()
        .definition("doc")
        .relation("banned", "doc")
        .permission("mee", Rewrite::Itself)
        .permission("good", minus(Rewrite::Itself, computed("banned")));
    let bench = Bench::new(schema, &["doc:x#banned@doc:x"]);
    bench.expect(&[
        ("doc:x#mee@doc:x", true),
        ("doc:x#mee@doc:y", false),
        ("doc:x#mee@user:x", false),
        ("doc:x#mee@doc:x#mee", true),
        ("doc:x#mee@doc:x#good", false),
        ("doc:x#good@doc:x", false),
        ("doc:y#good@doc:y", true),
    ]);
}

#[test]
fn items_of_a_bulk_check_are_judged_each_in_its_own_context() {
    let bench = Bench::new(documents(), &OPEN);
    let key = tuple("doc:x#a_and_b@user:u");
    let contexts = ["{}", r#"{"a":true}"#, r#"{"a":true,"b":true}"#, r#"{"b":false}"#, r#"{"a":true}"#];
    let items: Vec<CheckItem> = contexts
        .iter()
        .map(|json| CheckItem {
            resource: key.resource.clone(),
            permission: key.relation.clone(),
            subject: key.subject.clone(),
            context: Context::from_json_text(json).unwrap(),
        })
        .collect();
    let results = check_bulk(&bench.plan, &*bench.view, &items, TimestampMs(0), &bench.budget);
    let decisions: Vec<Decision> = results.into_iter().map(|result| result.unwrap().decision).collect();
    let on = |names: &[&str]| Decision::Conditional { missing: names.iter().map(ToString::to_string).collect() };
    assert_eq!(decisions, [on(&["a", "b"]), on(&["b"]), Decision::Allowed, Decision::Denied, on(&["b"])]);
}

/// Without open conditions nothing is read twice, not even what both sides of an exclusion lead to.
#[test]
fn what_no_condition_limits_is_asked_once() {
    let schema = SchemaText::with_users()
        .definition("doc")
        .relation("aaa", "user")
        .relation("bbb", "user")
        .permission("gate", and([computed("aaa"), computed("bbb")]))
        .permission("less", minus(computed("gate"), minus(computed("gate"), computed("gate"))))
        .permission("some", or([computed("gate"), minus(computed("aaa"), computed("gate"))]));
    let bench = Bench::new(schema, &["doc:x#aaa@user:u", "doc:x#bbb@user:u", "doc:x#aaa@user:w"]);
    assert_eq!(bench.cost("doc:x#some@user:w").unwrap(), (true, 2));
    assert_eq!(bench.cost("doc:x#less@user:u").unwrap(), (true, 2));
    assert_eq!(bench.cost("doc:x#less@user:v").unwrap(), (false, 1));
}
