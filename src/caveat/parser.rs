//! Parses an expression: precedence climbing over the tokens, within a bounded depth. Calls that are macros become nodes of
//! their own. Must not know types or parameters.

use std::sync::Arc;

use super::ast::{Element, Entry, Expr, FoldExpr, FoldKind, Kind, MAX_DEPTH, Operator};
use super::error::CompileError;
use super::lexer::{Placed, Token, tokens};
use super::literal;
use super::value::Value;

/// Words that the language keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Parses the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Expr, CompileError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let parsed = parser.expression()?;
    if !matches!(parser.peek().token, Token::End) {
        return Err(parser.unexpected("the end of the expression or an operator"));
    }
    Ok(parsed)
}

/// The operator that a token means between two operands, and how tightly it binds.
fn binary_operator(token: &Token) -> Option<(Operator, u8)> {
    let mark = match token {
        Token::Mark(mark) => *mark,
        Token::Ident(name) if name == "in" => "in",
        Token::Ident(_) | Token::Literal(_) | Token::Digits(_) | Token::End => return None,
    };
    Some(match mark {
        "==" => (Operator::Equal, 0),
        "!=" => (Operator::NotEqual, 0),
        "<" => (Operator::Less, 0),
        "<=" => (Operator::LessEqual, 0),
        ">" => (Operator::Greater, 0),
        ">=" => (Operator::GreaterEqual, 0),
        "in" => (Operator::In, 0),
        "+" => (Operator::Add, 1),
        "-" => (Operator::Subtract, 1),
        "*" => (Operator::Multiply, 2),
        "/" => (Operator::Divide, 2),
        "%" => (Operator::Remainder, 2),
        _ => return None,
    })
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    depth: u16,
}

impl Parser {
    fn peek(&self) -> &Placed {
        &self.tokens[self.next] // The last token is the end, and `advance` never passes it.
    }

    fn advance(&mut self) -> Placed {
        let taken = self.tokens[self.next].clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        taken
    }

    fn at(&self) -> u32 {
        self.peek().at
    }

    fn sees(&self, mark: &str) -> bool {
        matches!(&self.peek().token, Token::Mark(seen) if *seen == mark)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let seen = self.sees(mark);
        if seen {
            self.advance();
        }
        seen
    }

    fn expect(&mut self, mark: &str) -> Result<(), CompileError> {
        if self.takes(mark) { Ok(()) } else { Err(self.unexpected(mark)) }
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        let found = match &self.peek().token {
            Token::Ident(name) => name.chars().take(80).collect(),
            Token::Literal(_) => "a literal".to_owned(),
            Token::Digits(digits) => digits.chars().take(80).collect(),
            Token::Mark(mark) => (*mark).to_owned(),
            Token::End => "the end of the expression".to_owned(),
        };
        CompileError::at(self.at(), format!("expected {wanted}, found {found}"))
    }

