//! The cursor of a stream: where to go on, at which state, and for which request. This file is its only codec.
//!
//! ```text
//! 0x80 + version 2 (u8) | lineage (u64) | revision (u64) | digest of store and request (16 bytes) | place | crc32c (u32)
//! place: 1 (u8) | the last tuple's six parts, each as length (u16) and text
//!      | 2 (u8) | time of the first page in ms (u64) | candidates dealt with (u64)
//! ```
//! all big-endian, the checksum over what precedes it, written in base64url without padding. The first bit is set so that no
//! cursor passes for the zookie of a later version.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::consistency::Zookie;
use crate::model::{
    Error, ErrorCode, ObjectRef, RelationName, Revision, StoreId, SubjectRef, TimestampMs, TupleKey, limits,
};

const VERSION: u8 = 0x80 | 2;
const AFTER_TUPLE: u8 = 1;
const AFTER_CANDIDATES: u8 = 2;
const DIGEST_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

const _: () = assert!(limits::OBJECT_ID_BYTES <= u16::MAX as usize);

/// Which request a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of everything in a request to `store` that must stay the same from page to page.
    pub(super) fn of(store: StoreId, request: &impl Serialize) -> Self {
        let json = serde_json::to_vec(&(store, request)).expect("a request is plain data with string keys");
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&blake3::hash(&json).as_bytes()[..DIGEST_BYTES]);
        Self(digest)
    }
}

/// Behind what a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The last tuple that was given.
    Tuple(TupleKey),
    /// The candidates of a lookup that were dealt with.
    Candidates {
        /// When the first page was asked for: every page walks as it was then.
        walked_at: TimestampMs,
        /// How many.
        count: u64,
    },
}

/// Where a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The cluster that it was made by.
    pub(super) lineage: u64,
    /// The state that the stream is about.
    pub(super) revision: Revision,
    /// The request that it belongs to.
    pub(super) digest: Digest,
    /// What was given.
    pub(super) after: Place,
}

impl Cursor {
    /// Goes on behind `after` in the state that `zookie` names.
    pub(super) fn after(zookie: Zookie, digest: Digest, after: Place) -> Self {
        Self { lineage: zookie.lineage, revision: zookie.revision, digest, after }
    }

    pub(super) fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.lineage.to_be_bytes());
        bytes.extend(self.revision.index().to_be_bytes());
        bytes.extend(self.digest.0);
        self.after.encode(&mut bytes);
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client sent back. The error does not say whether the lineage and the digest fit: see [`Cursor::belongs`].
    pub(super) fn decode(token: &str) -> Result<Self, Error> {
        const DAMAGED: &str =
            "it is damaged, or not made by this version of the product; send it back exactly as a response gave it";
        if token.len() > limits::CURSOR_BYTES {
            return Err(invalid(DAMAGED));
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid(DAMAGED))?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(_) | None => return Err(invalid(DAMAGED)),
        }
        Self::parse(&bytes).ok_or_else(|| invalid(DAMAGED))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if crc32c::crc32c(body).to_be_bytes() != checksum {
            return None;
        }
        let mut rest = body.get(1..)?;
        let lineage = u64::from_be_bytes(take(&mut rest)?);
        let revision = Revision::new(u64::from_be_bytes(take(&mut rest)?));
        let digest = Digest(take(&mut rest)?);
        let after = Place::parse(&mut rest)?;
        rest.is_empty().then_some(Self { lineage, revision, digest, after })
    }

    /// Refuses a cursor of another cluster or another request.
    pub(super) fn belongs(&self, lineage: u64, digest: Digest) -> Result<(), Error> {
        if self.lineage != lineage {
            return Err(invalid("it was made by another cluster; start again without it"));
        }
        if self.digest != digest {
            return Err(invalid(
                "it belongs to another request; repeat the request that it was made for, all else unchanged",
            ));
        }
        Ok(())
    }
}

impl Place {
    /// The tuple; an error where a cursor belongs to something else.
    pub(super) fn tuple(self) -> Result<TupleKey, Error> {
        match self {
            Self::Tuple(key) => Ok(key),
            Self::Candidates { .. } => Err(invalid("it belongs to a lookup; send it with that")),
        }
    }

