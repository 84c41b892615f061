//! The statements of a text: features, definitions, partials, imports, and what stands inside of them.

use super::super::ast::{At, Block, Expr, File, Item, MemberBody, MemberNode, Statement, StatementKind};
use super::super::features::Feature;
use super::super::lexer::TokenKind;
use super::{Outcome, Parser};
use crate::schema::error::quoted;
use crate::schema::{Allowed, AllowedSubject};

impl Parser<'_> {
    pub(super) fn file(mut self) -> Outcome<File> {
        let mut statements: Vec<Statement> = Vec::new();
        // Features cannot be asked for any more.
        let mut settled = false;
        while !self.at(TokenKind::End) {
            if self.take(TokenKind::Terminator)?.is_some() {
                continue;
            }
            if self.at(TokenKind::Identifier) && self.current.text == "use" {
                self.feature(settled)?;
                continue;
            }
            let comments = self.lexer.take_comments();
            let lead = comments.first().map_or(self.current.offset, |(start, _)| *start);
            let comment = self.doc(comments);
            let start = self.current.offset;
            let kind = match self.current.kind {
                TokenKind::Definition => {
                    settled = true;
                    self.advance()?;
                    StatementKind::Definition(self.type_name()?, self.block(comment)?)
                }
                TokenKind::Caveat => {
                    settled = true;
                    StatementKind::Caveat(self.caveat(comment)?)
                }
                TokenKind::Partial => {
                    self.advance()?;
                    StatementKind::Partial(self.path()?, self.block(comment)?)
                }
                TokenKind::Import => {
                    self.advance()?;
                    StatementKind::Import(self.import_path()?)
                }
                TokenKind::Identifier if Feature::begins_statement(self.current.text) => {
                    let word = self.current.text;
                    return Err(self.unexpected(&format!("`definition` or `caveat`, or `use {word}` before `{word}`")));
                }
                _ => return Err(self.unexpected("`definition` or `caveat`")),
            };
            statements.push(Statement { kind, place: start..self.end, lead });
        }
        Ok(File { features: self.lexer.features(), statements })
    }

    fn feature(&mut self, settled: bool) -> Outcome<()> {
        self.advance()?;
        let Some(feature) = Feature::of_word(self.current.text) else {
            let message = format!(
                "{} is no feature that a schema can use; there are: {}",
                quoted(self.current.text.trim()),
                Feature::words()
            );
            return Err(self.wrong(message));
        };
        if settled {
            return Err(self.wrong("`use` must stand before all definitions and caveats"));
        }
        // The word itself is read already, so only the words behind it become keywords.
        self.lexer.enable(feature);
        self.advance()?;
        Ok(())
    }

    fn import_path(&mut self) -> Outcome<At<String>> {
        let path = self.expect(TokenKind::Quoted)?;
        let value = path.text[1..path.text.len() - 1].to_owned();
        Ok(At { value, place: path.offset..self.end })
    }

    fn block(&mut self, comment: String) -> Outcome<Block> {
        self.expect(TokenKind::LeftBrace)?;
        let mut items = Vec::new();
        while self.take(TokenKind::RightBrace)?.is_none() {
            if self.at(TokenKind::Relation) {
                items.push(Item::Member(self.relation()?));
            } else if self.at(TokenKind::Permission) {
                items.push(Item::Member(self.permission()?));
            } else if self.at(TokenKind::Ellipsis) {
                let start = self.advance()?.offset;
                let value = self.word()?;
                let place = start..self.end;
                self.statement_end()?;
                items.push(Item::Splice(At { value, place }));
            } else if self.take(TokenKind::Terminator)?.is_none() {
                return Err(self.unexpected("`relation`, `permission` or `}`"));
            }
        }
        Ok(Block { comment, items })
    }

    fn relation(&mut self) -> Outcome<MemberNode> {
        let comment = self.comment();
        let start = self.advance()?.offset;
        let name = self.relation_name()?;
        self.expect(TokenKind::Colon)?;
        let mut allowed = vec![self.placed(Self::allowed)?];
        while self.take(TokenKind::Pipe)?.is_some() {
            allowed.push(self.placed(Self::allowed)?);
        }
        let name = At { value: name, place: start..self.end };
        self.statement_end()?;
        Ok(MemberNode { name, comment, body: MemberBody::Relation(allowed) })
    }

    fn permission(&mut self) -> Outcome<MemberNode> {
        let comment = self.comment();
        let start = self.advance()?.offset;
        let name = self.relation_name()?;
        let annotation = if self.take(TokenKind::Colon)?.is_some() { Some(self.annotation()?) } else { None };
        self.expect(TokenKind::Equals)?;
        let expr: Expr = self.expression()?.expr;
        let name = At { value: name, place: start..self.end };
        self.statement_end()?;
        Ok(MemberNode { name, comment, body: MemberBody::Permission { annotation, expr } })
    }

    /// Words only: a type with a prefix cannot be named here, as in SpiceDB.
    fn annotation(&mut self) -> Outcome<Vec<String>> {
        let mut types = vec![self.word()?];
        while self.take(TokenKind::Pipe)?.is_some() {
            types.push(self.word()?);
        }
        Ok(types)
    }

    /// A statement also ends before `}`, so that a definition fits on one line.
    fn statement_end(&mut self) -> Outcome<()> {
        if self.at(TokenKind::RightBrace) || self.take(TokenKind::Terminator)?.is_some() {
            return Ok(());
        }
        Err(self.unexpected("the end of the statement (a new line or `;`)"))
    }

    fn allowed(&mut self) -> Outcome<Allowed> {
        let subject_type = self.type_name()?;
        let subject = if self.take(TokenKind::Colon)?.is_some() {
            self.expect(TokenKind::Star)?;
            AllowedSubject::Wildcard(subject_type)
        } else if self.take(TokenKind::Hash)?.is_none() || self.take(TokenKind::Ellipsis)?.is_some() {
            AllowedSubject::Direct(subject_type)
        } else {
            AllowedSubject::Userset(subject_type, self.relation_name()?)
        };
        let mut allowed = Allowed::plain(subject);
        if self.take(TokenKind::With)?.is_some() {
            if !self.at(TokenKind::Expiration) {
                allowed.caveat = Some(self.caveat_name()?);
                if self.take(TokenKind::AndWord)?.is_none() {
                    return Ok(allowed);
                }
            }
            self.expect(TokenKind::Expiration)?;
            allowed.expires = true;
            if self.at(TokenKind::AndWord) {
                return Err(self.wrong("the caveat stands before the expiration: write `with <caveat> and expiration`"));
            }
        }
        Ok(allowed)
    }
}
