//! Preshared keys. Only their hashes are kept, and a comparison takes the same time whatever the key, so that neither a dump
//! nor a stopwatch gives a key away.

/// The keys that a client may present.
#[derive(Clone)]
pub struct Keyring {
    hashes: Vec<blake3::Hash>,
}

/// Why a set of keys is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is none: nobody could ever be let in.
    #[error("no key is configured; set at least one")]
    NoKey,
    /// One of them is empty: everybody would be let in.
    #[error("one of the keys is empty; remove it or give it a value")]
    EmptyKey,
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No key was presented.
    Missing,
    /// The key presented is none of ours.
    Wrong,
}

impl Keyring {
    /// The keyring of `keys`.
    pub fn new<K: AsRef<str>>(keys: &[K]) -> Result<Self, KeyringError> {
        if keys.is_empty() {
            return Err(KeyringError::NoKey);
        }
        if keys.iter().any(|key| key.as_ref().is_empty()) {
            return Err(KeyringError::EmptyKey);
        }
        Ok(Self { hashes: keys.iter().map(|key| blake3::hash(key.as_ref().as_bytes())).collect() })
    }

    /// Whether the bearer of `key` is let in.
    pub fn admit(&self, key: Option<&str>) -> Result<(), Denied> {
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(Denied::Missing);
        };
        let presented = blake3::hash(key.as_bytes());
        // Every hash is compared, and each comparison is in constant time.
        let known = self.hashes.iter().fold(false, |found, hash| found | (*hash == presented));
        if known { Ok(()) } else { Err(Denied::Wrong) }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.hashes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_keys_opens_and_nothing_else_does() {
        let keyring = Keyring::new(&["first", "second"]).expect("two keys");
        let cases = [
            (Some("first"), Ok(())),
            (Some("second"), Ok(())),
            (Some("First"), Err(Denied::Wrong)),
            (Some("first "), Err(Denied::Wrong)),
            (Some(""), Err(Denied::Missing)),
            (None, Err(Denied::Missing)),
        ];
        for (key, expected) in cases {
            assert_eq!(keyring.admit(key), expected, "{key:?}");
        }
    }

    #[test]
    fn a_keyring_that_admits_nobody_or_everybody_is_refused() {
        assert_eq!(Keyring::new::<&str>(&[]).expect_err("empty"), KeyringError::NoKey);
        assert_eq!(Keyring::new(&["key", ""]).expect_err("empty key"), KeyringError::EmptyKey);
    }

    #[test]
    fn no_key_appears_in_debug_output() {
        let shown = format!("{:?}", Keyring::new(&["secret"]).expect("one key"));
        assert!(!shown.contains("secret") && !shown.contains(blake3::hash(b"secret").to_hex().as_str()), "{shown}");
    }
}
