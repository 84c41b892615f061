//! Tokens of the SpiceDB schema language, made on demand.
//!
//! Invariants: every token lies inside the text and begins where its offset says; the lexer always moves forward, so a text
//! of `n` bytes gives at most `n + 1` tokens. A newline ends a statement only after a token that can end one. Some words are
//! keywords only after the text has asked for their feature.

use super::expression_text::{self, Extent};
use super::features::{Feature, Features};
use crate::schema::SchemaError;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Identifier,
    Definition,
    Caveat,
    Relation,
    Permission,
    Nil,
    With,
    /// `expiration`, where the feature is on.
    Expiration,
    /// `and`, where expiration is on.
    AndWord,
    /// `self`, where the feature is on.
    Itself,
    /// `typechecking`, where the feature is on.
    Typechecking,
    /// `partial`, where the feature is on.
    Partial,
    /// `import`, where the feature is on.
    Import,
    /// A text in quotes, on one line.
    Quoted,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Pipe,
    Plus,
    Minus,
    And,
    Slash,
    Equals,
    Colon,
    Arrow,
    Hash,
    Period,
    Ellipsis,
    Star,
    Comma,
    Less,
    Greater,
    /// `;`, or a newline after a token that can end a statement.
    Terminator,
    End,
}

impl TokenKind {
    /// How a message calls it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Identifier => "a name",
            Self::Definition => "`definition`",
            Self::Caveat => "`caveat`",
            Self::Relation => "`relation`",
            Self::Permission => "`permission`",
            Self::Nil => "`nil`",
            Self::With => "`with`",
            Self::Expiration => "`expiration`",
            Self::AndWord => "`and`",
            Self::Itself => "`self`",
            Self::Typechecking => "`typechecking`",
            Self::Partial => "`partial`",
            Self::Import => "`import`",
            Self::Quoted => "a text in quotes",
            Self::LeftBrace => "`{`",
            Self::RightBrace => "`}`",
            Self::LeftParen => "`(`",
            Self::RightParen => "`)`",
            Self::Pipe => "`|`",
            Self::Plus => "`+`",
            Self::Minus => "`-`",
            Self::And => "`&`",
            Self::Slash => "`/`",
            Self::Equals => "`=`",
            Self::Colon => "`:`",
            Self::Arrow => "`->`",
            Self::Hash => "`#`",
            Self::Period => "`.`",
            Self::Ellipsis => "`...`",
            Self::Star => "`*`",
            Self::Comma => "`,`",
            Self::Less => "`<`",
            Self::Greater => "`>`",
            Self::Terminator => "the end of the statement",
            Self::End => "the end of the text",
        }
    }

    /// Whether a newline after this token ends the statement. `...` is not among them, as in SpiceDB.
    fn can_end_statement(self) -> bool {
        match self {
            Self::Identifier
            | Self::Definition
            | Self::Caveat
            | Self::Relation
            | Self::Permission
            | Self::Nil
            | Self::With
            | Self::Expiration
            | Self::AndWord
            | Self::Itself
            | Self::Typechecking
            | Self::Partial
            | Self::Import
            | Self::RightBrace
            | Self::RightParen
            | Self::Star => true,
            Self::Quoted
            | Self::LeftBrace
            | Self::LeftParen
            | Self::Pipe
            | Self::Plus
            | Self::Minus
            | Self::And
            | Self::Slash
            | Self::Equals
            | Self::Colon
            | Self::Arrow
            | Self::Hash
            | Self::Period
            | Self::Ellipsis
            | Self::Comma
            | Self::Less
            | Self::Greater
            | Self::Terminator
            | Self::End => false,
        }
    }
}

