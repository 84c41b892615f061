//! Tests of the SpiceDB front end: what it reads, what it refuses and where.

use std::path::Path;

use proptest::prelude::*;

use super::parse;
use crate::model::{ErrorCode, limits};
use crate::schema::{AllowedSubject, ArrowKind, Member, Rewrite, Schema, SchemaErrorKind};

/// A rewrite with every operator in parentheses, so that a comparison of texts is one of trees.
fn shown(rewrite: &Rewrite) -> String {
    let joined = |operands: &[Rewrite], operator: &str| {
        format!("({})", operands.iter().map(shown).collect::<Vec<_>>().join(operator))
    };
    match rewrite {
        Rewrite::Nil => "nil".to_owned(),
        Rewrite::Computed(name) => name.to_string(),
        Rewrite::Arrow { tupleset, target, kind: ArrowKind::Any } => format!("{tupleset}.any({target})"),
        Rewrite::Arrow { tupleset, target, kind: ArrowKind::All } => format!("{tupleset}.all({target})"),
        Rewrite::Union(operands) => joined(operands, " + "),
        Rewrite::Intersection(operands) => joined(operands, " & "),
        Rewrite::Exclusion(base, removed) => format!("({} - {})", shown(base), shown(removed)),
    }
}

/// A schema in which `permission top` has the given expression and `aaa` to `ddd` are relations.
fn with_expression(expression: &str) -> String {
    let relations = ["aaa", "bbb", "ccc", "ddd"].map(|name| format!("relation {name}: user | doc\n"));
    format!("definition user {{}}\ndefinition doc {{\n{}permission top = {expression}\n}}", relations.concat())
}

