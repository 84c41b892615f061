//! Caveats: their name, their parameters, and where their expression stands.

use super::super::ast::{At, CaveatNode, ParameterNode};
use super::super::lexer::TokenKind;
use super::{Outcome, Parser};

impl Parser<'_> {
    pub(super) fn caveat(&mut self, comment: String) -> Outcome<CaveatNode> {
        self.advance()?;
        let name = self.caveat_name()?;
        self.expect(TokenKind::LeftParen)?;
        let mut parameters = vec![self.parameter()?];
        while self.take(TokenKind::Comma)?.is_some() {
            parameters.push(self.parameter()?);
        }
        self.expect(TokenKind::RightParen)?;
        if !self.at(TokenKind::LeftBrace) {
            return Err(self.unexpected(TokenKind::LeftBrace.describe()));
        }
        // Behind the brace another language begins, so its text is cut out before anything makes tokens of it.
        let (start, end) = self.lexer.expression()?;
        self.advance()?;
        if start == end {
            return Err(self.unexpected("the expression of the caveat"));
        }
        self.expect(TokenKind::RightBrace)?;
        Ok(CaveatNode { name, comment, parameters, expression: start..end })
    }

    fn parameter(&mut self) -> Outcome<ParameterNode> {
        let start = self.current.offset;
        let name = self.word()?;
        let type_text = self.parameter_type()?;
        Ok(ParameterNode { name: At { value: name, place: start..self.end }, type_text })
    }

    /// `name` or `name<type, …>`. Without recursion: how deep types may be nested is judged where they are understood.
    fn parameter_type(&mut self) -> Outcome<String> {
        let mut text = String::new();
        let mut open = 0_usize;
        loop {
            text.push_str(&self.word()?);
            if self.take(TokenKind::Less)?.is_some() {
                text.push('<');
                open += 1;
                continue;
            }
            // A type is complete: it ends those around it, or another one follows.
            while open > 0 && self.take(TokenKind::Comma)?.is_none() {
                self.expect(TokenKind::Greater)?;
                text.push('>');
                open -= 1;
            }
            if open == 0 {
                return Ok(text);
            }
            text.push_str(", ");
        }
    }
}