/// A token and where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    /// The last token given out: decides what a newline means.
    last: TokenKind,
    /// What the text has asked for so far.
    features: Features,
    /// Where the comments before the last token begin and end.
    comments: Vec<(usize, usize)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, offset: 0, last: TokenKind::Terminator, features: Features::default(), comments: Vec::new() }
    }

    /// From the next token on, the words of `feature` are keywords.
    pub(super) fn enable(&mut self, feature: Feature) {
        self.features.enable(feature);
    }

    /// What [`Lexer::enable`] was told.
    pub(super) fn features(&self) -> Features {
        self.features
    }

    /// The comments between the last token and the one before, each once.
    pub(super) fn take_comments(&mut self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.comments)
    }

    /// Right after the `{` of a caveat: where its expression begins and ends. The next token is the `}` behind it.
    pub(super) fn expression(&mut self) -> Result<(usize, usize), SchemaError> {
        let begin = self.offset;
        let Extent { expression, close } = expression_text::extent(&self.text[begin..])
            .map_err(|fault| SchemaError::parse(self.text, begin + fault.offset, fault.message))?;
        self.offset = begin + close;
        Ok((begin + expression.start, begin + expression.end))
    }

    /// The next token; [`TokenKind::End`] again and again at the end of the text.
    pub(super) fn next_token(&mut self) -> Result<Token<'a>, SchemaError> {
        self.comments.clear();
        loop {
            let rest = &self.text[self.offset..];
            let Some(first) = rest.chars().next() else {
                return Ok(self.token(TokenKind::End, 0));
            };
            match first {
                ' ' | '\t' => self.offset += 1,
                '\n' | '\r' if self.last.can_end_statement() => return Ok(self.token(TokenKind::Terminator, 1)),
                '\n' | '\r' => self.offset += 1,
                '/' if rest.starts_with("//") => self.comment(rest.find(['\n', '\r']).unwrap_or(rest.len())),
                '/' if rest.starts_with("/*") => self.skip_block_comment(rest)?,
                _ => return self.visible_token(first, rest),
            }
        }
    }

    fn skip_block_comment(&mut self, rest: &str) -> Result<(), SchemaError> {
        match rest[2..].find("*/") {
            Some(end) => {
                self.comment(2 + end + 2);
                Ok(())
            }
            None => Err(SchemaError::parse(self.text, self.offset, "this comment is never closed: expected `*/`")),
        }
    }

    fn comment(&mut self, length: usize) {
        self.comments.push((self.offset, self.offset + length));
        self.offset += length;
    }

    fn quoted(&mut self, quote: char, rest: &str) -> Result<(TokenKind, usize), SchemaError> {
        let inside = &rest[1..];
        match inside.find([quote, '\n', '\r']) {
            Some(end) if inside[end..].starts_with(quote) => Ok((TokenKind::Quoted, 1 + end + 1)),
            Some(_) | None => Err(SchemaError::parse(self.text, self.offset, "this quote is not closed on its line")),
        }
    }

    fn visible_token(&mut self, first: char, rest: &str) -> Result<Token<'a>, SchemaError> {
        let (kind, length) = match first {
            '{' => (TokenKind::LeftBrace, 1),
            '}' => (TokenKind::RightBrace, 1),
            '(' => (TokenKind::LeftParen, 1),
            ')' => (TokenKind::RightParen, 1),
            '|' => (TokenKind::Pipe, 1),
            '+' => (TokenKind::Plus, 1),
            '&' => (TokenKind::And, 1),
            '/' => (TokenKind::Slash, 1),
            '=' => (TokenKind::Equals, 1),
            ':' => (TokenKind::Colon, 1),
            ';' => (TokenKind::Terminator, 1),
            '#' => (TokenKind::Hash, 1),
            '*' => (TokenKind::Star, 1),
            ',' => (TokenKind::Comma, 1),
            '<' => (TokenKind::Less, 1),
            '>' => (TokenKind::Greater, 1),
            '"' | '\'' => self.quoted(first, rest)?,
            '-' if rest.starts_with("->") => (TokenKind::Arrow, 2),
            '-' => (TokenKind::Minus, 1),
            '.' if rest.starts_with("...") => (TokenKind::Ellipsis, 3),
            '.' => (TokenKind::Period, 1),
            letter if is_word(letter) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (word_kind(&rest[..length], self.features), length)
            }
            other => {
                let message = format!("unexpected character {other:?}: names are made of a-z, 0-9 and _");
                return Err(SchemaError::parse(self.text, self.offset, message));
            }
        };
        Ok(self.token(kind, length))
    }

    fn token(&mut self, kind: TokenKind, length: usize) -> Token<'a> {
        let offset = self.offset;
        self.offset += length;
        self.last = kind;
        Token { kind, text: &self.text[offset..self.offset], offset }
    }
}

/// Words are cut wider than names are allowed to be, so that a bad name is reported whole.
fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_kind(word: &str, features: Features) -> TokenKind {
    match word {
        "expiration" if features.has(Feature::Expiration) => TokenKind::Expiration,
        "and" if features.has(Feature::Expiration) => TokenKind::AndWord,
        "self" if features.has(Feature::Itself) => TokenKind::Itself,
        "typechecking" if features.has(Feature::Typechecking) => TokenKind::Typechecking,
        "partial" if features.has(Feature::Partial) => TokenKind::Partial,
        "import" if features.has(Feature::Import) => TokenKind::Import,
        "definition" => TokenKind::Definition,
        "caveat" => TokenKind::Caveat,
        "relation" => TokenKind::Relation,
        "permission" => TokenKind::Permission,
        "nil" => TokenKind::Nil,
        "with" => TokenKind::With,
        _ => TokenKind::Identifier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            let token = lexer.next_token().expect("a valid text");
            assert!(text[token.offset..].starts_with(token.text));
            found.push(token.kind);
            if token.kind == TokenKind::End {
                return found;
            }
        }
    }

    #[test]
    fn a_newline_ends_a_statement_only_where_one_can_end() {
        use TokenKind::{Colon, End, Identifier, Pipe, Relation, Star, Terminator};
        let cases: &[(&str, &[TokenKind])] = &[
            ("", &[End]),
            ("\n\r\n // c\n /* d\n */", &[End]),
            ("abc\n\n\ndef", &[Identifier, Terminator, Identifier, End]),
            ("abc // why\ndef", &[Identifier, Terminator, Identifier, End]),
            ("abc /* \n */ def", &[Identifier, Identifier, End]),
            (
                "relation abc:\n def |\n ghi:*\r\n",
                &[Relation, Identifier, Colon, Identifier, Pipe, Identifier, Colon, Star, Terminator, End],
            ),
            ("abc;\n", &[Identifier, Terminator, End]),
            ("...\n", &[TokenKind::Ellipsis, End]),
            (
                "a->b-c.d",
                &[
                    Identifier,
                    TokenKind::Arrow,
                    Identifier,
                    TokenKind::Minus,
                    Identifier,
                    TokenKind::Period,
                    Identifier,
                    End,
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(kinds(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_reported_where_it_stands() {
        for (text, column) in [("abc $", 5), ("é \"", 3), ("ab /* ", 4), ("ab\u{a0}", 3)] {
            let mut lexer = Lexer::new(text);
            let error = loop {
                match lexer.next_token() {
                    Ok(token) => assert_ne!(token.kind, TokenKind::End, "{text:?}"),
                    Err(error) => break error,
                }
            };
            assert_eq!((error.start.line, error.start.column), (1, column), "{text:?}");
        }
    }
}
