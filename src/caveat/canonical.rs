//! An expression as text again, in the one form that SpiceDB shows: one space around operators, texts in double quotes, no
//! parentheses but those that are needed, and a new line behind `&&` and `||` where a line has 80 characters.
//!
//! Recursion is bounded by the depth of the tree.

use std::fmt::Write as _;

use super::ast::{Element, Entry, Expr, FoldExpr, FoldKind, Kind, Operator};
use super::value::Value;

/// The text of `expr`.
pub(super) fn canonical(expr: &Expr) -> String {
    let mut writer = Writer { out: String::new(), line_start: 0 };
    writer.expr(expr);
    writer.out
}

/// How loosely an expression binds as an operand; 0 for what is no operator between operands.
fn looseness(kind: &Kind) -> u8 {
    match kind {
        Kind::Ternary(_) => 8,
        Kind::Or(_) => 7,
        Kind::And(_) => 6,
        Kind::Operator { operator, .. } => match operator {
            Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessEqual
            | Operator::Greater
            | Operator::GreaterEqual
            | Operator::In => 5,
            Operator::Add | Operator::Subtract => 4,
            Operator::Multiply | Operator::Divide | Operator::Remainder => 3,
            Operator::Negate | Operator::Not => 0,
        },
        Kind::Literal(_)
        | Kind::Ident(_)
        | Kind::Select { .. }
        | Kind::Has { .. }
        | Kind::Index { .. }
        | Kind::Call { .. }
        | Kind::List(_)
        | Kind::Map(_)
        | Kind::Fold(_)
        | Kind::OptionalMap { .. } => 0,
    }
}

/// What stands in parentheses behind `!` and `-`, and around `?` and `:`: whatever takes several operands, calls included.
fn takes_several(kind: &Kind) -> bool {
    match kind {
        Kind::Index { .. } => true,
        Kind::Select { optional, .. } => *optional,
        Kind::Call { args, .. } => args.len() >= 2,
        other => looseness(other) > 0,
    }
}

struct Writer {
    out: String,
    /// Where the present line begins.
    line_start: usize,
}

