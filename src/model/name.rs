//! Names: object types, relations and object ids, each valid by construction.
//!
//! The grammars are those of the authzed.api.v1 wire protocol, so that whatever SpiceDB accepts is accepted here. No name
//! can hold a NUL byte; the key codecs of the store rest on that.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits;

/// Why a text is not a name. The message says which rule was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not valid: {rule}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl NameError {
    fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        // An error never repeats more of a hostile input than a person would read.
        let text = text.chars().take(80).collect();
        Self { kind, text, rule }
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses and validates `text`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // As text, without a copy on the way: an entry of the log holds thousands of names.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a name")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The type of an object, with optional prefixes: `document`, `tenant/document`. At most 128 bytes.
    TypeName,
    check_type_name
);
name_type!(
    /// A relation or permission: `viewer`. At most 64 bytes.
    RelationName,
    check_relation_name
);
name_type!(
    /// The name of a caveat: shorter and with more characters than a type's may be, as in SpiceDB. At most 128 bytes.
    CaveatName,
    check_caveat_name
);
name_type!(
    /// The name of a relationship counter. At most 64 bytes.
    CounterName,
    check_counter_name
);
name_type!(
    /// The id of an object, or `*` for every object of a type where a subject may be a wildcard. At most 1024 bytes.
    ObjectId,
    check_object_id
);
name_type!(
    /// What a client calls one write, so that it can be sent again and take effect once. At most 128 bytes.
    IdempotencyKey,
    check_idempotency_key
);
name_type!(
    /// What an operator calls a region or a zone. At most 63 bytes.
    PlaceName,
    check_place_name
);

impl ObjectId {
    /// The id that stands for every object of its type.
    pub const WILDCARD: &'static str = "*";

    /// The wildcard id.
    #[must_use]
    pub fn wildcard() -> Self {
        Self(Arc::from(Self::WILDCARD))
    }

    /// Whether this is the wildcard.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        &*self.0 == Self::WILDCARD
    }
}

/// `^[a-z][a-z0-9_]{1,max-2}[a-z0-9]$`, the shape shared by type segments and relations.
fn is_identifier(text: &str, max: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    (3..=max).contains(&bytes.len())
        && first.is_ascii_lowercase()
        && (last.is_ascii_lowercase() || last.is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

fn check_type_name(text: &str) -> Result<(), NameError> {
    const RULE: &str = "a type is 3 to 64 characters of a-z, 0-9 and _, begins with a letter, does not end with _, and may \
                        have prefixes divided by /, 128 bytes in all";
    let fits = text.len() <= limits::TYPE_NAME_BYTES;
    if fits && text.split('/').all(|segment| is_identifier(segment, 64)) {
        Ok(())
    } else {
        Err(NameError::new("object type", text, RULE))
    }
}

fn check_caveat_name(text: &str) -> Result<(), NameError> {
    const RULE: &str = "a caveat is 1 to 128 characters of a-z, A-Z, 0-9 and / _ | -, and begins with none of / | -";
    let bytes = text.as_bytes();
    let begins = bytes.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"/_|-".contains(b);
    if begins && bytes.len() <= limits::CAVEAT_NAME_BYTES && bytes.iter().all(allowed) {
        Ok(())
    } else {
        Err(NameError::new("caveat", text, RULE))
    }
}

fn check_relation_name(text: &str) -> Result<(), NameError> {
    const RULE: &str =
        "a relation is 3 to 64 characters of a-z, 0-9 and _, begins with a letter and does not end with _";
    if is_identifier(text, limits::RELATION_NAME_BYTES) { Ok(()) } else { Err(NameError::new("relation", text, RULE)) }
}

fn check_counter_name(text: &str) -> Result<(), NameError> {
    const RULE: &str =
        "a counter's name is 3 to 64 characters of a-z, 0-9 and _, begins with a letter and does not end with _";
    if is_identifier(text, limits::COUNTER_NAME_BYTES) { Ok(()) } else { Err(NameError::new("counter", text, RULE)) }
}

fn check_object_id(text: &str) -> Result<(), NameError> {
    const RULE: &str = "an object id is 1 to 1024 characters of a-z, A-Z, 0-9 and / _ | - = +, or * alone";
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"/_|-=+".contains(b);
    let plain = !text.is_empty() && text.len() <= limits::OBJECT_ID_BYTES && text.as_bytes().iter().all(allowed);
    if plain || text == ObjectId::WILDCARD { Ok(()) } else { Err(NameError::new("object id", text, RULE)) }
}

/// No space at either end: a header loses it on its way.
fn check_idempotency_key(text: &str) -> Result<(), NameError> {
    const RULE: &str = "a key is 1 to 128 printable ASCII characters with no space at either end";
    let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let fits = (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&text.len());
    if printable && fits && text.trim_matches(' ') == text {
        Ok(())
    } else {
        Err(NameError::new("idempotency key", text, RULE))
    }
}

fn check_place_name(text: &str) -> Result<(), NameError> {
    const RULE: &str = "a region or a zone is 1 to 63 characters of a-z, A-Z, 0-9 and . _ -";
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let fits = (1..=limits::PLACE_NAME_BYTES).contains(&text.len());
    if fits && text.bytes().all(allowed) { Ok(()) } else { Err(NameError::new("place", text, RULE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_follow_the_wire_grammar() {
        for good in ["user", "abc", "tenant/user", "org_1/team_2/doc", "folder2"] {
            assert!(TypeName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "User", "user_", "1user", "us er", "/user", "user/", "a/user", "us\0er"] {
            assert!(TypeName::new(bad).is_err(), "{bad:?}");
        }
        assert!(TypeName::new(&"a".repeat(65)).is_err());
    }

    #[test]
    fn caveat_names_follow_the_wire_grammar() {
        for good in ["x", "Odd", "_f", "1x", "a/b/c", "on|off-peak"] {
            assert!(CaveatName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "-a", "a b", "é", "a\0"] {
            assert!(CaveatName::new(bad).is_err(), "{bad:?}");
        }
        assert!(CaveatName::new(&"a".repeat(129)).is_err());
    }

    #[test]
    fn relation_names_follow_the_wire_grammar() {
        assert!(RelationName::new("view_all").is_ok());
        for bad in ["", "...", "ab", "View", "view_", "a/b"] {
            assert!(RelationName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn idempotency_keys_are_printable_and_bounded() {
        for good in ["1", "order 17/create", "!~", &"k".repeat(128)] {
            assert!(IdempotencyKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\tb", "a\0", "a\u{7f}", "é", &"k".repeat(129)] {
            assert!(IdempotencyKey::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn places_are_plain_and_bounded() {
        for good in ["n", "eu-north.1", "Rack_7", &"r".repeat(63)] {
            assert!(PlaceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "eu north", "a/b", "é", "a\0", &"r".repeat(64)] {
            assert!(PlaceName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn object_ids_hold_the_documented_characters_only() {
        for good in ["1", "a/b|c=d+e-f_g", "*"] {
            assert!(ObjectId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a*", "**", "a\0", "é", "a:b", "a#b"] {
            assert!(ObjectId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ObjectId::new(&"x".repeat(1024)).is_ok());
        assert!(ObjectId::new(&"x".repeat(1025)).is_err());
        assert!(ObjectId::new("*").unwrap().is_wildcard());
    }
}