fn expression(text: &str) -> String {
    let schema = parse(&with_expression(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    match schema.member("doc", "top") {
        Some(Member::Permission(permission)) => shown(&permission.rewrite),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn operators_bind_and_associate_as_in_spicedb() {
    let cases = [
        ("aaa", "aaa"),
        ("nil", "nil"),
        ("aaa + nil", "(aaa + nil)"),
        ("aaa - bbb + ccc", "(aaa - (bbb + ccc))"),
        ("aaa + bbb - ccc", "((aaa + bbb) - ccc)"),
        ("aaa & bbb + ccc", "(aaa & (bbb + ccc))"),
        ("aaa + bbb & ccc", "((aaa + bbb) & ccc)"),
        ("aaa - bbb & ccc", "(aaa - (bbb & ccc))"),
        ("aaa & bbb - ccc & ddd", "((aaa & bbb) - (ccc & ddd))"),
        ("aaa - bbb - ccc", "((aaa - bbb) - ccc)"),
        ("aaa - (bbb - ccc)", "(aaa - (bbb - ccc))"),
        ("aaa - bbb - ccc - ddd", "(((aaa - bbb) - ccc) - ddd)"),
        ("aaa + bbb + ccc", "(aaa + bbb + ccc)"),
        ("(aaa + bbb) + (ccc + ddd)", "(aaa + bbb + ccc + ddd)"),
        ("aaa + (bbb + (ccc + ddd))", "(aaa + bbb + ccc + ddd)"),
        ("aaa & (bbb & ccc)", "(aaa & bbb & ccc)"),
        ("aaa + (bbb & ccc)", "(aaa + (bbb & ccc))"),
        ("((aaa))", "aaa"),
        ("aaa->top", "aaa.any(top)"),
        ("aaa.any(top)", "aaa.any(top)"),
        ("aaa.all(top) + bbb", "(aaa.all(top) + bbb)"),
        ("aaa->bbb - ccc->ddd + aaa", "(aaa.any(bbb) - (ccc.any(ddd) + aaa))"),
        ("aaa->nowhere", "aaa.any(nowhere)"),
        ("aaa +\n bbb +\n\n // why\n ccc", "(aaa + bbb + ccc)"),
        ("( aaa /* all */ + bbb )", "(aaa + bbb)"),
        ("aaa->any + bbb.all(all)", "(aaa.any(any) + bbb.all(all))"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
}

#[test]
fn relations_allow_objects_wildcards_and_usersets() {
    let text = "definition org/team/user {}
        definition doc {
            relation viewer: org/team/user | org / team / user:* | doc#viewer |
                doc#view;
            relation other: org/team/user#...; permission view = viewer
        }";
    let schema = parse(text).expect("valid");
    let kinds = |name: &str| match schema.member("doc", name) {
        Some(Member::Relation(relation)) => relation.allowed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kinds("viewer"), ["org/team/user", "org/team/user:*", "doc#viewer", "doc#view"]);
    assert_eq!(kinds("other"), ["org/team/user"]);
    assert!(matches!(schema.member("doc", "view"), Some(Member::Permission(_))));
}

#[test]
fn texts_that_spicedb_reads_are_read() {
    let cases = [
        ("", 0),
        ("\n // nothing\n /* at all */ \r\n", 0),
        ("definition user {}", 1),
        ("definition user {};;\ndefinition team {\n}\n", 2),
        ("definition user {} definition team {}", 2),
        ("definition user {\n;;\n}", 1),
        ("definition user {\n relation self: user\n permission top = self\n}", 1),
        ("definition use {}\ndefinition partial {}\ndefinition import {}", 3),
        ("definition use {\r\n\trelation import: partial\r\n}\r\ndefinition partial {}\r\n", 2),
        // On one line: a statement ends before the brace. More than SpiceDB accepts.
        ("definition user { relation friend: user }", 1),
        // A cycle through an operator is none of aliases only.
        ("definition doc {\n relation own: doc\n permission one = two + own\n permission two = one\n}", 1),
        ("definition doc {\n relation own: doc\n permission one = own->one\n}", 1),
        // A type may include its own wildcards.
        ("definition user {\n relation friend: user:* | user#friend\n}", 1),
        // Permissions are not followed when wildcards are looked for.
        (
            "definition user {}\ndefinition team {\n relation any: user:*\n permission member = any\n}\n
             definition doc {\n relation viewer: team#member\n permission view = viewer->member\n}",
            3,
        ),
    ];
    for (text, definitions) in cases {
        match parse(text) {
            Ok(schema) => assert_eq!(schema.definitions.len(), definitions, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

/// Refusals: text, kind, line, column, and a part of the message.
type Refusal = (&'static str, SchemaErrorKind, usize, usize, &'static str);

fn assert_refused(cases: &[Refusal]) {
    for (text, kind, line, column, fragment) in cases {
        let Err(error) = parse(text) else { panic!("not refused: {text}") };
        assert_eq!((error.kind, error.line, error.column), (*kind, *line, *column), "{text}: {error}");
        assert!(error.message.contains(fragment), "{text}: {error} lacks {fragment:?}");
    }
}

#[test]
fn what_breaks_the_grammar_is_refused_where_it_stands() {
    use SchemaErrorKind::Parse;
    assert_refused(&[
        ("foo", Parse, 1, 1, "expected `definition`, found `foo`"),
        ("definition", Parse, 1, 11, "expected a name, found the end of the text"),
        ("definition user", Parse, 1, 16, "expected `{`"),
        ("definition user {", Parse, 1, 18, "or `}`, found the end of the text"),
        ("definition user }", Parse, 1, 17, "expected `{`, found `}`"),
        ("definition user {}}", Parse, 1, 19, "expected `definition`, found `}`"),
        ("definition relation {}", Parse, 1, 12, "expected a name, found `relation`"),
        ("definition User {}", Parse, 1, 12, "\"User\""),
        ("definition us {}", Parse, 1, 12, "\"us\""),
        ("definition org/ {}", Parse, 1, 17, "expected a name, found `{`"),
        ("definition org/U {}", Parse, 1, 12, "\"org/U\""),
        ("definition user_ {}", Parse, 1, 12, "\"user_\""),
        ("definition us$er {}", Parse, 1, 14, "'$'"),
        ("definition user {\n  owner: user\n}", Parse, 2, 3, "expected `relation`, `permission` or `}`"),
        ("definition user {\n  relation ab: user\n}", Parse, 2, 12, "\"ab\""),
        ("definition user {\n  relation nil: user\n}", Parse, 2, 12, "expected a name, found `nil`"),
        ("definition user {\n  relation org/own: user\n}", Parse, 2, 15, "expected `:`, found `/`"),
        ("definition user {\n  relation own\n}", Parse, 2, 15, "expected `:`, found the end of the line"),
        ("definition user {\n  relation own:\n}", Parse, 3, 1, "expected a name, found `}`"),
        ("definition user {\n  relation own: user |\n}", Parse, 3, 1, "expected a name, found `}`"),
        ("definition user {\n  relation own: user:ann\n}", Parse, 2, 22, "expected `*`, found `ann`"),
        ("definition user {\n  relation own: user#*\n}", Parse, 2, 22, "expected a name, found `*`"),
        ("definition user {\n  relation own: user + user\n}", Parse, 2, 22, "expected the end of the statement"),
        ("definition user {\n  relation own: user#...\n  relation two: user\n}", Parse, 3, 3, "end of the statement"),
        ("definition user {\n  relation own: user relation two: user\n}", Parse, 2, 22, "end of the statement"),
        ("definition user {\n  permission own: user\n}", Parse, 2, 17, "type annotations"),
        ("definition user {\n  permission own =\n}", Parse, 3, 1, "expected a relation, a permission, `nil` or `(`"),
        ("definition user {\n  permission own = own +\n}", Parse, 3, 1, "expected a relation"),
        ("definition user {\n  permission own = one\n   + two\n}", Parse, 3, 4, "found `+`"),
        ("definition user {\n  permission own = (own\n}", Parse, 2, 24, "expected `)`, found the end of the line"),
        ("definition user {\n  permission own = own)\n}", Parse, 2, 23, "found `)`"),
        ("definition user {\n  permission own = own->\n}", Parse, 3, 1, "expected a name"),
        ("definition user {\n  permission own = own->(two)\n}", Parse, 2, 25, "expected a name, found `(`"),
        ("definition user {\n  permission own = (own)->two\n}", Parse, 2, 25, "found `->`"),
        ("definition user {\n  permission own = nil->two\n}", Parse, 2, 23, "found `->`"),
        (
            "definition user {\n  permission own = own.some(two)\n}",
            Parse,
            2,
            24,
            "expected `any` or `all`, found `some`",
        ),
        ("definition user {\n  permission own = own.any(two + one)\n}", Parse, 2, 32, "expected `)`, found `+`"),
        ("definition user {\n  permission own = one->two->six\n}", Parse, 2, 28, "nested arrows"),
        ("definition user {\n  permission own = one.all(two)->six\n}", Parse, 2, 32, "nested arrows"),
        ("definition user {\n /* never closed\n}", Parse, 2, 2, "never closed"),
        ("definition user {}\ndefinition user {}", Parse, 2, 1, "definition `user` is defined twice"),
    ]);
}

#[test]
fn what_this_version_lacks_is_refused_by_name() {
    use SchemaErrorKind::Parse;
    assert_refused(&[
        ("caveat odd(n int) {\n n % 2 == 1\n}", Parse, 1, 1, "`caveat` definitions are not supported by this version"),
        ("definition user {}\n\ncaveat odd(n int) { n == 1 }", Parse, 3, 1, "`caveat` definitions"),
        ("use expiration\ndefinition user {}", Parse, 1, 1, "`use expiration` is not supported by this version"),
        ("use typechecking", Parse, 1, 1, "`use typechecking`"),
        ("use self", Parse, 1, 1, "`use self`"),
        ("use partial", Parse, 1, 1, "`use partial`"),
        ("use import", Parse, 1, 1, "`use import`"),
        ("\n  use anything", Parse, 2, 3, "`use anything`"),
        ("use", Parse, 1, 1, "`use`"),
        ("import \"users.zed\"", Parse, 1, 1, "`import` is not supported by this version"),
        ("partial view {\n}", Parse, 1, 1, "`partial` is not supported by this version"),
        ("definition user {\n  ...view\n}", Parse, 2, 3, "`partial` are not supported by this version"),
        ("definition user {\n relation own: user with odd\n}", Parse, 2, 21, "caveats (`with odd`) are not supported"),
        ("definition user {\n relation own: user:* with org/odd\n}", Parse, 2, 23, "caveats (`with org`)"),
        (
            "definition user {\n relation own: user with expiration\n}",
            Parse,
            2,
            21,
            "(`with expiration`) are not supported",
        ),
        ("definition user {\n relation own: user with odd and expiration\n}", Parse, 2, 21, "caveats (`with odd`)"),
        (
            "definition user {\n relation own: user\n permission top = own + self\n}",
            Parse,
            3,
            25,
            "`self` is not supported",
        ),
        ("definition user {\n permission own: user = nil\n}", Parse, 2, 16, "type annotations on permissions are not"),
    ]);
}

#[test]
fn parts_that_do_not_fit_together_are_refused_where_they_stand() {
    use SchemaErrorKind::Type;
    assert_refused(&[
        ("definition doc {\n relation own: user\n}", Type, 2, 16, "`user` not found"),
        ("definition doc {\n relation own: doc | user:*\n}", Type, 2, 22, "`user` not found"),
        ("definition doc {\n relation own: doc#two\n}", Type, 2, 16, "`two` not found under definition `doc`"),
        (
            "definition user {}\ndefinition doc {\n relation own: doc | user#two\n}",
            Type,
            3,
            22,
            "`two` not found under definition `user`",
        ),
        ("definition doc {\n relation own: doc\n relation own: doc\n}", Type, 3, 2, "`own` is defined twice under"),
        ("definition doc {\n relation own: doc\n permission own = nil\n}", Type, 3, 2, "`own` is defined twice under"),
        ("definition doc {\n relation own: doc | doc:* | doc\n}", Type, 2, 30, "`doc` is allowed twice"),
        ("definition doc {\n relation own: doc | doc#...\n}", Type, 2, 22, "`doc` is allowed twice"),
        ("definition doc {\n relation own: doc#own | doc#own\n}", Type, 2, 26, "`doc#own` is allowed twice"),
        (
            "definition doc {\n relation own: doc\n permission top = own + (nil - two)\n}",
            Type,
            3,
            32,
            "`two` not found under definition `doc`",
        ),
        ("definition doc {\n permission top = own->top\n}", Type, 2, 19, "`own` not found under definition `doc`"),
        (
            "definition doc {\n relation own: doc\n permission one = own\n permission top = one->one\n}",
            Type,
            4,
            19,
            "permission `one` is on the left of an arrow",
        ),
        (
            "definition doc {\n relation own: doc | doc:*\n permission top = nil & own.all(top)\n}",
            Type,
            3,
            25,
            "relation `own` is on the left of an arrow",
        ),
        (
            "definition doc {\n relation all: doc:*\n relation own: doc#all\n permission top = own->top\n}",
            Type,
            4,
            19,
            "by way of `doc#all`",
        ),
        (
            "definition team {\n relation all: team:*\n}\ndefinition doc {\n relation own: team#all\n}",
            Type,
            5,
            16,
            "allows `team#all`, which includes a wildcard by way of `team#all`",
        ),
        (
            "definition team {\n relation all: team:*\n relation some: team#all\n}\n
definition doc {\n relation own: doc | team#some\n}",
            Type,
            7,
            22,
            "allows `team#some`, which includes a wildcard by way of `team#all`",
        ),
        ("definition doc {\n permission one = one\n}", Type, 2, 2, "in a cycle: `one`"),
        ("definition doc {\n permission one = ((one))\n}", Type, 2, 2, "in a cycle: `one`"),
        (
            "definition doc {\n permission top = one\n permission one = two\n permission two = one\n}",
            Type,
            3,
            2,
            "in a cycle: `one`, `two`",
        ),
        // The first in the text, not in the order of names.
        ("definition two {\n relation own: six\n}\ndefinition one {\n relation own: ten\n}", Type, 2, 16, "`six`"),
    ]);
}

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
                        let target = &schema.definitions[subject.subject_type()];
                        if let AllowedSubject::Userset(_, relation) = subject {
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
        ] {
            match parse(&text) {
                Ok(schema) => assert_sound(&schema),
                Err(error) => prop_assert!(error.line >= 1 && error.column >= 1),
            }
        }
    }
}

/// The block under the key `schema` of a conformance file: it is the first key, and its lines are indented.
fn schema_block(yaml: &str) -> String {
    let lines = yaml.lines().skip_while(|line| !line.starts_with("schema:")).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_conformance_schemas_are_read() {
    const FOLDER: &str = "QUORATE_CONFORMANCE_DIR";
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("skipped: set {FOLDER} to the folder that holds spicedb/*.yaml");
        return;
    };
    let (mut read, mut refused) = (0, 0);
    for entry in std::fs::read_dir(Path::new(&folder).join("spicedb")).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        let text = schema_block(&std::fs::read_to_string(&path).expect("the file is readable"));
        let needs_more = ["caveat ", " with ", "use "].iter().any(|word| text.contains(word));
        match parse(&text) {
            Ok(schema) => {
                assert!(!needs_more && !schema.definitions.is_empty(), "{}", path.display());
                read += 1;
            }
            Err(error) => {
                let expected = needs_more && error.message.contains("not supported by this version");
                assert!(expected, "{}: {error}", path.display());
                refused += 1;
            }
        }
    }
    println!("{read} schemas read, {refused} refused for what this version lacks");
    assert!(read > 0);
}