impl Writer {
    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Literal(value) => self.literal(value),
            Kind::Ident(name) => self.out.push_str(name),
            Kind::Select { operand, field, optional } => {
                self.operand(operand, looseness(&operand.kind) > 0);
                self.out.push_str(if *optional { ".?" } else { "." });
                self.out.push_str(field);
            }
            Kind::Has { operand, field } => {
                self.out.push_str("has(");
                self.operand(operand, looseness(&operand.kind) > 0);
                self.out.push('.');
                self.out.push_str(field);
                self.out.push(')');
            }
            Kind::Index { operand, index, optional } => {
                self.operand(operand, looseness(&operand.kind) > 0);
                self.out.push_str(if *optional { "[?" } else { "[" });
                self.expr(index);
                self.out.push(']');
            }
            Kind::Call { function, target, args } => self.call(function, target.as_deref(), args),
            Kind::Operator { operator, operands } => self.operator(*operator, operands, looseness(&expr.kind)),
            Kind::And(operands) => self.chain("&&", operands, 6),
            Kind::Or(operands) => self.chain("||", operands, 7),
            Kind::Ternary(parts) => {
                let [condition, yes, no] = &**parts;
                self.operand(condition, takes_several(&condition.kind));
                self.out.push_str(" ? ");
                self.operand(yes, takes_several(&yes.kind));
                self.out.push_str(" : ");
                self.operand(no, takes_several(&no.kind));
            }
            Kind::List(elements) => self.listed("[", elements, "]", |this, Element { value, optional }| {
                this.out.push_str(if *optional { "?" } else { "" });
                this.expr(value);
            }),
            Kind::Map(entries) => self.listed("{", entries, "}", |this, Entry { key, value, optional }| {
                this.out.push_str(if *optional { "?" } else { "" });
                this.expr(key);
                this.out.push_str(": ");
                this.expr(value);
            }),
            Kind::Fold(fold) => self.fold(fold),
            Kind::OptionalMap { target, variable, body } => {
                self.operand(target, looseness(&target.kind) > 0);
                self.out.push_str(".optMap(");
                self.out.push_str(variable);
                self.out.push_str(", ");
                self.expr(body);
                self.out.push(')');
            }
        }
    }

    fn operand(&mut self, operand: &Expr, in_parentheses: bool) {
        if in_parentheses {
            self.out.push('(');
            self.expr(operand);
            self.out.push(')');
        } else {
            self.expr(operand);
        }
    }

    fn operator(&mut self, operator: Operator, operands: &[Expr], own: u8) {
        match operands {
            [operand] => {
                self.out.push_str(operator.symbol());
                self.operand(operand, takes_several(&operand.kind));
            }
            [left, right] => {
                self.operand(left, looseness(&left.kind) > own);
                let _ = write!(self.out, " {} ", operator.symbol());
                self.operand(right, looseness(&right.kind) >= own);
            }
            _ => unreachable!("the parser makes operators with one operand or two"),
        }
    }

    fn chain(&mut self, symbol: &str, operands: &[Expr], own: u8) {
        // The name that SpiceDB has for the operator counts as part of the line.
        const NAME: usize = "_&&_".len();
        const LINE: usize = 80;
        for (position, operand) in operands.iter().enumerate() {
            if position > 0 {
                let full = self.out.len() - self.line_start + NAME >= LINE;
                if full {
                    self.line_start = self.out.len();
                }
                let _ = write!(self.out, " {symbol}{}", if full { '\n' } else { ' ' });
            }
            self.operand(operand, looseness(&operand.kind) > own);
        }
    }

    fn call(&mut self, function: &str, target: Option<&Expr>, args: &[Expr]) {
        if let Some(target) = target {
            self.operand(target, looseness(&target.kind) > 0);
            self.out.push('.');
        }
        self.out.push_str(function);
        self.listed("(", args, ")", Self::expr);
    }

    fn fold(&mut self, fold: &FoldExpr) {
        self.operand(&fold.range, looseness(&fold.range.kind) > 0);
        self.out.push_str(match fold.kind {
            FoldKind::All => ".all(",
            FoldKind::Exists => ".exists(",
            FoldKind::ExistsOne => ".exists_one(",
            FoldKind::Filter => ".filter(",
            FoldKind::Map => ".map(",
        });
        self.out.push_str(&fold.variable);
        for part in [&fold.condition, &fold.transform].into_iter().flatten() {
            self.out.push_str(", ");
            self.expr(part);
        }
        self.out.push(')');
    }

    fn listed<T>(&mut self, open: &str, items: &[T], close: &str, mut write: impl FnMut(&mut Self, &T)) {
        self.out.push_str(open);
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push_str(", ");
            }
            write(self, item);
        }
        self.out.push_str(close);
    }

    fn literal(&mut self, value: &Value) {
        let _ = match value {
            Value::Null => write!(self.out, "null"),
            Value::Bool(value) => write!(self.out, "{value}"),
            Value::Int(value) => write!(self.out, "{value}"),
            Value::Uint(value) => write!(self.out, "{value}u"),
            Value::Double(value) => write!(self.out, "{}", double(*value)),
            Value::String(text) => write!(self.out, "\"{}\"", escaped(text)),
            Value::Bytes(bytes) => {
                self.out.push_str("b\"");
                for byte in bytes.iter() {
                    let _ = write!(self.out, "\\{byte:03o}");
                }
                write!(self.out, "\"")
            }
            Value::List(_)
            | Value::Map(_)
            | Value::Duration(_)
            | Value::Timestamp(_)
            | Value::Ip(..)
            | Value::Optional(_)
            | Value::Type(_) => unreachable!("the language has no literals of these"),
        };
    }
}

