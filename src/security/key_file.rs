//! The file of keys: who may do what, with hashes in place of the keys themselves.
//!
//! ```toml
//! [[key]]
//! name = "billing"
//! hash = "…64 hexadecimal digits…"
//! scopes = ["read"]
//! rate = 500       # requests a second; with burst, and concurrent: all three may be left out
//! ```

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::replace_file::replace_file;
use super::{Allowance, Scope};

/// More than anybody has; a file that is longer was meant for something else.
const MOST_KEYS: usize = 10_000;
const LONGEST_NAME: usize = 128;
/// Requests a second. One of more is none.
const HIGHEST_RATE: u32 = 1_000_000;

/// Why a file of keys is not usable.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be replaced by one with another entry.
    #[error("cannot add to {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

enum AppendError {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One key, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Who has it: for people.
    pub name: String,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// Requests a second that its bearer may make of each node; without it, what holds for all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
    /// Requests that may come at once after a pause; without it, those of one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Requests that may be open at the same time on each node; without it, what holds for all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<NonZeroU32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

impl KeyEntry {
    /// A new key for `name`: the key itself, which is written down nowhere, and the entry that lets its bearer in.
    ///
    /// It has 256 bits of chance, so a plain hash says nothing about it. Keys that people make up have no place here.
    #[must_use]
    pub fn generate(name: &str, scopes: &[Scope]) -> (String, Self) {
        let key = format!("quorate_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let hash = blake3::hash(key.as_bytes()).to_hex().to_string();
        let scopes = scopes.to_vec();
        (key, Self { name: name.to_owned(), hash, scopes, rate: None, burst: None, concurrent: None })
    }

    /// As it is written in the file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&KeyFile { key: vec![self.clone()] }).expect("plain values under string keys are always TOML")
    }

    /// Adds it to the file at `path`, which must be a file of keys without one of its name, or not there yet.
    pub fn append_to(&self, path: &Path) -> Result<(), KeyFileError> {
        let added = replace_file(path, |text| {
            let gap = if text.trim_end().is_empty() { "" } else { "\n\n" };
            let new = format!("{}{gap}{}", text.trim_end(), self.to_toml());
            // What is there must be good without the new entry: else the message would be of a file that nobody has.
            parse(text).and_then(|_| parse(&new)).map_err(AppendError::Malformed)?;
            Ok(new)
        });
        added.map_err(|error| match error {
            AppendError::Io(source) => KeyFileError::Unwritable { path: path.to_owned(), source },
            AppendError::Malformed(problem) => KeyFileError::Malformed { path: path.to_owned(), problem },
        })
    }

    /// What its bearer may use of a node; `default` holds where the entry says nothing.
    #[must_use]
    pub fn allowance(&self, default: Allowance) -> Allowance {
        let (rate, burst) = if self.rate.is_some() { (self.rate, self.burst) } else { (default.rate, default.burst) };
        Allowance { rate, burst, concurrent: self.concurrent.or(default.concurrent) }
    }

    /// Whether `name` can be the name of a key.
    pub fn check_name(name: &str) -> Result<(), String> {
        let usable = name.bytes().all(|b| b.is_ascii_graphic());
        if usable && (1..=LONGEST_NAME).contains(&name.len()) {
            return Ok(());
        }
        Err(format!("{name:?} is no name of a key: use 1 to {LONGEST_NAME} visible ASCII characters, without spaces"))
    }
}

/// The keys in the file at `path`, judged as a whole.
pub(super) fn read(path: &Path) -> Result<Vec<(KeyEntry, blake3::Hash)>, KeyFileError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|problem| KeyFileError::Malformed { path: path.to_owned(), problem })
}

