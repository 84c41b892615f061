//! What is refused, and where the error points.

use super::parse;
use crate::schema::SchemaErrorKind;

/// Refusals: text, kind, line, column, and a part of the message.
type Refusal = (&'static str, SchemaErrorKind, usize, usize, &'static str);

fn assert_refused(cases: &[Refusal]) {
    for (text, kind, line, column, fragment) in cases {
        let Err(error) = parse(text) else { panic!("not refused: {text}") };
        assert_eq!((error.kind, error.start.line, error.start.column), (*kind, *line, *column), "{text}: {error}");
        assert!(error.message.contains(fragment), "{text}: {error} lacks {fragment:?}");
    }
}

#[test]
fn what_breaks_the_grammar_is_refused_where_it_stands() {
    use SchemaErrorKind::Parse;
    assert_refused(&[
        ("foo", Parse, 1, 1, "expected `definition` or `caveat`, found `foo`"),
        ("definition", Parse, 1, 11, "expected a name, found the end of the text"),
        ("definition user", Parse, 1, 16, "expected `{`"),
        ("definition user {", Parse, 1, 18, "or `}`, found the end of the text"),
        ("definition user }", Parse, 1, 17, "expected `{`, found `}`"),
        ("definition user {}}", Parse, 1, 19, "expected `definition` or `caveat`, found `}`"),
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
        ("definition user {\n  permission own: user\n}", Parse, 2, 23, "expected `=`, found the end of the line"),
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
        ("definition user {}\ndefinition user {}", Parse, 2, 1, "the name `user` is given twice"),
    ]);
}

#[test]
fn features_are_asked_for_before_they_are_used() {
    use SchemaErrorKind::{Parse, Type};
    assert_refused(&[
        (
            "use foo\ndefinition user {}",
            Parse,
            1,
            5,
            "`foo` is no feature that a schema can use; there are: expiration",
        ),
        ("use deprecation", Parse, 1, 5, "`deprecation` is no feature"),
        ("use", Parse, 1, 4, "is no feature"),
        ("definition user {}\nuse expiration", Parse, 2, 5, "`use` must stand before all definitions and caveats"),
        ("caveat odd(num int) { num == 1 }\nuse self", Parse, 2, 5, "`use` must stand before"),
        ("definition user {\n relation own: user with expiration\n}", Type, 2, 16, "caveat `expiration` not found"),
        ("definition user {\n relation own: user with odd and expiration\n}", Parse, 2, 30, "found `and`"),
        ("use expiration\ndefinition user {\n relation expiration: user\n}", Parse, 3, 11, "found `expiration`"),
        (
            "use expiration\ndefinition user {\n relation own: user with expiration and odd\n}",
            Parse,
            3,
            37,
            "the caveat stands before the expiration",
        ),
        (
            "use expiration\ndefinition user {\n relation own: user with odd and bad\n}",
            Parse,
            3,
            34,
            "expected `expiration`",
        ),
        ("definition user {\n permission top = self\n}", Type, 2, 19, "`self` not found under definition `user`"),
        ("use self\ndefinition user {\n relation self: user\n}", Parse, 3, 11, "expected a name, found `self`"),
        ("use self\ndefinition user {\n permission top = self->own\n}", Parse, 3, 23, "found `->`"),
        ("partial bit {}", Parse, 1, 1, "or `use partial` before `partial`, found `partial`"),
        ("definition user {\n ...bit\n}", Parse, 2, 2, "there is no partial `bit`"),
        (
            "import \"a.zed\"",
            Parse,
            1,
            1,
            "expected `definition` or `caveat`, or `use import` before `import`, found `import`",
        ),
        ("use import\nimport \"a.zed\"", Parse, 2, 1, "`import` is not allowed here"),
        ("use import\nimport a", Parse, 2, 8, "expected a text in quotes, found `a`"),
        ("use import\nimport \"a\n\"", Parse, 2, 8, "not closed on its line"),
    ]);
}

