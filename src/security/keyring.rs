//! Keys. Only their hashes are kept here, and a comparison takes the same time whatever the key, so that a stopwatch gives none
//! away. The environment and the arguments of a process, where keys may have come from, are not of our making.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use super::key_file::{self, KeyFileError};
use super::{Allowance, Scope, Usage};

/// The keys that a client may present, and what each is good for.
pub struct Keyring {
    /// Good for everything, as long as the node runs.
    fixed: Vec<Known>,
    file: Option<PathBuf>,
    /// Of each key that has none of its own.
    allowance: Allowance,
    current: RwLock<Arc<[Known]>>,
}

#[derive(Clone)]
struct Known {
    hash: blake3::Hash,
    scopes: Vec<Scope>,
    allowance: Allowance,
    holder: KeyHolder,
}

/// Whose key was presented, and what was used with it until now.
#[derive(Debug, Clone)]
pub struct KeyHolder {
    /// The name of the key.
    pub name: Arc<str>,
    /// What is used.
    pub usage: Arc<Usage>,
}

impl Known {
    fn new(name: &str, hash: blake3::Hash, scopes: Vec<Scope>, allowance: Allowance) -> Self {
        Self {
            hash,
            scopes,
            allowance,
            holder: KeyHolder { name: name.into(), usage: Arc::new(Usage::new(allowance)) },
        }
    }
}

/// What is used is no part of what a file says.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        let said = |known: &Self| (Arc::clone(&known.holder.name), known.hash, known.allowance);
        said(self) == said(other) && self.scopes == other.scopes
    }
}

/// Why a set of keys is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is none: nobody could ever be let in.
    #[error("no key is configured; set client.keys or client.key_file")]
    NoKey,
    /// One of them is empty: everybody would be let in.
    #[error("one of client.keys is empty; remove it or give it a value")]
    EmptyKey,
    /// A key of the file is one of the fixed ones: which scopes it has would be anybody's guess.
    #[error("client.key_file gives {0} a key that is also in client.keys; take it out of one of them")]
    Twice(String),
    /// The file of keys.
    #[error("client.key_file: {0}")]
    File(#[from] KeyFileError),
}

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No key was presented.
    Missing,
    /// The key presented is none of ours.
    Wrong,
    /// The key is known, and not good for this.
    Scope {
        /// Whose key it is.
        name: Arc<str>,
        /// What it lacks.
        needs: Scope,
    },
}

impl Keyring {
    /// The keyring of `keys`, which are good for everything, and of those that `file` describes.
    pub fn new<K: AsRef<str>>(keys: &[K], file: Option<PathBuf>) -> Result<Self, KeyringError> {
        Self::bounded(keys, file, Allowance::default())
    }

