//! From tokens to the tree, by recursive descent.
//!
//! Invariants: recursion is bounded by [`limits::REWRITE_DEPTH`], and so is the depth of every expression that is returned;
//! a hostile text cannot exhaust a stack here or in whoever walks the result.
//!
//! Binding, tightest first: arrows, `+`, `&`, `-`. All associate to the left.

use super::ast::{At, DefinitionNode, Expr, MemberBody, MemberNode};
use super::lexer::{Lexer, Token, TokenKind};
use crate::model::{RelationName, TypeName, limits};
use crate::schema::error::quoted;
use crate::schema::{AllowedSubject, ArrowKind, SchemaError};

/// Reads a whole schema text.
pub(super) fn parse_text(text: &str) -> Result<Vec<DefinitionNode>, SchemaError> {
    let mut lexer = Lexer::new(text);
    let current = lexer.next_token()?;
    Parser { text, lexer, current, nesting: 0 }.definitions()
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    current: Token<'a>,
    /// Parentheses that are open.
    nesting: usize,
}

/// An expression and the height of its tree.
struct Parsed {
    expr: Expr,
    depth: usize,
}

type Outcome<T> = Result<T, SchemaError>;

impl<'a> Parser<'a> {
    fn definitions(mut self) -> Outcome<Vec<DefinitionNode>> {
        let mut found = Vec::new();
        while !self.at(TokenKind::End) {
            if self.at(TokenKind::Definition) {
                found.push(self.definition()?);
            } else if self.take(TokenKind::Terminator)?.is_none() {
                return Err(self.no_definition()?);
            }
        }
        Ok(found)
    }

    /// Names the statements that the language has and this version does not.
    fn no_definition(&mut self) -> Outcome<SchemaError> {
        if self.at(TokenKind::Caveat) {
            return Ok(self.unsupported("`caveat` definitions are"));
        }
        let word = self.current;
        Ok(match word.text {
            "use" => {
                self.advance()?;
                let feature = format!("the directive {} is", quoted(format!("use {}", self.current.text).trim()));
                SchemaError::unsupported(self.text, word.offset, &feature)
            }
            "import" => self.unsupported("`import` is"),
            "partial" => self.unsupported("`partial` is"),
            _ => self.unexpected("`definition`"),
        })
    }

    fn definition(&mut self) -> Outcome<DefinitionNode> {
        let offset = self.advance()?.offset;
        let name = At { value: self.type_name()?, offset };
        self.expect(TokenKind::LeftBrace)?;
        let mut members = Vec::new();
        while self.take(TokenKind::RightBrace)?.is_none() {
            if self.at(TokenKind::Relation) {
                members.push(self.relation()?);
            } else if self.at(TokenKind::Permission) {
                members.push(self.permission()?);
            } else if self.at(TokenKind::Ellipsis) {
                return Err(self.unsupported("references to a `partial` are"));
            } else if self.take(TokenKind::Terminator)?.is_none() {
                return Err(self.unexpected("`relation`, `permission` or `}`"));
            }
        }
        Ok(DefinitionNode { name, members })
    }

    fn relation(&mut self) -> Outcome<MemberNode> {
        let offset = self.advance()?.offset;
        let name = At { value: self.relation_name()?, offset };
        self.expect(TokenKind::Colon)?;
        let mut allowed = vec![self.allowed_subject()?];
        while self.take(TokenKind::Pipe)?.is_some() {
            allowed.push(self.allowed_subject()?);
        }
        self.statement_end()?;
        Ok(MemberNode { name, body: MemberBody::Relation(allowed) })
    }

    fn permission(&mut self) -> Outcome<MemberNode> {
        let offset = self.advance()?.offset;
        let name = At { value: self.relation_name()?, offset };
        if self.at(TokenKind::Colon) {
            return Err(self.unsupported("type annotations on permissions are"));
        }
        self.expect(TokenKind::Equals)?;
        let expr = self.expression()?.expr;
        self.statement_end()?;
        Ok(MemberNode { name, body: MemberBody::Permission(expr) })
    }

    /// A statement also ends before `}`, so that a definition fits on one line.
    fn statement_end(&mut self) -> Outcome<()> {
        if self.at(TokenKind::RightBrace) || self.take(TokenKind::Terminator)?.is_some() {
            return Ok(());
        }
        Err(self.unexpected("the end of the statement (a new line or `;`)"))
    }

    fn allowed_subject(&mut self) -> Outcome<At<AllowedSubject>> {
        let offset = self.current.offset;
        let subject_type = self.type_name()?;
        let value = if self.take(TokenKind::Colon)?.is_some() {
            self.expect(TokenKind::Star)?;
            AllowedSubject::Wildcard(subject_type)
        } else if self.take(TokenKind::Hash)?.is_none() || self.take(TokenKind::Ellipsis)?.is_some() {
            AllowedSubject::Direct(subject_type)
        } else {
            AllowedSubject::Userset(subject_type, self.relation_name()?)
        };
        if self.at(TokenKind::With) {
            return Err(self.unsupported_trait()?);
        }
        Ok(At { value, offset })
    }

    fn unsupported_trait(&mut self) -> Outcome<SchemaError> {
        let offset = self.advance()?.offset;
        let feature = match self.current.text {
            "expiration" => "expiring relationships (`with expiration`) are".to_owned(),
            name => format!("caveats ({}) are", quoted(format!("with {name}").trim())),
        };
        Ok(SchemaError::unsupported(self.text, offset, &feature))
    }

    /// `a - b - c` is `(a - b) - c`.
    fn expression(&mut self) -> Outcome<Parsed> {
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
        } else if self.at(TokenKind::Identifier) {
            Ok(Parsed { expr: self.name_or_arrow()?, depth: 1 })
        } else {
            Err(self.unexpected("a relation, a permission, `nil` or `(`"))
        }
    }

    fn name_or_arrow(&mut self) -> Outcome<Expr> {
        let offset = self.current.offset;
        let name = At { value: self.relation_name()?, offset };
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

    fn type_name(&mut self) -> Outcome<TypeName> {
        let offset = self.current.offset;
        let mut path = self.expect(TokenKind::Identifier)?.text.to_owned();
        while self.take(TokenKind::Slash)?.is_some() {
            path.push('/');
            path.push_str(self.expect(TokenKind::Identifier)?.text);
        }
        TypeName::new(&path).map_err(|error| SchemaError::parse(self.text, offset, error.to_string()))
    }

    fn relation_name(&mut self) -> Outcome<RelationName> {
        let token = self.expect(TokenKind::Identifier)?;
        RelationName::new(token.text).map_err(|error| SchemaError::parse(self.text, token.offset, error.to_string()))
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
        Ok(std::mem::replace(&mut self.current, next))
    }

    fn unexpected(&self, expected: &str) -> SchemaError {
        let found = match self.current.text {
            "" => "the end of the text".to_owned(),
            "\n" | "\r" => "the end of the line".to_owned(),
            text => quoted(text),
        };
        SchemaError::parse(self.text, self.current.offset, format!("expected {expected}, found {found}"))
    }

    fn unsupported(&self, feature: &str) -> SchemaError {
        SchemaError::unsupported(self.text, self.current.offset, feature)
    }
}
