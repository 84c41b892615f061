//! From tokens to the tree, by recursive descent. This file holds the tokens and the names; statements, expressions and
//! caveats have their own.
//!
//! Invariants: recursion is bounded by [`limits::REWRITE_DEPTH`](crate::model::limits::REWRITE_DEPTH), and so is the depth of
//! every expression that is returned; a hostile text cannot exhaust a stack here or in whoever walks the result.

mod caveat;
mod expression;
mod statements;

use std::ops::Range;

use super::ast::{At, File};
use super::lexer::{Lexer, Token, TokenKind};
use crate::model::{CaveatName, NameError, RelationName, TypeName};
use crate::schema::SchemaError;
use crate::schema::error::quoted;

/// Reads a whole schema text.
pub(super) fn parse_text(text: &str) -> Result<File, SchemaError> {
    let mut lexer = Lexer::new(text);
    let current = lexer.next_token()?;
    Parser { text, lexer, current, end: 0, nesting: 0 }.file()
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    current: Token<'a>,
    /// Where the token before the current one ends.
    end: usize,
    /// Parentheses that are open.
    nesting: usize,
}

type Outcome<T> = Result<T, SchemaError>;

impl<'a> Parser<'a> {
    /// The comments before the current token.
    fn comment(&mut self) -> String {
        let comments = self.lexer.take_comments();
        self.doc(comments)
    }

    /// Comments one below the other, without the space around their lines.
    fn doc(&self, comments: Vec<(usize, usize)>) -> String {
        let trimmed = comments.into_iter().map(|(start, end)| {
            let lines = self.text[start..end].lines().map(str::trim);
            lines.collect::<Vec<_>>().join("\n")
        });
        trimmed.collect::<Vec<_>>().join("\n")
    }

    /// What `read` gives, with its place.
    fn placed<T>(&mut self, read: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<At<T>> {
        let start = self.current.offset;
        let value = read(self)?;
        Ok(At { value, place: start..self.end })
    }

    fn type_name(&mut self) -> Outcome<TypeName> {
        let path = self.placed(Self::path)?;
        self.valid(path, TypeName::new)
    }

    fn caveat_name(&mut self) -> Outcome<CaveatName> {
        let path = self.placed(Self::path)?;
        self.valid(path, CaveatName::new)
    }

    fn relation_name(&mut self) -> Outcome<RelationName> {
        let name = self.placed(Self::word)?;
        self.valid(name, RelationName::new)
    }

    fn valid<T>(&self, name: At<String>, check: fn(&str) -> Result<T, NameError>) -> Outcome<T> {
        check(&name.value).map_err(|error| self.refused(name.place, &name.value, error.to_string()))
    }

    /// Words with slashes between.
    fn path(&mut self) -> Outcome<String> {
        let mut path = self.word()?;
        while self.take(TokenKind::Slash)?.is_some() {
            path.push('/');
            path.push_str(&self.word()?);
        }
        Ok(path)
    }

    fn word(&mut self) -> Outcome<String> {
        Ok(self.expect(TokenKind::Identifier)?.text.to_owned())
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.current.kind == kind
    }

    /// The current token where it is of this kind, and moves on.
    fn take(&mut self, kind: TokenKind) -> Outcome<Option<Token<'a>>> {
        if self.at(kind) { self.advance().map(Some) } else { Ok(None) }
    }

    fn expect(&mut self, kind: TokenKind) -> Outcome<Token<'a>> {
        if self.at(kind) { self.advance() } else { Err(self.unexpected(kind.describe())) }
    }

    /// Moves on, and gives the token that was current.
    fn advance(&mut self) -> Outcome<Token<'a>> {
        let next = self.lexer.next_token()?;
        self.end = self.current.offset + self.current.text.len();
        Ok(std::mem::replace(&mut self.current, next))
    }

    /// The current token is not what belongs here.
    fn unexpected(&self, expected: &str) -> SchemaError {
        let found = match self.current.text {
            "" => "the end of the text".to_owned(),
            "\n" | "\r" => "the end of the line".to_owned(),
            text => quoted(text),
        };
        self.wrong(format!("expected {expected}, found {found}"))
    }

    /// The current token is wrong here. The range that is reported ends before it, as in SpiceDB.
    fn wrong(&self, message: impl Into<String>) -> SchemaError {
        SchemaError::parse(self.text, self.current.offset, message).with_source(
            self.text,
            self.end,
            self.current.text.to_owned(),
        )
    }

    /// What stands at `place` is wrong.
    fn refused(&self, place: Range<usize>, source: &str, message: impl Into<String>) -> SchemaError {
        SchemaError::parse(self.text, place.start, message).with_source(self.text, place.end, source.to_owned())
    }
}