    /// Time and count of a lookup; an error where a cursor belongs to something else.
    pub(super) fn candidates(self) -> Result<(TimestampMs, u64), Error> {
        match self {
            Self::Candidates { walked_at, count } => Ok((walked_at, count)),
            Self::Tuple(_) => Err(invalid("it belongs to a read; send it with that")),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Candidates { walked_at: TimestampMs(millis), count } => {
                bytes.push(AFTER_CANDIDATES);
                bytes.extend(millis.to_be_bytes());
                bytes.extend(count.to_be_bytes());
            }
            Self::Tuple(TupleKey { resource, relation, subject }) => {
                bytes.push(AFTER_TUPLE);
                for part in [
                    resource.object_type.as_str(),
                    resource.object_id.as_str(),
                    relation.as_str(),
                    subject.object.object_type.as_str(),
                    subject.object.object_id.as_str(),
                    subject.relation.as_ref().map_or("", |relation| relation.as_str()),
                ] {
                    let length = u16::try_from(part.len()).expect("names are bounded well below 64 KiB");
                    bytes.extend(length.to_be_bytes());
                    bytes.extend(part.as_bytes());
                }
            }
        }
    }

    fn parse(rest: &mut &[u8]) -> Option<Self> {
        match take::<1>(rest)? {
            [AFTER_TUPLE] => {
                let [resource_type, resource_id, relation] = [take_text(rest)?, take_text(rest)?, take_text(rest)?];
                let [subject_type, subject_id, subject_relation] =
                    [take_text(rest)?, take_text(rest)?, take_text(rest)?];
                Some(Self::Tuple(TupleKey {
                    resource: ObjectRef::new(resource_type, resource_id).ok()?,
                    relation: RelationName::new(relation).ok()?,
                    subject: SubjectRef::new(subject_type, subject_id, subject_relation).ok()?,
                }))
            }
            [AFTER_CANDIDATES] => Some(Self::Candidates {
                walked_at: TimestampMs(u64::from_be_bytes(take(rest)?)),
                count: u64::from_be_bytes(take(rest)?),
            }),
            _ => None,
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    std::str::from_utf8(taken).ok()
}

fn invalid(reason: &str) -> Error {
    Error::new(ErrorCode::InvalidCursor, format!("the cursor is not valid: {reason}")).with("reason", reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::consistency::ZookieError;
    use crate::model::{TupleFilter, TypeName};

    fn cursor(subject_relation: &str) -> Cursor {
        let filter = TupleFilter { resource_type: TypeName::new("document").ok(), ..TupleFilter::default() };
        Cursor {
            lineage: 11,
            revision: Revision::new(12),
            digest: Digest::of(StoreId::DEFAULT, &filter),
            after: Place::Tuple(TupleKey {
                resource: ObjectRef::new("document", "a").expect("valid"),
                relation: RelationName::new("viewer").expect("valid"),
                subject: SubjectRef::new("user", "b", subject_relation).expect("valid"),
            }),
        }
    }

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let candidates = Place::Candidates { walked_at: TimestampMs(7), count: 8 };
        for cursor in [cursor(""), cursor("member"), Cursor { after: candidates, ..cursor("") }] {
            assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }
    }

    #[test]
    fn a_cursor_and_a_zookie_are_not_taken_for_each_other() {
        assert_eq!(Zookie::decode(&cursor("member").encode()), Err(ZookieError::NotAZookie));
        let zookie = Zookie { lineage: 11, shard: 0, revision: Revision::new(12) };
        assert_eq!(Cursor::decode(&zookie.encode()).expect_err("a zookie").code, ErrorCode::InvalidCursor);
    }

    #[test]
    fn a_cursor_belongs_to_one_cluster_and_one_request() {
        let (cursor, other) = (cursor(""), Digest::of(StoreId::new(2), &TupleFilter::default()));
        assert_eq!(cursor.belongs(11, cursor.digest), Ok(()));
        for refused in [cursor.belongs(12, cursor.digest), cursor.belongs(11, other)] {
            assert_eq!(refused.expect_err("foreign").code, ErrorCode::InvalidCursor);
        }
        assert_ne!(Digest::of(StoreId::DEFAULT, &TupleFilter::default()), other);
    }

    proptest! {
        #[test]
        fn an_altered_character_is_refused(at in any::<prop::sample::Index>(), by in "[A-Za-z0-9_=-]") {
            let token = cursor("member").encode();
            let at = at.index(token.len());
            let mut altered = token.clone();
            altered.replace_range(at..=at, &by);
            prop_assume!(altered != token);
            prop_assert_eq!(Cursor::decode(&altered).expect_err("altered").code, ErrorCode::InvalidCursor);
        }

        #[test]
        fn no_text_panics(text in "[A-Za-z0-9_=-]{0,80}") {
            prop_assert!(Cursor::decode(&text).is_err());
        }
    }
}