#[test]
fn partials_must_be_there_and_not_go_round_in_circles() {
    use SchemaErrorKind::{Parse, Type};
    assert_refused(&[
        ("use partial\ndefinition user {\n ...one/two\n}", Parse, 3, 8, "found `/`"),
        (
            "use partial\npartial one {\n ...two\n}\npartial two {\n ...one\n}",
            Parse,
            3,
            2,
            "partial `one` needs partial `two`",
        ),
        ("use partial\npartial one {\n ...one\n}", Parse, 3, 2, "by a circle"),
        ("use partial\npartial one {\n ...two\n}", Parse, 3, 2, "which does not exist"),
        (
            "use partial\npartial one {\n relation own: user\n}\ndefinition user {\n ...one\n ...one\n}",
            Type,
            3,
            2,
            "`own` is defined twice under definition `user`",
        ),
        ("use partial\npartial one {}\ndefinition one {}", Parse, 3, 1, "the name `one` is given twice: a partial"),
        (
            "use partial\npartial one {\n relation own: nobody\n}\ndefinition user {\n ...one\n}",
            Type,
            3,
            16,
            "`nobody` not found",
        ),
    ]);
}

#[test]
fn caveats_are_refused_where_they_are_wrong() {
    use SchemaErrorKind::{Parse, Type};
    assert_refused(&[
        ("caveat odd() { 1 == 1 }", Parse, 1, 12, "expected a name, found `)`"),
        ("caveat odd(num) { true }", Parse, 1, 15, "expected a name, found `)`"),
        ("caveat odd(num int) { }", Parse, 1, 23, "expected the expression of the caveat, found `}`"),
        ("caveat odd(num int) { num == '}", Parse, 1, 30, "this quote is never closed"),
        ("caveat odd(num int) { num == 1", Parse, 1, 31, "expected `}` at the end of the caveat"),
        ("caveat odd(num int, num int) { num == 1 }", Parse, 1, 21, "`num` of caveat `odd` is defined twice"),
        ("caveat odd(num integer) { num == 1 }", Parse, 1, 12, "parameter `num` of caveat `odd`"),
        ("caveat odd(num list) { num == [1] }", Parse, 1, 12, "parameter `num` of caveat `odd`"),
        ("caveat odd(num list<int, int>) { num == [1] }", Parse, 1, 12, "parameter `num` of caveat `odd`"),
        ("caveat odd(num list<int) { num == [1] }", Parse, 1, 24, "expected `>`, found `)`"),
        ("caveat odd(num int) {\n  num ==\n   absent }", Parse, 3, 4, "of caveat `odd` is not valid"),
        ("caveat odd(num int) { num }", Parse, 1, 23, "must be a bool"),
        ("caveat odd(num int, off bool) { num == 1 }", Type, 1, 1, "off"),
        ("caveat odd(num int) { num == 1 }\ndefinition odd {}", Parse, 2, 1, "the name `odd` is given twice: a caveat"),
        ("definition odd {}\ncaveat odd(num int) { num == 1 }", Parse, 2, 1, "given twice: a definition"),
        ("caveat -odd(num int) { num == 1 }", Parse, 1, 8, "expected a name, found `-`"),
        ("caveat Odd/2/é(num int) { num == 1 }", Parse, 1, 8, "is not valid: a caveat is"),
        ("definition user {\n relation own: user with odd\n}", Type, 2, 16, "caveat `odd` not found"),
        (
            "caveat odd(num int) { num == 1 }\ndefinition user {\n relation own: user with odd | user | user with odd\n}",
            Type,
            3,
            39,
            "`user with odd` is allowed twice",
        ),
    ]);
}

