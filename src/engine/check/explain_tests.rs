//! Explanations by example, drawn as trees of text.

use std::fmt::Write as _;

use crate::engine::ExplanationRoom;
use crate::engine::testbed::{Bench, SchemaText, all, and, any, computed, minus, or, tuple};
use crate::engine::{CheckItem, Explanation, Proof, Standing, explain};

fn bench(tuples: &[&str]) -> Bench {
    let schema = SchemaText::with_users()
        .caveat("if_a", "a", "a")
        .caveat("if_b", "b", "b")
        .definition("group")
        .relation("member", "user group#member")
        .definition("doc")
        .relation("par", "doc")
        .relation("viewer", "user user:* group#member")
        .relation("paid", "user")
        .relation("banned", "user")
        .permission("view", or([computed("viewer"), any("par", "view")]))
        .permission("read", minus(and([computed("view"), computed("paid")]), computed("banned")))
        .permission("each", all("par", "viewer"));
    Bench::new(schema, tuples)
}

fn ask(bench: &Bench, question: &str, max_nodes: usize) -> Explanation {
    let key = tuple(question);
    let item = CheckItem {
        resource: key.resource,
        permission: key.relation,
        subject: key.subject,
        context: bench.circumstances.context.clone(),
    };
    let now = bench.circumstances.now;
    let room = ExplanationRoom { nodes: max_nodes, bytes: 1 << 20 };
    explain(&bench.plan, &*bench.view, &item, now, &bench.budget, room).unwrap().1
}

fn draw(explanation: &Explanation) -> String {
    let mut text = String::new();
    draw_proof(&explanation.root, "", 0, &mut text);
    if explanation.truncated {
        text.push_str("...\n");
    }
    text
}

fn mark(standing: Standing) -> char {
    match standing {
        Standing::True => '+',
        Standing::False => '-',
        Standing::Open => '?',
    }
}

fn draw_proof(proof: &Proof, prefix: &str, depth: usize, text: &mut String) {
    let (indent, mark) = ("  ".repeat(depth), mark(proof.standing));
    write!(text, "{indent}{prefix}{mark} {}#{}", proof.resource, proof.permission).unwrap();
    if proof.shown_before {
        text.push_str(" (above)");
    }
    if let Some(condition) = &proof.condition {
        write!(text, " [{}]", condition.expression).unwrap();
    }
    text.push('\n');
    for step in &proof.steps {
        let (mut depth, prefix) = (depth + 1, if step.excluded { "not " } else { "" });
        if let Some(tuple) = &step.tuple {
            let (indent, mark) = ("  ".repeat(depth), self::mark(tuple.standing));
            let expired = if tuple.expired { " expired" } else { "" };
            writeln!(text, "{indent}{prefix}{mark} {} @{}{expired}", tuple.key, tuple.written_at).unwrap();
            depth += 1;
        }
        if let Some(proof) = &step.proof {
            draw_proof(proof, if step.tuple.is_some() { "" } else { prefix }, depth, text);
        }
    }
}

#[track_caller]
fn expect(bench: &Bench, question: &str, lines: &[&str]) {
    let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(draw(&ask(bench, question, 1000)), expected, "{question}");
}

#[test]
fn what_is_allowed_shows_the_path_that_suffices() {
    let bench = bench(&[
        "doc:x#par@doc:y",
        "doc:y#viewer@group:g#member",
        "doc:y#viewer@group:h#member",
        "group:h#member@user:u",
        "doc:x#paid@user:u",
    ]);
    expect(
        &bench,
        "doc:x#read@user:u",
        &[
            "+ doc:x#read",
            "  + doc:x#view",
            "    + doc:x#par@doc:y @1",
            "      + doc:y#view",
            "        + doc:y#viewer",
            "          + doc:y#viewer@group:h#member @1",
            "            + group:h#member",
            "              + group:h#member@user:u @1",
            "  + doc:x#paid",
            "    + doc:x#paid@user:u @1",
            "  not - doc:x#banned",
        ],
    );
}

