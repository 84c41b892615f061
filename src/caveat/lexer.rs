//! Splits the text of an expression into tokens. Blanks and `//` comments vanish here. Must not know the grammar.

use super::error::CompileError;
use super::literal;
use super::value::Value;

#[derive(Debug, Clone)]
pub(super) enum Token {
    Ident(String),
    Literal(Value),
    /// The digits of a whole number that has no suffix; whether it fits depends on a minus sign before it.
    Digits(String),
    Mark(&'static str),
    End,
}

/// A token and the byte at which it begins.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: u32,
}

/// Longer marks stand before their beginnings.
const MARKS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/", "%", "!",
    "<", ">",
];

/// All tokens of `text`, the last of them [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, CompileError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += blanks(&text[at..]);
        let place = u32::try_from(at).map_err(|_| CompileError::whole("the expression is too long"))?;
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            found.push(Placed { token: Token::End, at: place });
            return Ok(found);
        };
        let (token, length) = token(rest, first).map_err(|message| CompileError::at(place, message))?;
        found.push(Placed { token, at: place });
        at += length;
    }
}

/// How many bytes of blanks and comments `text` begins with.
fn blanks(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blank = rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).count();
        let comment =
            if rest[blank..].starts_with("//") { rest[blank..].find('\n').unwrap_or(rest.len() - blank) } else { 0 };
        if blank + comment == 0 {
            return at;
        }
        at += blank + comment;
    }
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if let Some((value, length)) = literal::quoted(rest)? {
        return Ok((Token::Literal(value), length));
    }
    let after_dot = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if first.is_ascii_digit() || (first == '.' && after_dot) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        return Ok((Token::Ident(rest[..length].to_owned()), length));
    }
    match MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
        Some(mark) => Ok((Token::Mark(mark), mark.len())),
        None => Err(format!("{first:?} has no meaning here")),
    }
}

/// A number: whole, whole with the suffix `u`, or with a fraction or an exponent.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut end = if hex { 2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count() } else { digits(0) };
    let whole = end;
    if !hex {
        if is(end, b".") && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if is(end, b"eE") {
            let sign = usize::from(is(end + 1, b"+-"));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
    }
    if end > whole {
        let double: f64 = rest[..end].parse().map_err(|_| format!("{} is not a number", &rest[..end]))?;
        if double.is_infinite() {
            return Err(format!("{} is too large for a double", &rest[..end]));
        }
        return Ok((Token::Literal(Value::Double(double)), end));
    }
    if is(end, b"uU") {
        let value = literal::whole(&rest[..end]).and_then(|n| u64::try_from(n).ok());
        let value = value.ok_or_else(|| format!("{} does not fit into a uint", &rest[..end]))?;
        return Ok((Token::Literal(Value::Uint(value)), end + 1));
    }
    Ok((Token::Digits(rest[..end].to_owned()), end))
}
