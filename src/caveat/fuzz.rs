//! Expressions from anywhere: compiling one ends, and what compiles evaluates to an answer or an error.

use std::collections::HashSet;

use super::{Caveat, Context, Outcome};
use crate::model::CaveatName;

/// A parameter of every type, so that an expression can reach every operator and function.
const PARAMETERS: [(&str, &str); 13] = [
    ("a", "any"),
    ("b", "bool"),
    ("s", "string"),
    ("i", "int"),
    ("u", "uint"),
    ("d", "double"),
    ("y", "bytes"),
    ("p", "duration"),
    ("t", "timestamp"),
    ("l", "list<int>"),
    ("m", "map<any>"),
    ("n", "map<list<string>>"),
    ("ip", "ipaddress"),
];
const VALUES: &str = r#"{"a": [1, {"x": null}], "b": true, "s": "text", "i": "-7", "u": 7, "d": 1.5, "y": "AAEC", "p": "1h30m",
    "t": "2024-02-29T23:59:59Z", "l": [3, 1, 2], "m": {"k": {"z": 1}}, "n": {"k": ["v"]}, "ip": "192.168.0.1"}"#;

/// An answer that was given without a value holds with every value; here: with these.
#[test]
fn an_expression_evaluates_or_is_refused() {
    let values = Context::from_json_text(VALUES).expect("an object");
    let caveat_name = CaveatName::new("fuzzed").expect("a name");
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        // A parameter that is not used is refused, so only those that the text names are declared.
        let words: HashSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let used = PARAMETERS.into_iter().filter(|(name, _)| words.contains(name));
        let types = used.map(|(name, kind)| (name.to_owned(), kind.parse().expect("a type"))).collect();
        let Ok(caveat) = Caveat::compile(&caveat_name, &types, &text) else { return };
        let known = values.iter().filter(|(name, _)| types.contains_key(*name));
        let known = Context::from_map(known.map(|(name, value)| (name.to_owned(), value.clone())).collect());
        let with_all = caveat.evaluate(&known.expect("a part of an object"), &Context::new());
        let with_none = caveat.evaluate(&Context::new(), &Context::new());
        if let (Ok(none @ (Outcome::True | Outcome::False)), Ok(all)) = (with_none, with_all) {
            assert_eq!(none, all, "{text}");
        }
    });
}