/// The shortest digits that mean `value`, with an exponent of two digits or more from 10⁶ on and below 10⁻⁴.
fn double(value: f64) -> String {
    let scientific = format!("{value:e}");
    let text = match scientific.split_once('e') {
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
            }
            Ok(_) | Err(_) => value.to_string(),
        },
        None => scientific,
    };
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            '\0'..='\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            // What Rust would show as an escape cannot be seen.
            _ if c.escape_debug().len() == 1 => out.push(c),
            _ if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    /// What SpiceDB 1.54 answered for the same expressions.
    #[test]
    fn expressions_read_as_spicedb_shows_them() {
        let cases = [
            ("(a == 1)", "a == 1"),
            ("a + 1 - 2 == 3", "a + 1 - 2 == 3"),
            ("a + (1 - 2) == 3", "a + (1 - 2) == 3"),
            ("(a + 1) * 2 == 3", "(a + 1) * 2 == 3"),
            ("a * (1 + 2) == 3", "a * (1 + 2) == 3"),
            ("a - (1 - 2) == 3", "a - (1 - 2) == 3"),
            ("a * (2 * 3) == 6", "a * (2 * 3) == 6"),
            ("-a == 1", "-a == 1"),
            ("-(a + 1) == 1", "-(a + 1) == 1"),
            ("-1 == a", "-1 == a"),
            ("!(a == 1 && b)", "!(a == 1 && b)"),
            ("!b", "!b"),
            ("!!b", "b"),
            ("a in [1,2,3]", "a in [1, 2, 3]"),
            ("[1, 2 ,a][0] == 1", "[1, 2, a][0] == 1"),
            ("{'x': a}.x == 1", "{\"x\": a}.x == 1"),
            ("{'x':a}['x'] == 1", "{\"x\": a}[\"x\"] == 1"),
            ("{1: a}[1] == 1", "{1: a}[1] == 1"),
            ("b ? a == 1 : a == 2", "b ? (a == 1) : (a == 2)"),
            ("(b ? a : 2) == 1", "(b ? a : 2) == 1"),
            ("b ? (b ? a == 1 : b) : b", "b ? (b ? (a == 1) : b) : b"),
            ("(b ? b : b) ? b : b", "(b ? b : b) ? b : b"),
            ("s == 'x'", "s == \"x\""),
            ("s == 'tab\\t'", "s == \"tab\\t\""),
            ("s == r'\\d'", "s == \"\\\\d\""),
            ("s == 'é☃'", "s == \"é☃\""),
            ("s == '\\u00e9\\x01'", "s == \"é\\x01\""),
            ("s.startsWith('x') && s.size() > 2", "s.startsWith(\"x\") && s.size() > 2"),
            ("l.exists(x, x > 1)", "l.exists(x, x > 1)"),
            ("l.all(x, x in [1]) && l.exists_one(x, x==1)", "l.all(x, x in [1]) && l.exists_one(x, x == 1)"),
            ("l.map(x, x + 1)[0] == 2", "l.map(x, x + 1)[0] == 2"),
            ("l.map(x, x > 1, x + 1)[0] == 2", "l.map(x, x > 1, x + 1)[0] == 2"),
            ("l.filter(x, x > 1).size() == 1", "l.filter(x, x > 1).size() == 1"),
            ("has(m.x) && m.x == 1", "has(m.x) && m.x == 1"),
            ("m['x y'] == 1", "m[\"x y\"] == 1"),
            ("m[s] == 1", "m[s] == 1"),
            ("d == 1.5e10", "d == 1.5e+10"),
            ("d == 0.1", "d == 0.1"),
            ("d == 1.5e-10", "d == 1.5e-10"),
            ("d == 123456789.0", "d == 1.23456789e+08"),
            ("a == 0x1F", "a == 31"),
            ("a == 9223372036854775807", "a == 9223372036854775807"),
            ("y == b'abc'", "y == b\"\\141\\142\\143\""),
            ("y == b'\\xff\\x00'", "y == b\"\\377\\000\""),
            ("t > timestamp('2020-01-01T00:00:00Z')", "t > timestamp(\"2020-01-01T00:00:00Z\")"),
            ("t - duration('1h') > t", "t - duration(\"1h\") > t"),
            ("(b || b) && b", "(b || b) && b"),
            ("b && (b && b)", "b && b && b"),
            ("b || (b || b)", "b || b || b"),
            (
                "a == 1 && a == 2 && a == 3 && a == 4 && a == 5 && a == 6 && a == 7 && a == 8 && a == 9 && a == 10 && a == 11",
                "a == 1 && a == 2 && a == 3 && a == 4 && a == 5 && a == 6 && a == 7 && a == 8 &&\na == 9 && a == 10 && a == 11",
            ),
            (
                "(a == 1 || a == 2 || a == 3 || a == 4 || a == 5 || a == 6 || a == 7 || a == 8 || a == 9) && s == 'a long long long long text' && s != 'another text that is long'",
                "(a == 1 || a == 2 || a == 3 || a == 4 || a == 5 || a == 6 || a == 7 || a == 8 ||\na == 9) && s == \"a long long long long text\" && s != \"another text that is long\"",
            ),
            ("a == 1 == b", "a == 1 == b"),
            ("a == 1 == (a == 2)", "a == 1 == (a == 2)"),
            ("(a < 2) == b", "a < 2 == b"),
            ("a % 2 % 3 == 1", "a % 2 % 3 == 1"),
            ("a % (2 % 3) == 1", "a % (2 % 3) == 1"),
            ("ip.in_cidr('10.0.0.0/8')", "ip.in_cidr(\"10.0.0.0/8\")"),
            ("m.isSubtreeOf(m)", "m.isSubtreeOf(m)"),
            ("null == any_", "null == any_"),
            ("any_ == true", "any_ == true"),
            ("type(a) == int", "type(a) == int"),
            ("l[0] == 1", "l[0] == 1"),
            ("a == - 1", "a == -1"),
            ("a - -1 == 1", "a - -1 == 1"),
            ("m.?x.orValue(1) == 1", "m.?x.orValue(1) == 1"),
            ("optional.of(a).value() == 1", "optional.of(a).value() == 1"),
            ("{?'x': optional.of(a)}.x == 1", "{?\"x\": optional.of(a)}.x == 1"),
            ("[?optional.of(a)][0] == 1", "[?optional.of(a)][0] == 1"),
            ("m[?'x'].hasValue()", "m[?\"x\"].hasValue()"),
            ("l.exists(x, l.exists(y, x == y))", "l.exists(x, l.exists(y, x == y))"),
            ("string(a) == s", "string(a) == s"),
            ("'x' in m", "\"x\" in m"),
            ("a < 1 || a <= 2 || a > 3 || a >= 4 || a != 5", "a < 1 || a <= 2 || a > 3 || a >= 4 || a != 5"),
            ("!(a in [1])", "!(a in [1])"),
            ("-(-a) == 1", "--a == 1"),
            ("(s + s).size() == 1", "(s + s).size() == 1"),
            ("s.matches('^a$')", "s.matches(\"^a$\")"),
            ("s == ''", "s == \"\""),
            ("{'a': 1, 'b': 2} == m", "{\"a\": 1, \"b\": 2} == m"),
            ("dyn(a) == 1", "dyn(a) == 1"),
            ("a == 1 ? b : b || b", "(a == 1) ? b : (b || b)"),
            ("(a == 1 ? b : b) || b", "((a == 1) ? b : b) || b"),
            ("l.map(x, {'x': x})[0].x == 1", "l.map(x, {\"x\": x})[0].x == 1"),
        ];
        for (text, expected) in cases {
            let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(canonical(&expr), expected, "{text}");
            // Two signs cancel out when they are read, also those that SpiceDB puts side by side.
            if expected.contains("--") {
                continue;
            }
            let again = parse(expected).unwrap_or_else(|error| panic!("{expected}: {error}"));
            assert_eq!(canonical(&again), expected, "{expected}: the form is its own");
        }
    }
}
