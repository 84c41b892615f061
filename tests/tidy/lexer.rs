//! Rust sources as words and marks: enough to see paths and braces, with comments, strings and character literals left out.
//!
//! Not a Rust parser: it need not understand what it passes over.

/// A piece of source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier, a keyword or a number.
    Word(&'a str),
    /// `::`
    Colons,
    /// Any other single character that is not blank.
    Mark(char),
}

/// A token and the line that it stands on, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) line: usize,
}

/// All tokens of `text`.
pub(crate) fn tokens(text: &str) -> Vec<Placed<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (token, length) = next_token(rest, first);
        if let Some(token) = token {
            found.push(Placed { token, line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The token at the beginning of `rest`, if there is one, and how many bytes to go on by.
fn next_token(rest: &str, first: char) -> (Option<Token<'_>>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some(length) = string_literal(rest) {
        return (None, length);
    }
    if first == '\'' {
        return (None, character_or_lifetime(rest));
    }
    if rest.starts_with("::") {
        return (Some(Token::Colons), 2);
    }
    if first.is_alphanumeric() || first == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return (Some(Token::Word(&rest[..length])), length);
    }
    let token = (!first.is_whitespace()).then_some(Token::Mark(first));
    (token, first.len_utf8())
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string literal that `rest` begins with: `"…"`, `b"…"`, `c"…"`, `r#"…"#` and their like.
fn string_literal(rest: &str) -> Option<usize> {
    let prefix = rest.bytes().take(3).position(|b| b == b'"' || b == b'#')?;
    if !["", "b", "c", "r", "br", "cr"].contains(&&rest[..prefix]) {
        return None;
    }
    let raw = rest[..prefix].ends_with('r');
    let hashes = rest[prefix..].bytes().take_while(|b| *b == b'#').count();
    let open = prefix + hashes;
    if !rest[open..].starts_with('"') || (hashes > 0 && !raw) {
        return None;
    }
    let body = &rest[open + 1..];
    let length = if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        body.find(&end).map_or(body.len(), |at| at + end.len())
    } else {
        escaped_until(body, b'"')
    };
    Some(open + 1 + length)
}

/// How many bytes of `body` there are up to and including the first unescaped `end`.
fn escaped_until(body: &str, end: u8) -> usize {
    let bytes = body.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != end {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// `'x'` and `'\n'` are passed over whole, of a lifetime only the quote.
fn character_or_lifetime(rest: &str) -> usize {
    let body = &rest[1..];
    let Some(first) = body.chars().next() else { return 1 };
    if first == '\\' || body[first.len_utf8()..].starts_with('\'') { 1 + escaped_until(body, b'\'') } else { 1 }
}

#[test]
fn comments_strings_and_characters_are_left_out() {
    let words = |text| -> Vec<String> {
        let word = |placed: &Placed<'_>| match placed.token {
            Token::Word(word) => Some(word.to_owned()),
            Token::Colons | Token::Mark(_) => None,
        };
        tokens(text).iter().filter_map(word).collect()
    };
    assert_eq!(words("one // two\nthree"), ["one", "three"]);
    assert_eq!(words("one /* two /* three */ four */ five"), ["one", "five"]);
    assert_eq!(words(r#"one "two \" three" four"#), ["one", "four"]);
    assert_eq!(words(r##"one r#"two " three"# b"x" four"##), ["one", "four"]);
    assert_eq!(words(r"'a' '\'' one fn two<'three>"), ["one", "fn", "two", "three"]);
    assert_eq!(words("#[attr] r#type"), ["attr", "r", "type"]);
    assert_eq!(tokens("a\n\nb::c")[1], Placed { token: Token::Word("b"), line: 3 });
}
