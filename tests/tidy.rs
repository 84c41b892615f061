//! The rules of the house, as tests: which layer may import which, what a file begins with, how long it may be, and which
//! words have no place in it. The rules themselves are tested on sample strings, so that they are known to bite.
//!
//! Must not know the product: it reads the sources as text.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lexer.rs"]
mod lexer;

use std::fs;
use std::path::{Path, PathBuf};

use layers::{imported_modules, may_import, module_path};
use lexer::{Token, tokens};

/// The hard bound on a file's length. The aim is well below it.
const LINES_PER_FILE: usize = 500;

/// A crate that only some files may name, so that it can be replaced there.
struct Confined {
    name: &'static str,
    places: &'static [&'static str],
}

const CONFINED: [Confined; 2] = [
    Confined { name: "bincode", places: &["src/raft/codec.rs", "src/store/codec.rs"] },
    Confined { name: "openraft", places: &["src/raft/"] },
];

/// Words that mark unfinished work. Written in two halves, so that this file does not hold them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimple", "mented!"),
    concat!("to", "do!("),
    concat!("allow(dead", "_code)"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under `folder` with this ending, by their path from the root, in order.
fn files(folder: &str, ending: &str) -> Vec<String> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("the source tree is readable").path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    let mut names: Vec<String> = found
        .into_iter()
        .map(|path| path.strip_prefix(root()).expect("it was found under the root").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn rust_files() -> Vec<String> {
    let mut names: Vec<String> =
        ["src", "tests", "benches", "jepsen"].iter().flat_map(|folder| files(folder, "rs")).collect();
    names.push("build.rs".to_owned());
    assert!(names.len() > 20, "the walk over the sources found almost nothing: {names:?}");
    names
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails with every complaint at once: mending them one by one would be tedious.
fn report(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn imports_only_descend() {
    let mut complaints = Vec::new();
    for name in files("src", "rs") {
        complaints.extend(import_complaints(&name, &read(&name)));
    }
    report(complaints);
}

fn import_complaints(name: &str, text: &str) -> Vec<String> {
    let module = module_path(name);
    let Some(from) = module.first() else {
        return Vec::new(); // The crate's root and the binary stand above all layers.
    };
    let mut complaints: Vec<String> = imported_modules(&module, text)
        .into_iter()
        .filter_map(|(line, to)| may_import(from, &to).err().map(|why| format!("{name}:{line}: {why}")))
        .collect();
    complaints.dedup();
    complaints
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let first_line_is = |name: &str, start: &str| read(name).lines().next().is_some_and(|line| line.starts_with(start));
    let rust = rust_files().into_iter().filter(|name| !first_line_is(name, "//! ")).map(|n| (n, "//!"));
    let proto = files("proto", "proto").into_iter().filter(|name| !first_line_is(name, "// ")).map(|n| (n, "//"));
    report(
        rust.chain(proto).map(|(name, start)| format!("{name}: the first line does not begin with {start}")).collect(),
    );
}

#[test]
fn no_file_is_long() {
    let length = |name: String| (read(&name).lines().count(), name);
    let complaints = rust_files().into_iter().map(length).filter(|(lines, _)| *lines > LINES_PER_FILE);
    report(complaints.map(|(lines, name)| format!("{name}: {lines} lines, at most {LINES_PER_FILE}")).collect());
}

#[test]
fn own_protocols_explain_every_call() {
    let complaints = files("proto/quorate", "proto").into_iter().flat_map(|name| {
        let text = read(&name);
        unexplained_calls(&text).into_iter().map(|call| format!("{name}: no comment above {call}")).collect::<Vec<_>>()
    });
    report(complaints.collect());
}

/// The `rpc` lines that have no comment directly above.
fn unexplained_calls(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let unexplained = |at: &usize| lines[*at].starts_with("rpc ") && !(*at > 0 && lines[*at - 1].starts_with("//"));
    (0..lines.len()).filter(unexplained).map(|at| lines[at].to_owned()).collect()
}

/// Whoever comes from SpiceDB looks a field up there; one that is missing would be a promise by silence.
#[test]
fn the_compatibility_page_names_every_call_and_field() {
    let page = read("docs/compatibility.md");
    let unnamed = |file: String| {
        let missing: Vec<String> =
            wire_names(&read(&file)).filter(|name| !page.contains(&format!("`{name}`"))).collect();
        missing.into_iter().map(move |name| format!("docs/compatibility.md says nothing of {name} of {file}"))
    };
    report(files("proto/authzed", "proto").into_iter().flat_map(unnamed).collect());
    assert_eq!(
        wire_names("  rpc Check(A) returns (B);\n  repeated A.B items = 2;\n}").collect::<Vec<_>>(),
        ["Check", "items"]
    );
    assert_eq!(wire_names("  ERROR_REASON_BAD = 1;\n  KIND_GOOD = 2;\n").collect::<Vec<_>>(), ["BAD"]);
}

/// The calls, the fields and the reasons of errors that a `.proto` text declares.
fn wire_names(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter_map(|line| {
        let line = line.split("//").next().unwrap_or_default().trim();
        if let Some(call) = line.strip_prefix("rpc ") {
            return call.split('(').next().map(str::to_owned);
        }
        let (declared, number) = line.split_once(" = ")?;
        let words: Vec<&str> = declared.split_whitespace().collect();
        let is_number = number.trim_end_matches(';').split(' ').next().is_some_and(|n| n.parse::<u32>().is_ok());
        if let Some(reason) = declared.strip_prefix("ERROR_REASON_") {
            return (reason != "UNSPECIFIED").then(|| reason.to_owned());
        }
        // An enum's value has no type before its name.
        (is_number && words.len() > 1).then(|| words[words.len() - 1].to_owned())
    })
}

#[test]
fn nothing_is_left_unfinished() {
    let mut complaints = Vec::new();
    for name in rust_files().into_iter().chain(files("proto", "proto")) {
        complaints.extend(unfinished(&read(&name)).into_iter().map(|(line, word)| format!("{name}:{line}: {word}")));
    }
    report(complaints);
}

fn unfinished(text: &str) -> Vec<(usize, &'static str)> {
    let lines = text.lines().enumerate();
    lines.flat_map(|(at, line)| UNFINISHED.into_iter().filter(|w| line.contains(w)).map(move |w| (at + 1, w))).collect()
}

#[test]
fn replaceable_crates_are_named_where_they_belong() {
    let mut complaints = Vec::new();
    for name in files("src", "rs") {
        complaints.extend(confinement_complaints(&name, &read(&name)));
    }
    report(complaints);
}

fn confinement_complaints(name: &str, text: &str) -> Vec<String> {
    let names_crate = |confined: &&Confined| {
        let token = Token::Word(confined.name);
        tokens(text).iter().any(|t| t.token == token)
    };
    let astray = |confined: &&Confined| !confined.places.iter().any(|place| name.starts_with(place));
    let complain = |c: &Confined| format!("{name}: names {}, which belongs in {}", c.name, c.places.join(", "));
    CONFINED.iter().filter(names_crate).filter(astray).map(complain).collect()
}

#[test]
fn the_rules_bite() {
    assert!(import_complaints("src/engine/check.rs", "use crate::store::ReadView;").is_empty());
    assert_eq!(import_complaints("src/engine/check.rs", "use crate::raft::Propose;").len(), 1);
    assert_eq!(import_complaints("src/api/mod.rs", "fn f() { crate::store::open() }").len(), 1);
    assert_eq!(import_complaints("src/engine/check.rs", "use crate::{model::Tuple, raft::Propose};").len(), 1);
    assert_eq!(import_complaints("src/novelty/mod.rs", "use crate::model::Tuple;").len(), 1);
    assert!(import_complaints("src/main.rs", "use crate::store::ReadView;").is_empty());

    assert!(confinement_complaints("src/raft/log/append.rs", "use openraft::RaftLogId;").is_empty());
    assert_eq!(confinement_complaints("src/service/write.rs", "use openraft::RaftLogId;").len(), 1);
    assert_eq!(confinement_complaints("src/raft/types.rs", "bincode::encode()").len(), 1);
    assert!(confinement_complaints("src/service/write.rs", "// openraft keeps it").is_empty());

    assert_eq!(unfinished(concat!("ok\n// TO", "DO: later")).len(), 1);
    assert_eq!(unexplained_calls("// Why.\nrpc A(B) returns (C);\nrpc D(E) returns (F);"), ["rpc D(E) returns (F);"]);
}