#[test]
fn what_is_denied_shows_what_was_tried() {
    let bench = bench(&[
        "doc:x#viewer@group:g#member",
        "doc:x#viewer@user:u until 5",
        "doc:x#par@doc:x",
        "doc:y#viewer@user:u",
        "doc:z#viewer@user:u",
        "doc:z#paid@user:u",
        "doc:z#banned@user:u",
    ])
    .under(5, "{}");
    expect(
        &bench,
        "doc:x#view@user:u",
        &[
            "- doc:x#view",
            "  - doc:x#viewer",
            "    - doc:x#viewer@user:u @1 expired",
            "    + doc:x#viewer@group:g#member @1",
            "      - group:g#member",
            "  + doc:x#par@doc:x @1",
            "    - doc:x#view (above)",
        ],
    );
    // One operand that is missing suffices to deny.
    expect(&bench, "doc:y#read@user:u", &["- doc:y#read", "  - doc:y#paid"]);
    expect(
        &bench,
        "doc:z#read@user:u",
        &[
            "- doc:z#read",
            "  + doc:z#view",
            "    + doc:z#viewer",
            "      + doc:z#viewer@user:u @1",
            "  + doc:z#paid",
            "    + doc:z#paid@user:u @1",
            "  not + doc:z#banned",
            "    + doc:z#banned@user:u @1",
        ],
    );
}