fn parse(text: &str) -> Result<Vec<(KeyEntry, blake3::Hash)>, String> {
    let file: KeyFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        // The message of the parser quotes the line, and a key may have been written there by mistake.
        format!("is not a file of keys{}", line.map(|line| format!(": see line {line}")).unwrap_or_default())
    })?;
    if file.key.len() > MOST_KEYS {
        return Err(format!("has {} keys, more than the {MOST_KEYS} that a node takes", file.key.len()));
    }
    let mut known = Vec::with_capacity(file.key.len());
    for entry in file.key {
        KeyEntry::check_name(&entry.name)?;
        let name = &entry.name;
        if known.iter().any(|(other, _): &(KeyEntry, _)| other.name == *name) {
            return Err(format!(
                "has two keys of the name {name}; to replace a key, give the new one a name of its own"
            ));
        }
        if entry.scopes.is_empty() {
            return Err(format!("gives {name} no scopes; name some of read, write, schema, admin"));
        }
        let hash = blake3::Hash::from_hex(&entry.hash)
            .map_err(|_| format!("has no hash for {name}; `quorate key create` prints one with a new key"))?;
        if entry.burst.is_some() && entry.rate.is_none() {
            return Err(format!("gives {name} a burst and no rate; give it both"));
        }
        if entry.rate.is_some_and(|rate| rate.get() > HIGHEST_RATE) {
            return Err(format!("gives {name} a rate above {HIGHEST_RATE}; leave it out for none"));
        }
        // Which of the two would be taken is no question to leave to the order of lines.
        if let Some((other, _)) = known.iter().find(|(_, other)| *other == hash) {
            return Err(format!("gives {} and {name} the same key; make one of their own for each", other.name));
        }
        known.push((entry, hash));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_is_what_the_file_takes() {
        let (key, entry) = KeyEntry::generate("billing", &[Scope::Read, Scope::Write]);
        let (other, _) = KeyEntry::generate("billing", &[Scope::Read]);
        assert!(key.starts_with("quorate_") && key.len() == 8 + 43 && key != other);
        let known = parse(&entry.to_toml()).expect("its own form");
        assert_eq!(known, [(entry.clone(), blake3::hash(key.as_bytes()))]);
        assert!(!entry.to_toml().contains(&key));
    }

    #[test]
    fn an_entry_is_added_to_a_good_file_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.toml");
        let entry = |name: &str| KeyEntry::generate(name, &[Scope::Read]).1;
        entry("a").append_to(&path).expect("a new file");
        entry("b").append_to(&path).expect("a file of keys");
        let names = |known: Vec<(KeyEntry, _)>| known.into_iter().map(|(entry, _)| entry.name).collect::<Vec<_>>();
        assert_eq!(names(read(&path).expect("good")), ["a", "b"]);
        let before = std::fs::read_to_string(&path).expect("text");
        let error = entry("a").append_to(&path).expect_err("the name is taken").to_string();
        assert!(error.contains("two keys of the name a"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), before);
        for damaged in ["nonsense", "[[key]]\nname = \"c\"\n"] {
            std::fs::write(&path, damaged).expect("writable");
            entry("d").append_to(&path).expect_err("no file of keys");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), damaged);
        }
        std::fs::write(&path, "# ours\nkey = []").expect("writable");
        entry("d").append_to(&path).expect_err("an array that is closed");
    }

    #[test]
    fn a_file_that_would_let_in_anybody_else_is_refused() {
        let entry = |name: &str, hash: &str, scopes: &str| {
            format!("[[key]]\nname = {name:?}\nhash = {hash:?}\nscopes = {scopes}\n")
        };
        let good = "ab".repeat(32);
        let cases = [
            (entry("", &good, "[\"read\"]"), "no name"),
            (entry("two words", &good, "[\"read\"]"), "no name"),
            (entry("a", "secret", "[\"read\"]"), "no hash for a"),
            (entry("a", &good, "[]"), "no scopes"),
            (entry("a", &good, "[\"all\"]"), "see line 4"),
            (entry("a", &good, "[\"read\"]") + "rate = 0\n", "see line 5"),
            (entry("a", &good, "[\"read\"]") + "burst = 5\n", "a burst and no rate"),
            (entry("a", &good, "[\"read\"]").repeat(2), "two keys"),
            (entry("a", &good, "[\"read\"]") + &entry("b", &good, "[\"admin\"]"), "a and b the same key"),
            ("[[keys]]".to_owned(), "see line 1"),
            ("key = \"secret\"".to_owned(), "see line 1"),
        ];
        for (text, words) in cases {
            let problem = parse(&text).expect_err(words);
            assert!(problem.contains(words) && !problem.contains("secret"), "{problem}");
        }
        assert_eq!(parse("").expect("empty"), []);
    }
}