    /// The same, where the bearer of each key may use as much as `allowance` says, or else its entry in the file.
    pub fn bounded<K: AsRef<str>>(
        keys: &[K],
        file: Option<PathBuf>,
        allowance: Allowance,
    ) -> Result<Self, KeyringError> {
        if keys.iter().any(|key| key.as_ref().is_empty()) {
            return Err(KeyringError::EmptyKey);
        }
        let fixed: Vec<Known> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let hash = blake3::hash(key.as_ref().as_bytes());
                Known::new(&format!("client.keys[{at}]"), hash, Scope::ALL.to_vec(), allowance)
            })
            .collect();
        let ring = Self { fixed, file, allowance, current: RwLock::new(Arc::new([])) };
        *ring.current.write() = ring.read()?;
        Ok(ring)
    }

    fn read(&self) -> Result<Arc<[Known]>, KeyringError> {
        let mut known = self.fixed.clone();
        if let Some(file) = &self.file {
            let current = self.current.read().clone();
            for (entry, hash) in key_file::read(file)? {
                if self.fixed.iter().any(|fixed| fixed.hash == hash) {
                    return Err(KeyringError::Twice(entry.name));
                }
                let allowance = entry.allowance(self.allowance);
                let mut new = Known::new(&entry.name, hash, entry.scopes, allowance);
                // Reading the file again refills nobody's bucket.
                let before = current.iter().find(|known| known.holder.name == new.holder.name);
                if let Some(before) = before.filter(|known| known.allowance == allowance) {
                    new.holder = before.holder.clone();
                }
                known.push(new);
            }
        }
        if known.is_empty() { Err(KeyringError::NoKey) } else { Ok(known.into()) }
    }

    /// Reads the file again; whether it says something new. After an error what was in force stays in force.
    pub fn reload(&self) -> Result<bool, KeyringError> {
        let found = self.read()?;
        let mut current = self.current.write();
        let is_new = *current != found;
        *current = found;
        Ok(is_new)
    }

    /// Whether the bearer of `key` may do what `needs` names; then whose key it is.
    pub fn admit(&self, key: Option<&str>, needs: Scope) -> Result<KeyHolder, Denied> {
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(Denied::Missing);
        };
        let presented = blake3::hash(key.as_bytes());
        let current = Arc::clone(&self.current.read());
        // Every hash is compared, and each comparison is in constant time.
        let found = current.iter().fold(None, |found, known| if known.hash == presented { Some(known) } else { found });
        match found {
            None => Err(Denied::Wrong),
            Some(known) if known.scopes.contains(&needs) => Ok(known.holder.clone()),
            Some(known) => Err(Denied::Scope { name: Arc::clone(&known.holder.name), needs }),
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.current.read().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{Exceeded, KeyEntry};

    fn admitted(keyring: &Keyring, key: Option<&str>, needs: Scope) -> Result<Arc<str>, Denied> {
        keyring.admit(key, needs).map(|holder| holder.name)
    }

    #[test]
    fn any_of_the_keys_opens_and_nothing_else_does() {
        let keyring = Keyring::new(&["first", "second"], None).expect("two keys");
        let cases = [
            (Some("first"), Ok("client.keys[0]".into())),
            (Some("second"), Ok("client.keys[1]".into())),
            (Some("First"), Err(Denied::Wrong)),
            (Some("first "), Err(Denied::Wrong)),
            (Some(""), Err(Denied::Missing)),
            (None, Err(Denied::Missing)),
        ];
        for (key, expected) in cases {
            assert_eq!(admitted(&keyring, key, Scope::Admin), expected, "{key:?}");
        }
    }

    #[test]
    fn a_keyring_that_admits_nobody_or_everybody_is_refused() {
        assert!(matches!(Keyring::new::<&str>(&[], None).expect_err("empty"), KeyringError::NoKey));
        assert!(matches!(Keyring::new(&["key", ""], None).expect_err("empty key"), KeyringError::EmptyKey));
    }

    #[test]
    fn a_key_of_the_file_is_good_for_its_scopes_until_it_is_taken_out() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (reader, entry) = KeyEntry::generate("reader", &[Scope::Read]);
        let (writer, other) = KeyEntry::generate("writer", &[Scope::Write, Scope::Schema]);
        std::fs::write(file.path(), entry.to_toml() + &other.to_toml()).expect("writable");
        let keyring = Keyring::new::<&str>(&[], Some(file.path().to_owned())).expect("two keys");
        assert_eq!(admitted(&keyring, Some(&reader), Scope::Read), Ok("reader".into()));
        assert_eq!(admitted(&keyring, Some(&writer), Scope::Schema), Ok("writer".into()));
        for needs in [Scope::Write, Scope::Schema, Scope::Admin] {
            let denied = Denied::Scope { name: "reader".into(), needs };
            assert_eq!(admitted(&keyring, Some(&reader), needs), Err(denied));
        }
        // The hash is no key.
        assert_eq!(admitted(&keyring, Some(&entry.hash), Scope::Read), Err(Denied::Wrong));

        let both =
            Keyring::new(&["another", reader.as_str()], Some(file.path().to_owned())).expect_err("one key, two rights");
        assert!(matches!(&both, KeyringError::Twice(name) if name == "reader"), "{both}");

        assert!(!keyring.reload().expect("unchanged"));
        std::fs::write(file.path(), "nonsense").expect("writable");
        keyring.reload().expect_err("not a file of keys");
        assert_eq!(admitted(&keyring, Some(&reader), Scope::Read), Ok("reader".into()), "what was good stays");
        std::fs::write(file.path(), other.to_toml()).expect("writable");
        assert!(keyring.reload().expect("one key"));
        assert_eq!(admitted(&keyring, Some(&reader), Scope::Read), Err(Denied::Wrong));
        std::fs::write(file.path(), "").expect("writable");
        keyring.reload().expect_err("nobody could be let in");
    }

    #[test]
    fn what_was_used_outlives_a_look_at_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (key, entry) = KeyEntry::generate("reader", &[Scope::Read]);
        let write = |rate: &str| std::fs::write(file.path(), entry.to_toml() + rate).expect("writable");
        write("rate = 1\nburst = 2\n");
        let keyring = Keyring::new::<&str>(&[], Some(file.path().to_owned())).expect("one key");
        let usage = || keyring.admit(Some(&key), Scope::Read).expect("it is good").usage;
        assert_eq!([usage().count(), usage().count()], [Ok(()); 2]);
        assert!(!keyring.reload().expect("unchanged"));
        assert!(matches!(usage().count(), Err(Exceeded::Rate(_))), "a look at the file refilled the bucket");
        write("rate = 2\n");
        assert!(keyring.reload().expect("another rate"));
        assert_eq!(usage().count(), Ok(()));
    }

    #[test]
    fn no_key_appears_in_debug_output() {
        let shown = format!("{:?}", Keyring::new(&["secret"], None).expect("one key"));
        assert!(!shown.contains("secret") && !shown.contains(blake3::hash(b"secret").to_hex().as_str()), "{shown}");
    }
}
