//! What is refused, and where the error points.

use super::parse;
use crate::schema::SchemaErrorKind;

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
