//! The layers and which of them may import which; and the reading of a file's imports.

use crate::lexer::{Placed, Token, tokens};

/// A layer and how high it stands. A module may import what stands lower.
const RANKS: [(&str, u32); 11] = [
    ("cli", 10),
    ("node", 9),
    ("api", 8),
    ("service", 7),
    ("consistency", 6),
    ("raft", 5),
    ("engine", 5),
    ("schema", 3),
    ("store", 3),
    ("caveat", 2),
    ("model", 1),
];

/// Modules that know nothing of the layers but the model, and that every layer above the model may use.
const LEAVES: [&str; 6] = ["wire", "security", "telemetry", "audit", "config", "mutants"];

/// What rank alone would allow.
const FORBIDDEN: [(&str, &str, &str); 3] = [
    ("api", "store", "a front converts and translates; what it serves comes from the services"),
    ("api", "raft", "a front converts and translates; what it serves comes from the services"),
    ("consistency", "engine", "freshness is decided without knowing what will be evaluated"),
];

/// Whether code in module `from` may name module `to`; if not, why.
pub(crate) fn may_import(from: &str, to: &str) -> Result<(), String> {
    if from == to {
        return Ok(());
    }
    let rank = |module: &str| RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank);
    let is_leaf = |module: &str| LEAVES.contains(&module);
    for module in [from, to] {
        if rank(module).is_none() && !is_leaf(module) {
            return Err(format!("module {module} has no place among the layers; give it one in tests/tidy/layers.rs"));
        }
    }
    if let Some((_, _, why)) = FORBIDDEN.iter().find(|(a, b, _)| (*a, *b) == (from, to)) {
        return Err(format!("{from} imports {to}: {why}"));
    }
    let allowed = match (is_leaf(from), is_leaf(to)) {
        (true, _) => is_leaf(to) || to == "model",
        (false, true) => from != "model",
        (false, false) => rank(from) > rank(to),
    };
    if allowed { Ok(()) } else { Err(format!("{from} imports {to}, which does not stand below it")) }
}

/// The module path of a source file: `src/a/b.rs` is `[a, b]`, `src/a/mod.rs` is `[a]`, the crate's roots are empty.
pub(crate) fn module_path(file: &str) -> Vec<&str> {
    let mut path: Vec<&str> = file.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    if path.last() == Some(&"mod") || ["lib", "main"].contains(&path[0]) {
        path.pop();
    }
    path
}

/// The top modules that `text`, being the file of `module`, names by `crate::…` or by climbing with `super::…`, each with the
/// line.
pub(crate) fn imported_modules(module: &[&str], text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut braces: Vec<bool> = Vec::new(); // For each open brace, whether it opened a module inside the file.
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].token {
            Token::Mark('{') => braces.push(opens_module(&tokens, at)),
            Token::Mark('}') => _ = braces.pop(),
            Token::Word("crate") => heads(&tokens, at + 1, &mut found),
            Token::Word("super") => {
                let depth = module.len() + braces.iter().filter(|inner| **inner).count();
                let climbs = tokens[at..].chunks(2).take_while(|pair| is_super(pair)).count();
                at += 2 * climbs.max(1) - 1;
                if climbs == depth {
                    heads(&tokens, at, &mut found);
                }
            }
            Token::Word(_) | Token::Colons | Token::Mark(_) => {}
        }
        at += 1;
    }
    found
}

fn is_super(pair: &[Placed<'_>]) -> bool {
    matches!(pair, [Placed { token: Token::Word("super"), .. }, Placed { token: Token::Colons, .. }])
}

fn opens_module(tokens: &[Placed<'_>], brace: usize) -> bool {
    brace >= 2 && tokens[brace - 2].token == Token::Word("mod")
}

/// The first words of the path or group of paths that follows the `::` at `at`.
fn heads(tokens: &[Placed<'_>], at: usize, found: &mut Vec<(usize, String)>) {
    let Some([Placed { token: Token::Colons, .. }, first, ..]) = tokens.get(at..) else { return };
    match first.token {
        Token::Word(word) => found.push((first.line, word.to_owned())),
        Token::Mark('{') => group_heads(&tokens[at + 2..], found),
        Token::Mark(_) | Token::Colons => {}
    }
}

/// The first words of the paths in a group whose opening brace has been passed.
fn group_heads(tokens: &[Placed<'_>], found: &mut Vec<(usize, String)>) {
    let mut depth = 0;
    let mut at_head = true;
    for placed in tokens {
        match placed.token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') if depth == 0 => return,
            Token::Mark('}') => depth -= 1,
            Token::Mark(',') if depth == 0 => at_head = true,
            Token::Word(word) if at_head => {
                found.push((placed.line, word.to_owned()));
                at_head = false;
            }
            Token::Word(_) | Token::Colons | Token::Mark(_) => {}
        }
    }
}

#[test]
fn layers_descend_and_leaves_stay_leaves() {
    for (from, to) in [
        ("cli", "node"),
        ("node", "raft"),
        ("service", "engine"),
        ("consistency", "raft"),
        ("engine", "schema"),
        ("store", "model"),
        ("raft", "wire"),
        ("wire", "model"),
        ("config", "security"),
        ("store", "store"),
    ] {
        assert_eq!(may_import(from, to), Ok(()), "{from} → {to}");
    }
    for (from, to) in [
        ("node", "cli"),
        ("raft", "engine"),
        ("engine", "raft"),
        ("api", "raft"),
        ("api", "store"),
        ("consistency", "engine"),
        ("schema", "store"),
        ("store", "schema"),
        ("model", "wire"),
        ("wire", "store"),
        ("service", "somewhere"),
    ] {
        assert!(may_import(from, to).is_err(), "{from} → {to}");
    }
}

#[test]
fn imports_are_read_in_all_their_shapes() {
    let names = |module: &[&str], text| -> Vec<String> {
        imported_modules(module, text).into_iter().map(|(_, to)| to).collect()
    };
    let file = ["raft", "log"];
    assert_eq!(names(&file, "use crate::model::Tuple;"), ["model"]);
    assert_eq!(
        names(&file, "use crate::{model::{Tuple, Error}, store::ReadView as V, wire};"),
        ["model", "store", "wire"]
    );
    assert_eq!(names(&file, "fn f(x: crate::engine::Plan) {}"), ["engine"]);
    assert_eq!(names(&file, "use super::super::engine::Plan;"), ["engine"]);
    assert_eq!(names(&file, "use super::engine::Plan;"), [""; 0]);
    assert_eq!(names(&file, "mod tests { use super::super::log_store; }"), [""; 0]);
    assert_eq!(names(&file, "mod tests { use super::super::super::engine; }"), ["engine"]);
    assert_eq!(names(&["raft"], "use super::{engine, model};"), ["engine", "model"]);
    assert_eq!(names(&file, "// crate::engine\nlet s = \"crate::engine\";"), [""; 0]);
    assert_eq!(names(&file, "pub(crate) fn f(super_: u8) {}"), [""; 0]);
}