#[test]
fn annotations_may_not_leave_out_a_type_where_types_are_checked() {
    use SchemaErrorKind::{Parse, Type};
    const BEFORE: &str = "definition user {}\ndefinition bot {}\ndefinition team {\n relation member: user | bot:*\n \
                          permission all = member\n}\n";
    let refused = |permission: &str| {
        let text =
            format!("use typechecking\n{BEFORE}definition doc {{\n relation own: team | user\n {permission}\n}}");
        parse(&text).expect_err(permission)
    };
    for (permission, left_out) in [
        ("permission top: user = own", "`team`"),
        ("permission top: user | team = own->all", "`bot`"),
        ("permission top: team | user = nil - own.all(member)", "`bot`"),
        ("permission top: absent = own & nil", "`team`"),
    ] {
        let error = refused(permission);
        assert_eq!((error.kind, error.start.line, error.start.column), (Type, 10, 2), "{permission}: {error}");
        assert!(error.message.contains(&format!("can end at {left_out}")), "{permission}: {error}");
    }
    let error = refused("permission top: a/user = nil");
    assert_eq!((error.kind, error.start.column), (Parse, 19), "types with a prefix have no place there: {error}");
    for fine in [
        "use typechecking\ndefinition doc {\n permission top: user = nil\n}",
        "use typechecking\nuse self\ndefinition doc {\n permission top: user = self\n}",
        "use typechecking\ndefinition doc {\n relation own: doc\n permission top: absent | doc = own->none + top\n}",
        // Without the feature an annotation means nothing.
        "definition doc {\n relation own: doc\n permission top: absent = own\n}",
    ] {
        assert!(parse(fine).is_ok(), "{fine}: {:?}", parse(fine));
    }
}

#[test]
fn the_range_and_the_names_of_an_error_are_those_that_spicedb_gives() {
    let shown = |text: &str| {
        let error = crate::model::Error::from(parse(text).expect_err(text));
        let details = error.details.into_iter().map(|(name, value)| format!("{name}={value}"));
        details.collect::<Vec<_>>().join(" ")
    };
    let range = |range: [usize; 4], source: &str| {
        let [line, column, end_line, end_column] = range;
        format!(
            "start_line_number={line} start_column_position={column} end_line_number={end_line} \
             end_column_position={end_column} source_code={source}"
        )
    };
    let cases = [
        // A token out of place: from it back to the end of the one before.
        ("definition user {\n  owner: user\n}", range([1, 2, 0, 16], "owner")),
        ("definition user {\n relation own: user + user\n}", range([1, 20, 1, 18], "+")),
        // A statement as a whole.
        ("definition user {}\ndefinition user {}", range([1, 0, 1, 17], "user")),
        ("use import\nimport \"foo.zed\"\ndefinition user {}", range([1, 0, 1, 15], "")),
        ("definition user {\n ...thing\n}", range([1, 1, 1, 8], "")),
        ("caveat foo(a int, a int) { a == 1 }", range([0, 18, 0, 22], "a")),
        ("caveat foo(a integer) { a == 1 }", range([0, 11, 0, 19], "a")),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
    let named = [
        ("definition doc {\n relation own: user\n}", "definition_name=user"),
        ("definition doc {\n relation own: doc#two\n}", "definition_name=doc relation_or_permission_name=two"),
        (
            "definition doc {\n relation own: doc\n relation own: doc\n}",
            "definition_name=doc relation_or_permission_name=own",
        ),
        (
            "definition doc {\n relation own: doc | doc:* | doc\n}",
            "definition_name=doc relation_name=own allowed_relation=doc",
        ),
        (
            "definition doc {\n relation own: doc\n permission one = own\n permission top = one->one\n}",
            "definition_name=doc permission_name=top used_permission_name=one",
        ),
        ("definition user {\n relation own: user with foo\n}", "caveat_name=foo"),
        ("caveat foo(a int, b int) { a == 1 }", "caveat_name=foo parameter_name=b"),
    ];
    for (text, expected) in named {
        assert!(shown(text).ends_with(expected), "{text}: {}", shown(text));
    }
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