#[test]
fn conditions_are_put_together_on_the_way_up() {
    let bench = bench(&[
        "doc:x#viewer@group:g#member with if_a",
        "group:g#member@user:u with if_b",
        "doc:x#paid@user:u",
        "doc:x#banned@user:u with if_b",
        "doc:e#par@doc:x",
        "doc:e#par@doc:f with if_a",
        "doc:f#viewer@user:u",
    ]);
    expect(
        &bench,
        "doc:x#read@user:u",
        &[
            "? doc:x#read [((a) && (b)) && (!(b))]",
            "  ? doc:x#view [(a) && (b)]",
            "    ? doc:x#viewer [(a) && (b)]",
            "      ? doc:x#viewer@group:g#member @1",
            "        ? group:g#member [b]",
            "          ? group:g#member@user:u @1",
            "  not ? doc:x#banned [b]",
            "    ? doc:x#banned@user:u @1",
        ],
    );
    let explanation = ask(&bench, "doc:x#read@user:u", 1000);
    assert_eq!(explanation.root.condition.unwrap().missing, ["a", "b"]);
    let denied = bench.under(0, r#"{"a":false}"#);
    expect(&denied, "doc:e#each@user:u", &["- doc:e#each [a]", "  - doc:e#par@doc:f @1"]);
    let condition = ask(&denied, "doc:e#each@user:u", 1000).root.condition.unwrap();
    assert_eq!((condition.name.as_str(), condition.context.to_json_text().as_str()), ("if_a", r#"{"a":false}"#));
}

/// What is allowed may depend on itself, too; it is never shown to rest on that.
#[test]
fn what_is_allowed_ends_at_a_relationship_that_names_the_subject() {
    let schema = || {
        SchemaText::with_users()
            .caveat("if_a", "a", "a")
            .definition("group")
            .relation("member", "user group#member")
            .relation("other", "group#both")
            .relation("direct", "user")
            .permission("both", and([or([any("other", "both"), computed("direct")]), computed("member")]))
    };
    let circle = Bench::new(
        schema(),
        &[
            "group:a#member@group:b#member",
            "group:a#member@group:c#member",
            "group:b#member@group:a#member",
            "group:c#member@user:tom with if_a",
        ],
    )
    .under(0, r#"{"a":true}"#);
    expect(
        &circle,
        "group:a#member@user:tom",
        &[
            "+ group:a#member [a]",
            "  + group:a#member@group:c#member @1",
            "    + group:c#member [a]",
            "      + group:c#member@user:tom @1",
        ],
    );
    // The same with nesting: b is asked first, and is allowed by way of a.
    let nested = Bench::new(
        schema(),
        &[
            "group:a#member@user:tom",
            "group:b#member@user:tom",
            "group:a#other@group:b#both",
            "group:b#other@group:a#both",
            "group:a#direct@user:tom",
        ],
    );
    expect(
        &nested,
        "group:a#both@user:tom",
        &[
            "+ group:a#both",
            "  + group:a#member",
            "    + group:a#member@user:tom @1",
            "  + group:a#direct",
            "    + group:a#direct@user:tom @1",
        ],
    );
    expect(
        &nested,
        "group:b#both@user:tom",
        &[
            "+ group:b#both",
            "  + group:b#member",
            "    + group:b#member@user:tom @1",
            "  + group:b#other@group:a#both @1",
            "    + group:a#both",
            "      + group:a#member",
            "        + group:a#member@user:tom @1",
            "      + group:a#direct",
            "        + group:a#direct@user:tom @1",
        ],
    );
}

/// The plain check never comes to the circle through an exclusion; nor must the search for an explanation.
#[test]
fn an_explanation_does_not_turn_an_answer_into_an_error() {
    let schema = SchemaText::with_users()
        .definition("group")
        .relation("member", "user")
        .relation("blocked", "group#odd")
        .permission("odd", minus(computed("member"), computed("blocked")))
        .definition("doc")
        .relation("viewer", "group#odd group#member")
        .permission("view", computed("viewer"));
    let mut bench = Bench::new(
        schema,
        &[
            "doc:d#viewer@group:a#member",
            "doc:d#viewer@group:b#odd",
            "group:b#blocked@group:b#odd",
            "group:a#member@user:tom",
            "group:b#member@user:tom",
        ],
    );
    let whole = [
        "+ doc:d#view",
        "  + doc:d#viewer",
        "    + doc:d#viewer@group:a#member @1",
        "      + group:a#member",
        "        + group:a#member@user:tom @1",
    ];
    expect(&bench, "doc:d#view@user:tom", &whole);
    let reads = bench.cost("doc:d#view@user:tom").unwrap().1;
    bench.budget.max_steps = reads;
    let cut = ask(&bench, "doc:d#view@user:tom", 1000);
    assert_eq!((cut.root.standing, cut.truncated), (Standing::True, true));
}

#[test]
fn what_is_too_large_is_cut_and_says_so() {
    let tuples: Vec<String> = (0..300).map(|n| format!("doc:x#viewer@group:g{n}#member")).collect();
    let tuples: Vec<&str> = tuples.iter().map(String::as_str).collect();
    let bench = bench(&tuples);
    let all = ask(&bench, "doc:x#viewer@user:u", 1000);
    assert_eq!((all.root.steps.len(), all.truncated), (300, false));
    let cut = ask(&bench, "doc:x#viewer@user:u", 21);
    assert_eq!((cut.root.steps.len(), cut.truncated), (10, true));
    let found = ask(&bench, "doc:x#viewer@group:g299#member", 21);
    assert_eq!((found.root.standing, found.root.steps.len(), found.truncated), (Standing::True, 1, false));
}

/// A check finds such a one from the subject's side, and says nothing of the way there; an explanation shows it.
#[test]
fn one_of_many_ways_is_shown_whole() {
    let mut tuples: Vec<String> = (0..20).map(|n| format!("doc:x#par@doc:p{n:02}")).collect();
    tuples.extend(["doc:p17#viewer@user:tom".into(), "doc:x#paid@user:tom".into()]);
    let tuples: Vec<&str> = tuples.iter().map(String::as_str).collect();
    let lines = [
        "+ doc:x#view",
        "  + doc:x#par@doc:p17 @1",
        "    + doc:p17#view",
        "      + doc:p17#viewer",
        "        + doc:p17#viewer@user:tom @1",
    ];
    expect(&bench(&tuples), "doc:x#view@user:tom", &lines);
    let whole = draw(&ask(&bench(&tuples), "doc:x#read@user:tom", 1000));
    for line in lines {
        assert!(whole.contains(line.trim_start()), "{line} is lacking in\n{whole}");
    }
}
