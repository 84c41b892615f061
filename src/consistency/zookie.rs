//! The zookie: an opaque token that names one index of one cluster's log. This file is its only codec.
//!
//! ```text
//! version 1 (u8) | lineage (u64) | shard (u16) | index (u64) | crc32c of what precedes (u32)      all big-endian
//! ```
//! written in base64url without padding: 23 bytes, 31 characters. The last character carries two unused bits, which must be
//! zero, so that one zookie has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Error, ErrorCode, Revision, limits};

const VERSION: u8 = Zookie::VERSION;
/// Versions to come. They stop below 8, since the tokens of SpiceDB begin with a protobuf tag, which is 8 at least.
const LAST_VERSION: u8 = 7;
const BODY_BYTES: usize = 1 + 8 + 2 + 8;
const BYTES: usize = BODY_BYTES + 4;

const _: () = assert!(BYTES.div_ceil(3) * 4 <= limits::ZOOKIE_BYTES);

/// Which state of which cluster an answer was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zookie {
    /// The cluster. Indexes of different lineages do not compare.
    pub lineage: u64,
    /// The Raft group; 0 while there is one.
    pub shard: u16,
    /// The index.
    pub revision: Revision,
}

/// Why a text is not a zookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZookieError {
    /// It does not have the shape of one.
    #[error("this token is not a zookie of this product; send back a token exactly as a response gave it")]
    NotAZookie,
    /// It has the shape of one, and the checksum does not match.
    #[error("this zookie is damaged; send back a token exactly as a response gave it")]
    Damaged,
    /// A newer version of the product made it.
    #[error("this zookie has version {0}, and this node understands version {VERSION} only; upgrade the node")]
    NewerVersion(u8),
}

impl From<ZookieError> for Error {
    fn from(error: ZookieError) -> Self {
        Self::new(ErrorCode::InvalidZookie, error.to_string())
    }
}

impl Zookie {
    /// The version of the tokens that are made here.
    pub const VERSION: u8 = 1;

    /// The token for a client.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend(self.lineage.to_be_bytes());
        bytes.extend(self.shard.to_be_bytes());
        bytes.extend(self.revision.index().to_be_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that a client sent back.
    pub fn decode(token: &str) -> Result<Self, ZookieError> {
        if token.len() > limits::ZOOKIE_BYTES {
            return Err(ZookieError::NotAZookie);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| ZookieError::NotAZookie)?;
        // The version comes first: a newer one may have another length.
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&newer) if (VERSION..=LAST_VERSION).contains(&newer) => return Err(ZookieError::NewerVersion(newer)),
            Some(_) | None => return Err(ZookieError::NotAZookie),
        }
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| ZookieError::NotAZookie)?;
        let (body, checksum) = bytes.split_at(BODY_BYTES);
        if crc32c::crc32c(body).to_be_bytes() != checksum {
            return Err(ZookieError::Damaged);
        }
        let lineage = u64::from_be_bytes(array(&bytes, 1));
        let shard = u16::from_be_bytes(array(&bytes, 9));
        let revision = Revision::new(u64::from_be_bytes(array(&bytes, 11)));
        Ok(Self { lineage, shard, revision })
    }
}

/// `N` bytes of a whole record from `at` on; every caller stays inside it.
fn array<const N: usize>(bytes: &[u8; BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_zookie() -> impl Strategy<Value = Zookie> {
        (any::<u64>(), any::<u16>(), any::<u64>()).prop_map(|(lineage, shard, index)| Zookie {
            lineage,
            shard,
            revision: Revision::new(index),
        })
    }

    #[test]
    fn the_format_is_fixed() {
        let zookie = Zookie { lineage: 0x0102_0304_0506_0708, shard: 0x090a, revision: Revision::new(0x0b0c_0d0e) };
        assert_eq!(zookie.encode(), "AQECAwQFBgcICQoAAAAACwwNDiuVmO0");
    }

    #[test]
    fn what_is_not_a_zookie_is_told_apart() {
        let good = Zookie { lineage: 7, shard: 0, revision: Revision::new(9) }.encode();
        let spicedb = "GhUKEzE2OTM1NDA5NDAzNzMwNDU3Mjc";
        for text in ["", "not base64!", spicedb, "====", &good[..20], &format!("{good}A"), &"A".repeat(5000)] {
            assert_eq!(Zookie::decode(text), Err(ZookieError::NotAZookie), "{text}");
        }
        assert_eq!(Zookie::decode("AgAAAAAA"), Err(ZookieError::NewerVersion(2)));
    }

    proptest! {
        #[test]
        fn a_zookie_survives_the_round_trip(zookie in any_zookie()) {
            prop_assert_eq!(Zookie::decode(&zookie.encode()), Ok(zookie));
        }

        #[test]
        fn an_altered_character_is_refused(zookie in any_zookie(), at in 0..31_usize, by in "[A-Za-z0-9_=+/ -]") {
            let token = zookie.encode();
            prop_assert_eq!(token.len(), 31);
            let mut altered = token.clone();
            altered.replace_range(at..=at, &by);
            prop_assume!(altered != token);
            prop_assert!(Zookie::decode(&altered).is_err());
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = Zookie::decode(&text);
        }
    }
}