    fn expression(&mut self) -> Result<Expr, CompileError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CompileError::at(self.at(), format!("the expression is nested more than {MAX_DEPTH} deep")));
        }
        let condition = self.or()?;
        let at = self.at();
        let parsed = if self.takes("?") {
            let yes = self.or()?;
            self.expect(":")?;
            let no = self.expression()?;
            Kind::Ternary(Box::new([condition, yes, no])).at(at)?
        } else {
            condition
        };
        self.depth -= 1;
        Ok(parsed)
    }

    fn or(&mut self) -> Result<Expr, CompileError> {
        self.chain("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Expr, CompileError> {
        self.chain("&&", |parser| parser.binary(0), Kind::And)
    }

    fn chain(
        &mut self,
        mark: &str,
        operand: fn(&mut Self) -> Result<Expr, CompileError>,
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Result<Expr, CompileError> {
        let first = operand(self)?;
        if !self.sees(mark) {
            return Ok(first);
        }
        let at = self.at();
        let mut operands = vec![first];
        while self.takes(mark) {
            operands.push(operand(self)?);
        }
        kind(operands).at(at)
    }

    /// Binary operators that bind at least as tightly as `loosest`, those of one tightness grouped from the left.
    fn binary(&mut self, loosest: u8) -> Result<Expr, CompileError> {
        let mut left = self.unary()?;
        while let Some((operator, tightness)) = binary_operator(&self.peek().token)
            && tightness >= loosest
        {
            let at = self.advance().at;
            let right = self.binary(tightness + 1)?;
            left = Kind::Operator { operator, operands: vec![left, right] }.at(at)?;
        }
        Ok(left)
    }

    /// A run of one unary operator, which two by two undoes itself.
    fn unary(&mut self) -> Result<Expr, CompileError> {
        let at = self.at();
        for (mark, operator) in [("!", Operator::Not), ("-", Operator::Negate)] {
            let mut count = 0;
            while self.sees(mark) {
                self.advance();
                count += 1;
            }
            if count == 0 {
                continue;
            }
            if operator == Operator::Negate && count == 1 && self.sees_number() {
                let negative = self.number(at, true)?;
                return self.members(negative);
            }
            let operand = self.member()?;
            let kept =
                if count % 2 == 1 { Kind::Operator { operator, operands: vec![operand] }.at(at)? } else { operand };
            return Ok(kept);
        }
        self.member()
    }

    fn sees_number(&self) -> bool {
        matches!(&self.peek().token, Token::Digits(_) | Token::Literal(Value::Double(_)))
    }

    /// A number after the minus sign that belongs to it, or after none.
    fn number(&mut self, at: u32, negative: bool) -> Result<Expr, CompileError> {
        let value = match self.advance().token {
            Token::Literal(Value::Double(double)) => Value::Double(if negative { -double } else { double }),
            Token::Digits(digits) => {
                let whole = literal::whole(&digits).map(|n| if negative { -n } else { n });
                let int = whole.and_then(|n| i64::try_from(n).ok());
                Value::Int(int.ok_or_else(|| CompileError::at(at, "the number does not fit into an int"))?)
            }
            Token::Ident(_) | Token::Literal(_) | Token::Mark(_) | Token::End => {
                return Err(CompileError::at(at, "expected a number"));
            }
        };
        Kind::Literal(value).at(at)
    }

    fn member(&mut self) -> Result<Expr, CompileError> {
        let primary = self.primary()?;
        self.members(primary)
    }

    /// The fields, calls and indices that follow `operand`.
    fn members(&mut self, mut operand: Expr) -> Result<Expr, CompileError> {
        loop {
            let at = self.at();
            if self.takes(".") {
                let optional = self.takes("?");
                let field = self.identifier(true)?;
                operand = if !optional && self.takes("(") {
                    let args = self.arguments(")")?;
                    receiver_macro(operand, &field, args, at)?
                } else {
                    Kind::Select { operand: Box::new(operand), field, optional }.at(at)?
                };
            } else if self.takes("[") {
                let optional = self.takes("?");
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                operand = Kind::Index { operand: Box::new(operand), index, optional }.at(at)?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn identifier(&mut self, is_field: bool) -> Result<Arc<str>, CompileError> {
        let name = match &self.peek().token {
            Token::Ident(name) if !matches!(name.as_str(), "in" | "true" | "false" | "null") => name,
            Token::Ident(_) | Token::Literal(_) | Token::Digits(_) | Token::Mark(_) | Token::End => {
                return Err(self.unexpected("a name"));
            }
        };
        if !is_field && RESERVED.contains(&name.as_str()) {
            return Err(CompileError::at(self.at(), format!("{name} is a reserved word")));
        }
        let name = Arc::from(name.as_str());
        self.advance();
        Ok(name)
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, CompileError> {
        let mut args = Vec::new();
        if self.takes(close) {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.takes(close) {
                return Ok(args);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self) -> Result<Expr, CompileError> {
        let at = self.at();
        let constant = match &self.peek().token {
            Token::Digits(_) => return self.number(at, false),
            Token::Literal(value) => Some(value.clone()),
            Token::Ident(name) => match name.as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                "null" => Some(Value::Null),
                _ => return self.name(at),
            },
            Token::Mark(_) | Token::End => None,
        };
        if let Some(value) = constant {
            self.advance();
            return Kind::Literal(value).at(at);
        }
        if self.takes("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.takes("[") {
            return self.list(at);
        }
        if self.takes("{") {
            return self.map(at);
        }
        if self.takes(".") {
            return self.name(at);
        }
        Err(self.unexpected("an expression"))
    }

    fn name(&mut self, at: u32) -> Result<Expr, CompileError> {
        let name = self.identifier(false)?;
        let call = self.at();
        if !self.takes("(") {
            return Kind::Ident(name).at(at);
        }
        let mut args = self.arguments(")")?;
        if &*name == "has" && args.len() == 1 {
            return match args.remove(0).kind {
                Kind::Select { operand, field, optional: false } => Kind::Has { operand, field }.at(at),
                _ => Err(CompileError::at(call, "has() takes a field: has(a.b)")),
            };
        }
        Kind::Call { function: name, target: None, args }.at(call)
    }

    fn list(&mut self, at: u32) -> Result<Expr, CompileError> {
        let mut elements = Vec::new();
        while !self.takes("]") {
            let optional = self.takes("?");
            elements.push(Element { value: self.expression()?, optional });
            if !self.takes(",") {
                self.expect("]")?;
                break;
            }
        }
        Kind::List(elements).at(at)
    }

    fn map(&mut self, at: u32) -> Result<Expr, CompileError> {
        let mut entries = Vec::new();
        while !self.takes("}") {
            let optional = self.takes("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, optional });
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Kind::Map(entries).at(at)
    }
}

/// A call on a target, or what it stands for if it is a macro.
fn receiver_macro(target: Expr, function: &Arc<str>, args: Vec<Expr>, at: u32) -> Result<Expr, CompileError> {
    let kind = match (&**function, args.len()) {
        ("all", 2) => FoldKind::All,
        ("exists", 2) => FoldKind::Exists,
        ("exists_one", 2) => FoldKind::ExistsOne,
        ("filter", 2) => FoldKind::Filter,
        ("map", 2 | 3) => FoldKind::Map,
        ("optMap", 2) => {
            let (variable, mut rest) = variable_and_rest(args)?;
            let body = Box::new(rest.remove(0));
            return Kind::OptionalMap { target: Box::new(target), variable, body }.at(at);
        }
        _ => return Kind::Call { function: Arc::clone(function), target: Some(Box::new(target)), args }.at(at),
    };
    let (variable, mut rest) = variable_and_rest(args)?;
    let transform = if kind == FoldKind::Map { rest.pop() } else { None };
    Kind::Fold(Box::new(FoldExpr { kind, range: target, variable, condition: rest.pop(), transform })).at(at)
}

/// Splits a macro's arguments into the variable that it declares and the rest.
fn variable_and_rest(mut args: Vec<Expr>) -> Result<(Arc<str>, Vec<Expr>), CompileError> {
    let variable = args.remove(0); // A macro has two arguments or three.
    match variable.kind {
        Kind::Ident(name) => Ok((name, args)),
        _ => Err(CompileError::at(variable.at, "the first argument of a macro is the name of its variable")),
    }
}
