//! The right side of a permission.
//!
//! Binding, tightest first: arrows, `+`, `&`, `-`. All associate to the left.

use super::super::ast::Expr;
use super::super::lexer::TokenKind;
use super::{Outcome, Parser};
use crate::model::limits;
use crate::schema::{ArrowKind, SchemaError};

/// An expression and the height of its tree.
pub(super) struct Parsed {
    pub(super) expr: Expr,
    depth: usize,
}

impl Parser<'_> {
    /// `a - b - c` is `(a - b) - c`.
    pub(super) fn expression(&mut self) -> Outcome<Parsed> {
        let mut left = self.intersection()?;
        while let Some(operator) = self.take(TokenKind::Minus)? {
            let right = self.intersection()?;
            let depth = self.bounded(1 + left.depth.max(right.depth), operator.offset)?;
            left = Parsed { expr: Expr::Exclusion(Box::new(left.expr), Box::new(right.expr)), depth };
        }
        Ok(left)
    }

    fn intersection(&mut self) -> Outcome<Parsed> {
        let offset = self.current.offset;
        let mut operands = vec![self.union()?];
        while self.take(TokenKind::And)?.is_some() {
            operands.push(self.union()?);
        }
        self.combine(operands, offset, Expr::Intersection, |expr| {
            if let Expr::Intersection(inner) = expr { Ok(inner) } else { Err(expr) }
        })
    }

    fn union(&mut self) -> Outcome<Parsed> {
        let offset = self.current.offset;
        let mut operands = vec![self.operand()?];
        while self.take(TokenKind::Plus)?.is_some() {
            operands.push(self.operand()?);
        }
        self.combine(
            operands,
            offset,
            Expr::Union,
            |expr| {
                if let Expr::Union(inner) = expr { Ok(inner) } else { Err(expr) }
            },
        )
    }

    /// One operand stays what it is; several become one node, and operands of the same operator dissolve into it.
    fn combine(
        &self,
        mut operands: Vec<Parsed>,
        offset: usize,
        build: fn(Vec<Expr>) -> Expr,
        dissolve: fn(Expr) -> Result<Vec<Expr>, Expr>,
    ) -> Outcome<Parsed> {
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        let depth = self.bounded(1 + operands.iter().map(|o| o.depth).max().unwrap_or(0), offset)?;
        let mut flat = Vec::with_capacity(operands.len());
        for operand in operands {
            match dissolve(operand.expr) {
                Ok(inner) => flat.extend(inner),
                Err(other) => flat.push(other),
            }
        }
        Ok(Parsed { expr: build(flat), depth })
    }

    fn operand(&mut self) -> Outcome<Parsed> {
        if let Some(open) = self.take(TokenKind::LeftParen)? {
            self.nesting = self.bounded(self.nesting + 1, open.offset)?;
            let inner = self.expression()?;
            self.expect(TokenKind::RightParen)?;
            self.nesting -= 1;
            Ok(inner)
        } else if let Some(nil) = self.take(TokenKind::Nil)? {
            Ok(Parsed { expr: Expr::Nil(nil.offset), depth: 1 })
        } else if let Some(itself) = self.take(TokenKind::Itself)? {
            Ok(Parsed { expr: Expr::Itself(itself.offset), depth: 1 })
        } else if self.at(TokenKind::Identifier) {
            Ok(Parsed { expr: self.name_or_arrow()?, depth: 1 })
        } else {
            Err(self.unexpected("a relation, a permission, `nil` or `(`"))
        }
    }

    fn name_or_arrow(&mut self) -> Outcome<Expr> {
        let name = self.placed(Self::relation_name)?;
        let (kind, target) = if self.take(TokenKind::Arrow)?.is_some() {
            (ArrowKind::Any, self.relation_name()?)
        } else if self.take(TokenKind::Period)?.is_some() {
            let kind = match self.current.text {
                "any" => ArrowKind::Any,
                "all" => ArrowKind::All,
                _ => return Err(self.unexpected("`any` or `all`")),
            };
            self.advance()?;
            self.expect(TokenKind::LeftParen)?;
            let target = self.relation_name()?;
            self.expect(TokenKind::RightParen)?;
            (kind, target)
        } else {
            return Ok(Expr::Name(name));
        };
        if self.at(TokenKind::Arrow) || self.at(TokenKind::Period) {
            let message =
                "nested arrows are not supported: give the inner arrow a permission of its own and follow that";
            return Err(SchemaError::parse(self.text, self.current.offset, message));
        }
        Ok(Expr::Arrow { tupleset: name, target, kind })
    }

    fn bounded(&self, depth: usize, offset: usize) -> Outcome<usize> {
        if depth <= limits::REWRITE_DEPTH {
            return Ok(depth);
        }
        let message = format!(
            "this expression is nested more than {} deep: split it into several permissions",
            limits::REWRITE_DEPTH
        );
        Err(SchemaError::parse(self.text, offset, message))
    }
}
