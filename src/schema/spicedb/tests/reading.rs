//! What is read, and as what.

use super::{expression, parse};
use crate::schema::Member;

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

/// The block under the key `schema` of a conformance file: it is the first key, and its lines are indented.
fn schema_block(yaml: &str) -> String {
    let lines = yaml.lines().skip_while(|line| !line.starts_with("schema:")).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_conformance_schemas_are_read() {
    const FOLDER: &str = "QUORATE_CONFORMANCE_DIR";
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("skipped: set {FOLDER} to a folder of conformance cases (*.yaml)");
        return;
    };
    let (mut read, mut refused) = (0, 0);
    for entry in std::fs::read_dir(&folder).expect("the folder is readable") {
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
