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

/// The first thing that is wrong with a schema text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema error at line {line}, column {column}: {message}")]
pub struct SchemaError {
    /// Which check failed.
    pub kind: SchemaErrorKind,
    /// The line, counted from 1.
    pub line: usize,
    /// The character within the line, counted from 1; a tab is one character.
    pub column: usize,
    /// What is wrong, and what to do about it.
    pub message: String,
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

    /// A refusal of something that the language has and this version does not.
    pub(super) fn unsupported(text: &str, offset: usize, feature: &str) -> Self {
        Self::parse(text, offset, format!("{feature} not supported by this version"))
    }

    // Lines are counted here and not while reading: only a refused text pays for them, once.
    fn at(kind: SchemaErrorKind, text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { kind, line, column, message }
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        // The detail names differ by kind on the wire, since SpiceDB gives a range for one and a point for the other.
        let (code, line, column) = match error.kind {
            SchemaErrorKind::Parse => (ErrorCode::SchemaParse, "start_line_number", "start_column_position"),
            SchemaErrorKind::Type => (ErrorCode::SchemaType, "line_number", "column_position"),
        };
        Self::new(code, error.to_string()).with(line, error.line).with(column, error.column)
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
            let error = SchemaError::parse(text, offset, "m");
            (error.line, error.column)
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
        assert_eq!(Error::from(SchemaError::parse("", 0, "m")).code, ErrorCode::SchemaParse);
    }

    #[test]
    fn long_tokens_are_cut() {
        assert_eq!(quoted("abc"), "`abc`");
        assert_eq!(quoted(&"é".repeat(1000)).chars().count(), SHOWN_CHARS + 3);
    }
}
