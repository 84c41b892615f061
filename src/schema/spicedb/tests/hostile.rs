//! Texts that no person would write: none panics, none exhausts the stack, none takes long.

use proptest::prelude::*;

use super::{expression, parse, with_expression};
use crate::model::{ErrorCode, limits};
use crate::schema::{AllowedSubject, Member, Rewrite, Schema};

#[test]
fn a_schema_beyond_the_size_limit_is_refused() {
    let comment = |length: usize| format!("//{}", "x".repeat(length - 2));
    assert_eq!(parse(&comment(limits::SCHEMA_BYTES)), Ok(Schema::default()));
    let error = parse(&comment(limits::SCHEMA_BYTES + 1)).expect_err("too long");
    assert_eq!(crate::model::Error::from(error).code, ErrorCode::SchemaParse);
}

#[test]
fn hostile_nesting_is_refused_and_long_chains_are_not() {
    let deep = |n: usize| format!("{}aaa{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(expression(&deep(limits::REWRITE_DEPTH)), "aaa");
    let alternating = |n: usize| format!("{}aaa{}", "(aaa + (aaa & ".repeat(n), "))".repeat(n));
    let minus = |n: usize| vec!["aaa"; n].join(" - ");
    assert!(parse(&with_expression(&minus(limits::REWRITE_DEPTH))).is_ok());
    for text in [
        deep(limits::REWRITE_DEPTH + 1),
        deep(100_000),
        "(".repeat(100_000),
        alternating(limits::REWRITE_DEPTH),
        minus(limits::REWRITE_DEPTH + 1),
        minus(100_000),
        format!("({}) - ({})", minus(limits::REWRITE_DEPTH), minus(limits::REWRITE_DEPTH)),
    ] {
        let error = parse(&with_expression(&text)).expect_err("nested too deep");
        assert!(error.message.contains("nested more than 128 deep"), "{error}");
    }
    let chain = |operator: &str| vec!["aaa"; 100_000].join(operator);
    assert!(parse(&with_expression(&chain(" + "))).is_ok());
    assert!(parse(&with_expression(&chain(" & "))).is_ok());
    assert!(parse(&with_expression(&vec!["((aaa))"; 1000].join(" + "))).is_ok(), "closed parentheses do not add up");
}

#[test]
fn a_long_chain_of_names_is_judged_without_recursion() {
    let count = 20_000;
    let permissions = |last: &str| {
        let links = (0..count - 1).map(|i| format!("permission p{i:05} = p{:05}\n", i + 1));
        format!("definition doc {{\n{}permission p{:05} = {last}\n}}", links.collect::<String>(), count - 1)
    };
    assert!(parse(&permissions("nil")).is_ok());
    assert!(parse(&permissions("p00000")).expect_err("a cycle").message.contains("in a cycle"));
    let relations = (0..count).map(|i| format!("relation r{i:05}: doc#r{:05}\n", (i + 1) % count));
    assert!(parse(&format!("definition doc {{\n{}}}", relations.collect::<String>())).is_ok());
}

/// Words that make deep and nearly valid texts likely.
const WORDS: &[&str] = &[
    "definition",
    "relation",
    "permission",
    "nil",
    "with",
    "caveat",
    "use",
    "self",
    "expiration",
    "partial",
    "import",
    "typechecking",
    "and",
    "odd(num int)",
    "{ num % 2 == 1 }",
    "\"",
    "'",
    "<",
    ">",
    ",",
    "doc",
    "user",
    "own",
    "top",
    "any",
    "all",
    "{",
    "}",
    "(",
    ")",
    "|",
    "+",
    "-",
    "&",
    "/",
    "=",
    ":",
    "->",
    "#",
    ".",
    "...",
    "*",
    ";",
    "\n",
    "\r\n",
    " ",
    "//",
    "/*",
    "*/",
    "é",
    "\u{0}",
    "\u{2028}",
    "1",
];

/// What a front end promises of every schema that it returns.
fn assert_sound(schema: &Schema) {
    for (name, definition) in &schema.definitions {
        assert_eq!(*name, definition.name);
        for member in definition.members.values() {
            match member {
                Member::Relation(relation) => {
                    assert!(!relation.allowed.is_empty());
                    for subject in &relation.allowed {
                        assert!(subject.caveat.as_ref().is_none_or(|caveat| schema.caveats.contains_key(caveat)));
                        let target = &schema.definitions[subject.subject.subject_type()];
                        if let AllowedSubject::Userset(_, relation) = &subject.subject {
                            assert!(target.members.contains_key(relation));
                        }
                    }
                }
                Member::Permission(permission) => {
                    for leaf in permission.rewrite.leaves() {
                        if let Rewrite::Computed(name) | Rewrite::Arrow { tupleset: name, .. } = leaf {
                            assert!(definition.members.contains_key(name));
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<Vec<u8>>()) {
        let _ = parse(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn no_soup_of_words_panics(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
        spaced in any::<bool>(),
    ) {
        if let Ok(schema) = parse(&words.join(if spaced { " " } else { "" })) {
            assert_sound(&schema);
        }
    }

    #[test]
    fn no_soup_inside_a_definition_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..12)) {
        let soup = words.join(" ");
        for text in [
            format!("definition doc {{\n{soup}\n}}"),
            format!("definition doc {{\nrelation own: {soup}\n}}"),
            format!("definition doc {{\nrelation own: doc\npermission top = {soup}\n}}"),
            format!("use partial\nuse expiration\nuse self\ndefinition doc {{\n...bit\n}}\npartial bit {{\n{soup}\n}}"),
            format!("caveat odd({soup}) {{ num == 1 }}"),
            format!("caveat odd(num int) {{ {soup} }}"),
        ] {
            match parse(&text) {
                Ok(schema) => assert_sound(&schema),
                Err(error) => prop_assert!(error.start.line >= 1 && error.end.column >= 1),
            }
        }
    }
}

/// Each arrow leads to every type that its left side allows, so a text of some kilobytes can ask for millions of ways.
#[test]
fn arrows_that_lead_too_many_ways_are_refused() {
    let names: Vec<_> = (0..1000).map(|n| format!("type{n:04}")).collect();
    let arrows = |count: usize| {
        let definitions: String = names.iter().map(|name| format!("definition {name} {{}}\n")).collect();
        let sum = vec!["all->view"; count].join(" + ");
        format!("{definitions}definition doc {{\n relation all: {}\n permission view = {sum}\n}}", names.join(" | "))
    };
    assert!(parse(&arrows(100)).is_ok());
    let error = parse(&arrows(101)).expect_err("too many ways");
    assert!(error.message.contains("100000 ways"), "{error}");
}

/// Partials can double what they bring with every line.
#[test]
fn partials_that_bring_too_much_are_refused() {
    let doubling: String = (1..60).map(|n| format!("partial bit{n} {{\n ...bit{0}\n ...bit{0}\n}}\n", n - 1)).collect();
    let text = |last: usize| {
        let base = "use partial\npartial bit0 {\n relation own: doc\n}\n";
        format!("{base}{doubling}definition doc {{\n ...bit{last}\n}}")
    };
    let error = parse(&text(0)).expect_err("the partials alone are too much");
    assert!(error.message.contains("bring more than 1000000 parts"), "{error}");
    let backwards: String = (0..5000).map(|n| format!("partial bit{n} {{\n ...bit{}\n}}\n", n + 1)).collect();
    let chain =
        format!("use partial\n{backwards}partial bit5000 {{\n relation own: doc\n}}\ndefinition doc {{ ...bit0\n}}");
    assert_eq!(parse(&chain).expect("long, and no more than that").definitions["doc"].members.len(), 1);
}

/// Each annotation asks for a walk through all that its permission refers to.
#[test]
fn annotations_that_take_too_long_are_refused() {
    let count = 5000;
    let links = (0..count).map(|i| format!("permission p{i:05}: doc = p{:05}\n", i + 1));
    let links: String = links.collect();
    let text = format!("use typechecking\ndefinition doc {{\n{links}relation p{count:05}: doc\n}}");
    let error = parse(&text).expect_err("too much work");
    assert!(error.message.contains("take too long to check"), "{error}");
}
