//! Where the text of a caveat's expression ends: at the brace that closes the caveat. CEL is another language; all that must be
//! known of it here is what can hold a brace that closes nothing: texts in quotes, and comments.

use std::ops::Range;

/// Why there is no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte at which what is not closed begins.
    pub(super) offset: usize,
    pub(super) message: &'static str,
}

/// Where an expression stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// From its first character to its last, without the space and the comments around it.
    pub(super) expression: Range<usize>,
    /// The brace that closes the caveat.
    pub(super) close: usize,
}

/// Where the expression at the beginning of `text` stands.
pub(super) fn extent(text: &str) -> Result<Extent, Fault> {
    let mut expression: Option<Range<usize>> = None;
    let mut depth = 0_usize;
    let mut at = 0;
    // The word right before a quote says whether a backslash in it means anything.
    let mut word = 0..0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        match next {
            '{' => depth += 1,
            '}' if depth == 0 => return Ok(Extent { expression: expression.unwrap_or(at..at), close: at }),
            '}' => depth -= 1,
            '"' | '\'' => {
                let prefix = if word.end == at { &text[word.clone()] } else { "" };
                let start = expression.map_or(at, |known| known.start);
                at += quoted(rest, next, is_raw(prefix)).ok_or(Fault { offset: at, message: QUOTE })?;
                expression = Some(start..at);
                continue;
            }
            '/' if rest.starts_with("//") => {
                at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                continue;
            }
            '/' if rest.starts_with("/*") => {
                at += 4 + rest[2..].find("*/").ok_or(Fault { offset: at, message: COMMENT })?;
                continue;
            }
            _ => {}
        }
        let end = at + next.len_utf8();
        if next == '_' || next.is_alphanumeric() {
            word = if word.end == at { word.start..end } else { at..end };
        }
        if !next.is_whitespace() {
            expression = Some(expression.map_or(at, |known| known.start)..end);
        }
        at = end;
    }
    Err(Fault { offset: text.len(), message: BRACE })
}

const QUOTE: &str = "this quote is never closed";
const COMMENT: &str = "this comment is never closed: expected `*/`";
const BRACE: &str = "expected `}` at the end of the caveat, found the end of the text";

/// `r"…"`, `br"…"`: a backslash is an ordinary character.
fn is_raw(prefix: &str) -> bool {
    matches!(prefix, "r" | "R" | "br" | "bR" | "Br" | "BR" | "rb" | "rB" | "Rb" | "RB")
}

/// The length of the text in quotes at the beginning of `text`. Three quotes in a row open one of several lines.
fn quoted(text: &str, quote: char, raw: bool) -> Option<usize> {
    let inside = text.trim_start_matches(quote);
    let (opening, long) = match text.len() - inside.len() {
        // Two of six are a text of no characters in quotes of three.
        2 => return Some(2),
        6.. => return Some(6),
        1 => (1, false),
        _ => (3, true),
    };
    let mut at = opening;
    while let Some(next) = text[at..].chars().next() {
        if next == '\\' && !raw {
            at += 1 + text[at + 1..].chars().next()?.len_utf8();
        } else if next == quote && !long {
            return Some(at + 1);
        } else if next == quote && text[at..].chars().take(3).filter(|c| *c == quote).count() == 3 {
            return Some(at + 3);
        } else if !long && (next == '\n' || next == '\r') {
            return None;
        } else {
            at += next.len_utf8();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_ends_at_the_brace_that_closes_the_caveat() {
        let cases = [
            ("a == 1 } rest", "a == 1 "),
            ("}", ""),
            ("{'a': {}} == m }", "{'a': {}} == m "),
            ("a == '}' }", "a == '}' "),
            (r#"a == "}\"}" }"#, r#"a == "}\"}" "#),
            (r#"a == r"}\" }"#, r#"a == r"}\" "#),
            (r#"ar == "}\" }" }"#, r#"ar == "}\" }" "#),
            ("a == \"\"\"}\n\"}\"\"\" }", "a == \"\"\"}\n\"}\"\"\" "),
            ("a == '''}''' }", "a == '''}''' "),
            ("a == '' || b == '''''' }", "a == '' || b == '''''' "),
            ("a // }\n }", "a"),
            ("a /* } */ }", "a"),
            ("/* } */ // }\n a /* } */ + // }\n b // }\n}", "a /* } */ + // }\n b"),
            ("é == 'é}' }", "é == 'é}' "),
        ];
        for (text, expected) in cases {
            let Extent { expression, close } = extent(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!(&text[expression], expected.trim(), "{text}");
            assert!(text[close..].starts_with('}'), "{text}");
        }
    }

    #[test]
    fn what_is_never_closed_is_reported_where_it_begins() {
        let cases = [("a", 1), ("{ }", 3), ("a '", 2), ("a '\n' }", 2), ("a '\\", 2), ("a ''' }", 2), ("a /* }", 2)];
        for (text, offset) in cases {
            assert_eq!(extent(text).map_err(|fault| fault.offset), Err(offset), "{text}");
        }
    }
}
