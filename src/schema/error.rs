//! Why a schema text is refused, and where. Knows nothing of any schema language.

use crate::model::{Error, ErrorCode};

/// How many characters of a hostile token a message repeats.
const SHOWN_CHARS: usize = 80;

/// Which check a schema text failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaErrorKind {
    /// The text does not follow the grammar or a naming rule, or it uses a feature that is not there.
    Parse,
    /// The text follows the grammar, but its parts do not fit together.
    Type,
}

/// A line and a character within it, both counted from 1; a tab is one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character.
    pub column: usize,
}

/// The first thing that is wrong with a schema text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema error at line {}, column {}: {message}", start.line, start.column)]
pub struct SchemaError {
    /// Which check failed.
    pub kind: SchemaErrorKind,
    /// Where what is wrong begins.
    pub start: Position,
    /// The last character of what is wrong; of a token that is out of place, the last one before it, as in SpiceDB.
    pub end: Position,
    /// The piece of the text that is to blame; may be empty.
    pub source_code: String,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// For programs: the names that the message speaks of.
    pub details: Vec<(&'static str, String)>,
}

impl SchemaError {
    /// A grammar error at byte `offset` of `text`.
    pub(super) fn parse(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self::at(SchemaErrorKind::Parse, text, offset, message.into())
    }

    /// A type error at byte `offset` of `text`.
    pub(super) fn type_check(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self::at(SchemaErrorKind::Type, text, offset, message.into())
    }

    /// The same error, with where it ends (the byte behind it) and the piece of text to blame.
    #[must_use]
    pub(super) fn with_source(mut self, text: &str, end: usize, source_code: impl Into<String>) -> Self {
        let last = text.get(..end).and_then(|before| before.char_indices().next_back());
        self.end = last.map_or(self.start, |(last, _)| position(text, last));
        self.source_code = shortened(source_code.into());
        self
    }

    /// The same error, with the names that it speaks of.
    #[must_use]
    pub(super) fn with_details(mut self, details: Vec<(&'static str, String)>) -> Self {
        self.details = details;
        self
    }

    fn at(kind: SchemaErrorKind, text: &str, offset: usize, message: String) -> Self {
        let start = position(text, offset);
        Self { kind, start, end: start, source_code: String::new(), message, details: Vec::new() }
    }
}

/// Lines are counted here and not while reading: only a refused text pays for them, once.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    Position { line, column }
}

/// A client gets no more of its own text back than a person would read.
fn shortened(mut text: String) -> String {
    const MOST: usize = 1000;
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        let (code, places) = match error.kind {
            // On the wire this range counts from 0, and a point in a type error from 1: SpiceDB does so.
            SchemaErrorKind::Parse => (
                ErrorCode::SchemaParse,
                vec![
                    ("start_line_number", error.start.line - 1),
                    ("start_column_position", error.start.column - 1),
                    ("end_line_number", error.end.line - 1),
                    ("end_column_position", error.end.column - 1),
                ],
            ),
            SchemaErrorKind::Type => (
                ErrorCode::SchemaType,
                vec![("line_number", error.start.line), ("column_position", error.start.column)],
            ),
        };
        let mut public = Self::new(code, error.to_string());
        public.details = places.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        public.details.push(("source_code", error.source_code));
        public.details.extend(error.details);
        public
    }
}

/// `text` in backticks, cut to what a person would read.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}…`", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "ab\n\té→x";
        let at = |offset| {
            let start = SchemaError::parse(text, offset, "m").start;
            (start.line, start.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 3));
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(4), (2, 2));
        assert_eq!(at(text.len() - 1), (2, 4));
        assert_eq!(at(text.len()), (2, 5));
    }

    #[test]
    fn the_public_error_keeps_kind_and_position() {
        let error = Error::from(SchemaError::type_check("a\nbc", 3, "what is wrong"));
        assert_eq!(error.code, ErrorCode::SchemaType);
        assert!(error.message.contains("line 2, column 2"), "{error}");
        assert!(error.message.contains("what is wrong"), "{error}");
        let error = Error::from(SchemaError::parse("a\nbcd", 3, "m").with_source("a\nbcd", 5, "cd"));
        assert_eq!(error.code, ErrorCode::SchemaParse);
        let details: Vec<_> = error.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            details.join(" "),
            "start_line_number=1 start_column_position=1 end_line_number=1 end_column_position=2 source_code=cd"
        );
    }

    #[test]
    fn long_tokens_are_cut() {
        assert_eq!(quoted("abc"), "`abc`");
        assert_eq!(quoted(&"é".repeat(1000)).chars().count(), SHOWN_CHARS + 3);
    }
}
