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
fn relations_allow_subjects_with_traits() {
    let text = "use expiration\ncaveat odd(num int) { num % 2 == 1 }\ndefinition user {\n
        relation own: user with odd | user | user with expiration | user:* with odd and expiration | user#own with odd\n}";
    let schema = parse(text).expect("valid");
    let Some(Member::Relation(relation)) = schema.member("user", "own") else { panic!("{schema:?}") };
    let allowed: Vec<_> = relation.allowed.iter().map(ToString::to_string).collect();
    let expected =
        ["user with odd", "user", "user with expiration", "user:* with odd and expiration", "user#own with odd"];
    assert_eq!(allowed, expected);
}

#[test]
fn caveats_keep_their_parameters_and_their_expression() {
    let text = "caveat Odd/one(num int, tags list<map< any >>, m map<int>,)";
    assert!(parse(text).is_err(), "a comma is followed by a parameter");
    let text =
        "caveat Odd/one(num int, tags list<map< any >>) {\n  // }\n  num % 2 == 1 && // why }\n    tags[0].a != '}'\n}";
    let schema = parse(text).expect("valid");
    let caveat = &schema.caveats["Odd/one"];
    let parameters: Vec<_> = caveat.parameters().iter().map(|(name, of)| format!("{name} {of}")).collect();
    assert_eq!(parameters, ["num int", "tags list<map<any>>"]);
    assert!(caveat.expression().starts_with("num %") && caveat.expression().ends_with("'}'"), "{caveat:?}");
}

#[test]
fn self_is_the_object_where_the_feature_is_on() {
    let text = "use self\ndefinition user {\n relation own: user\n permission top = (self + own) - own->top\n}";
    let schema = parse(text).expect("valid");
    let Some(Member::Permission(permission)) = schema.member("user", "top") else { panic!("{schema:?}") };
    assert_eq!(super::shown(&permission.rewrite), "((self + own) - own.any(top))");
}

#[test]
fn partials_are_put_where_they_are_named() {
    let text = "use partial
        definition user {}
        definition doc {
            ...more
            relation last: user
        }
        partial more {
            // before
            ...base
            permission top = own
        }
        // about base
        partial base {
            // about own
            relation own: user
        }
        definition other { ...base }";
    let schema = parse(text).expect("valid");
    let members = |name: &str| {
        let outline = &schema.outline.definitions[name];
        outline.members.iter().map(|(name, comment)| format!("{name}: {comment}")).collect::<Vec<_>>()
    };
    assert_eq!(members("doc"), ["own: // about own", "top: ", "last: "]);
    assert_eq!(members("other"), ["own: // about own"]);
    assert_eq!(schema.definitions["doc"].members.len(), 3);
}

#[test]
fn comments_belong_to_what_follows_them() {
    let text = "use self // lost
        // license

        /* about
           odd */
        caveat odd(num int) { num == 1 } // lost
        /** user */ definition user { // first
            //   about own
            relation own: user // lost
            ; // one
            /*two*/ permission top = own
            // lost
        } // lost

        definition bare {}";
    let outline = parse(text).expect("valid").outline;
    assert_eq!(outline.caveats["odd"], "// license\n/* about\nodd */");
    let user = &outline.definitions["user"];
    assert_eq!(user.comment, "/** user */");
    let comments: Vec<_> = user.members.iter().map(|(_, comment)| comment.as_str()).collect();
    assert_eq!(comments, ["// first\n//   about own", "// one\n/*two*/"]);
    assert_eq!(outline.definitions["bare"].comment, "");
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
        ("use self definition user {}", 1),
        ("use expiration\nuse expiration\ndefinition user {\n relation own: user:* with expiration\n}", 1),
        ("caveat expiration(num int) { num == 1 }\ndefinition user {\n relation own: user with expiration\n}", 1),
        ("caveat one(num int) { num == 1 } definition user {}", 1),
        ("use partial\npartial bit {\n relation own: nobody\n}\nuse self\ndefinition user {}", 1),
        ("use partial\npartial bit {\n relation own: user\n relation own: user\n}\ndefinition user {}", 1),
        // Of two partials with one name, the later one counts.
        (
            "use partial\npartial one {\n relation own: user\n}\npartial one {\n relation two: user\n}\n\
             definition user {\n ...one\n permission top = two\n}",
            1,
        ),
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
    let mut read = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        let text = schema_block(&std::fs::read_to_string(&path).expect("the file is readable"));
        match parse(&text) {
            Ok(schema) => assert!(!schema.definitions.is_empty(), "{}", path.display()),
            Err(error) => panic!("{}: {error}", path.display()),
        }
        read += 1;
    }
    println!("{read} schemas read");
    assert!(read > 0);
}
