//! JSON values as EDN, which Elle and Knossos read: objects become maps with keywords, and the values of `:type` and `:f`
//! become keywords too.

use std::fmt::Write as _;

use serde_json::Value;

/// `value` as EDN in one line.
#[must_use]
pub fn to_edn(value: &Value) -> String {
    let mut out = String::new();
    write(value, false, &mut out);
    out
}

fn write(value: &Value, as_keyword: bool, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            // Writing to a string does not fail, here and below.
            let _ = write!(out, "{number}");
        }
        Value::String(text) if as_keyword && is_keyword(text) => {
            out.push(':');
            out.push_str(text);
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(' ');
                }
                write(item, false, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (position, (name, field)) in fields.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                if is_keyword(name) {
                    out.push(':');
                    out.push_str(name);
                } else {
                    write_string(name, out);
                }
                out.push(' ');
                let names_something = matches!(name.as_str(), "type" | "f" | "process");
                write(field, names_something, out);
            }
            out.push('}');
        }
    }
}

fn is_keyword(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '?'))
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // EDN has no other escape that all of its readers know; what cannot be printed tells nobody anything.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_edn() {
        let value = json!({"index": 3, "type": "invoke", "process": "nemesis", "f": "cut-off", "value":
            {"a b": [1, null, true, -2.5], "text": "say \"hi\"\\\n\u{7}", "type": "not a keyword"}});
        let expected = "{:f :cut-off, :index 3, :process :nemesis, :type :invoke, :value {\"a b\" [1 nil true -2.5], \
                        :text \"say \\\"hi\\\"\\\\\\n \", :type \"not a keyword\"}}";
        assert_eq!(to_edn(&value), expected);
        assert_eq!(to_edn(&json!({"process": 7})), "{:process 7}");
    }
}
