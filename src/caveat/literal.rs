//! Literals of texts, bytes and whole numbers, with their escapes. Must not know what stands around them.

use std::sync::Arc;

use super::value::Value;

/// The text or bytes literal that `rest` begins with, if it begins with one, and its length.
pub(super) fn quoted(rest: &str) -> Result<Option<(Value, usize)>, String> {
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (raw, bytes) = match rest[..letters].to_ascii_lowercase().as_str() {
        "" => (false, false),
        "r" => (true, false),
        "b" => (false, true),
        "br" => (true, true),
        _ => return Ok(None),
    };
    let body = &rest[letters..];
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote)) else {
        return Ok(None);
    };
    let inner = &body[quote.len()..];
    let mut out = Vec::new();
    let mut at = 0;
    while !inner[at..].starts_with(quote) {
        let Some(next) = inner[at..].chars().next() else { return Err(format!("a closing {quote} is missing")) };
        if quote.len() == 1 && matches!(next, '\n' | '\r') {
            return Err(format!("a closing {quote} is missing at the end of the line"));
        }
        at += if next == '\\' && !raw {
            escape(&inner[at..], bytes, &mut out)?
        } else {
            out.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            next.len_utf8()
        };
    }
    let length = letters + 2 * quote.len() + at;
    if bytes {
        return Ok(Some((Value::Bytes(Arc::from(out)), length)));
    }
    let text = String::from_utf8(out).map_err(|_| "the text is not valid UTF-8".to_owned())?;
    Ok(Some((Value::string(&text), length)))
}

/// Decodes the escape that `rest` begins with into `out`; the escape's length.
fn escape(rest: &str, bytes: bool, out: &mut Vec<u8>) -> Result<usize, String> {
    let refuse = || format!("{:?} is no escape", rest.chars().take(2).collect::<String>());
    let letter = *rest.as_bytes().get(1).ok_or_else(refuse)?;
    let plain = match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'\'' | b'"' | b'`' | b'?' => letter,
        _ => {
            let (start, digits, radix) = match letter {
                b'x' | b'X' => (2, 2, 16),
                b'u' if !bytes => (2, 4, 16),
                b'U' if !bytes => (2, 8, 16),
                b'0'..=b'3' => (1, 3, 8),
                _ => return Err(refuse()),
            };
            let text = rest.get(start..start + digits).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
            let code = text.and_then(|text| u32::from_str_radix(text, radix).ok()).ok_or_else(refuse)?;
            if bytes {
                out.push(u8::try_from(code).map_err(|_| refuse())?);
            } else {
                let character = char::from_u32(code).ok_or_else(refuse)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return Ok(start + digits);
        }
    };
    out.push(plain);
    Ok(2)
}

/// The number that decimal or `0x` digits mean.
pub(super) fn whole(digits: &str) -> Option<i128> {
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}
