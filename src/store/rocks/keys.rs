//! Keys on disk. Fixed for ever: a change here is a new on-disk format. Pure, and safe on any bytes.
//!
//! ```text
//! tuples by resource  store | type \0 | id \0 | relation \0 | subject type \0 | subject id \0 | subject relation \0 | !index
//! tuples by subject   store | subject type \0 | subject id \0 | subject relation \0 | type \0 | relation \0 | id \0 | !index
//! schemas             store | !index
//! counters            store | !index
//! changelog           store | index
//! meta                one byte
//! requests            store | idempotency key
//! request order       index | store | idempotency key
//! ```
//!
//! `store` is 4 bytes and `index` 8, both big-endian. No name holds a NUL, so the byte order of keys is the order of their
//! parts, and no name runs into the next. `!index` is the complement, so the newest version of a tuple comes first.
//!
//! One tuple through a put at 5, a delete at 9 and a put at 12 (parts up to the subject's relation written as `T`):
//!
//! ```text
//! T | !12 = ff ff ff ff ff ff ff f3   live        views at 12 and above stop here
//! T | !9  = ff ff ff ff ff ff ff f6   tombstone   views at 9 to 11 stop here: no such tuple
//! T | !5  = ff ff ff ff ff ff ff fa   live        views at 5 to 8 stop here; below 5 nothing is left of T
//! ```
//!
//! To read `T` at revision `r`, seek `T | !r`: the first key found, if it is still `T`, is the newest version ≤ `r`.

use crate::model::{
    IdempotencyKey, ObjectId, ObjectRef, RelationName, Revision, StoreId, SubjectRef, TupleKey, TypeName,
};

use super::super::{ScanOrder, StoreError};

const SEPARATOR: u8 = 0;
const STORE_BYTES: usize = 4;
const INDEX_BYTES: usize = 8;
/// Names in a tuple's key.
const PARTS: usize = 6;
/// Names that make up the prefix with a bloom filter: `resource#relation`, or the whole subject.
const GROUP_PARTS: usize = 3;

const _: () = assert!(STORE_BYTES == size_of::<u32>() && INDEX_BYTES == size_of::<u64>());
const _: () = assert!(size_of::<StoreId>() == STORE_BYTES && size_of::<Revision>() == INDEX_BYTES);

/// The name under which the prefix rule is recorded on disk.
pub(super) const GROUP_RULE: &str = "quorate.first-three-names";

/// The single records. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum MetaRecord {
    Format = 0,
    AppliedRevision = 1,
    Applied = 2,
    Identity = 3,
    Cluster = 4,
    OldestRevision = 5,
    Floors = 6,
    Settings = 7,
}

impl MetaRecord {
    pub(super) fn key(self) -> [u8; 1] {
        [self as u8]
    }
}

/// A tuple's names, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names<'a> {
    pub(super) resource_type: &'a str,
    pub(super) resource_id: &'a str,
    pub(super) relation: &'a str,
    pub(super) subject_type: &'a str,
    pub(super) subject_id: &'a str,
    /// Empty for the object itself.
    pub(super) subject_relation: &'a str,
}

impl<'a> Names<'a> {
    pub(super) fn of(key: &'a TupleKey) -> Self {
        Self {
            resource_type: key.resource.object_type.as_str(),
            resource_id: key.resource.object_id.as_str(),
            relation: key.relation.as_str(),
            subject_type: key.subject.object.object_type.as_str(),
            subject_id: key.subject.object.object_id.as_str(),
            subject_relation: key.subject.relation.as_ref().map_or("", RelationName::as_str),
        }
    }

    fn in_order(&self, order: ScanOrder) -> [&'a str; PARTS] {
        let of_subject = [self.subject_type, self.subject_id, self.subject_relation];
        match order {
            ScanOrder::ByResource => {
                [self.resource_type, self.resource_id, self.relation, of_subject[0], of_subject[1], of_subject[2]]
            }
            ScanOrder::BySubject => {
                [of_subject[0], of_subject[1], of_subject[2], self.resource_type, self.relation, self.resource_id]
            }
        }
    }

    fn from_order(order: ScanOrder, parts: [&'a str; PARTS]) -> Self {
        match order {
            ScanOrder::ByResource => {
                let [resource_type, resource_id, relation, subject_type, subject_id, subject_relation] = parts;
                Self { resource_type, resource_id, relation, subject_type, subject_id, subject_relation }
            }
            ScanOrder::BySubject => {
                let [subject_type, subject_id, subject_relation, resource_type, relation, resource_id] = parts;
                Self { resource_type, resource_id, relation, subject_type, subject_id, subject_relation }
            }
        }
    }

    /// The names as a valid key. What was read from disk is checked like any other input.
    pub(super) fn to_key(self, order: ScanOrder) -> Result<TupleKey, StoreError> {
        let parse = || {
            let relation = match self.subject_relation {
                "" => None,
                name => Some(RelationName::new(name)?),
            };
            Ok(TupleKey {
                resource: ObjectRef {
                    object_type: TypeName::new(self.resource_type)?,
                    object_id: ObjectId::new(self.resource_id)?,
                },
                relation: RelationName::new(self.relation)?,
                subject: SubjectRef { object: ObjectRef::new(self.subject_type, self.subject_id)?, relation },
            })
        };
        parse().map_err(|e: crate::model::NameError| corrupt(order, e.to_string()))
    }
}

/// What a keyspace is called in errors.
pub(super) fn place(order: ScanOrder) -> &'static str {
    match order {
        ScanOrder::ByResource => "tuples by resource",
        ScanOrder::BySubject => "tuples by subject",
    }
}

fn corrupt(order: ScanOrder, what: String) -> StoreError {
    StoreError::Corrupt { place: place(order), what }
}

/// The beginning of a key, grown name by name.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    bytes: Vec<u8>,
}

impl Prefix {
    pub(super) fn new(store: StoreId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&store.get().to_be_bytes());
        Self { bytes }
    }

    /// With one more whole name.
    pub(super) fn name(mut self, name: &str) -> Self {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(SEPARATOR);
        self
    }

    /// With the beginning of a name.
    pub(super) fn beginning(mut self, of_name: &str) -> Self {
        self.bytes.extend_from_slice(of_name.as_bytes());
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first key behind all that begin with this, or `None` when there is none.
    pub(super) fn end(&self) -> Option<Vec<u8>> {
        let last = self.bytes.iter().rposition(|byte| *byte != u8::MAX)?;
        let mut end = self.bytes[..=last].to_vec();
        end[last] += 1;
        Some(end)
    }
}

/// A tuple's key without the version.
pub(super) fn tuple_prefix(store: StoreId, order: ScanOrder, names: Names<'_>) -> Prefix {
    names.in_order(order).into_iter().fold(Prefix::new(store), Prefix::name)
}

/// Appends the version `at` to a tuple's key.
pub(super) fn versioned(tuple: &[u8], at: Revision) -> Vec<u8> {
    [tuple, &(!at.index()).to_be_bytes()].concat()
}

/// Splits a tuple's key into what names it and its version.
pub(super) fn split_version(order: ScanOrder, key: &[u8]) -> Result<(&[u8], Revision), StoreError> {
    match key.split_last_chunk::<INDEX_BYTES>() {
        Some((tuple, version)) => Ok((tuple, Revision::new(!u64::from_be_bytes(*version)))),
        None => Err(corrupt(order, format!("a key of {} bytes", key.len()))),
    }
}

/// The names in a tuple's key without the version.
pub(super) fn decode_names(order: ScanOrder, tuple: &[u8]) -> Result<Names<'_>, StoreError> {
    let text = tuple.get(STORE_BYTES..).and_then(|names| std::str::from_utf8(names).ok());
    let text = text.ok_or_else(|| corrupt(order, "a key that is not text".into()))?;
    let mut parts = [""; PARTS];
    let mut rest = text;
    for part in &mut parts {
        // Names are short: to look at each byte is quicker here than to search for the separator.
        let end = rest.bytes().position(|byte| byte == SEPARATOR);
        let end = end.ok_or_else(|| corrupt(order, format!("a key of fewer than {PARTS} names")))?;
        (*part, rest) = (&rest[..end], &rest[end + 1..]);
    }
    if rest.is_empty() {
        Ok(Names::from_order(order, parts))
    } else {
        Err(corrupt(order, format!("a key of more than {PARTS} names")))
    }
}

/// The key of the version of a tuple that was written at `at`, as it lies on disk in `order`.
#[must_use]
pub fn tuple_key(store: StoreId, order: ScanOrder, key: &TupleKey, at: Revision) -> Vec<u8> {
    versioned(tuple_prefix(store, order, Names::of(key)).bytes(), at)
}

/// The tuple and the revision that such a key names; [`StoreError::Corrupt`] where it is none.
pub fn decode_tuple_key(order: ScanOrder, key: &[u8]) -> Result<(TupleKey, Revision), StoreError> {
    let (tuple, at) = split_version(order, key)?;
    Ok((decode_names(order, tuple)?.to_key(order)?, at))
}

/// The part of a tuple's key that its bloom filter is about: store and the first three names. All of what it is given where
/// there are fewer, which [`has_group`] tells the engine not to ask for.
pub(super) fn group(key: &[u8]) -> &[u8] {
    group_end(key).map_or(key, |end| &key[..end])
}

/// Whether [`group`] applies.
pub(super) fn has_group(key: &[u8]) -> bool {
    group_end(key).is_some()
}

fn group_end(key: &[u8]) -> Option<usize> {
    let names = key.get(STORE_BYTES..)?;
    let separators = names.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
    separators.map(|(i, _)| STORE_BYTES + i + 1).nth(GROUP_PARTS - 1)
}

/// The key of a version of what a store has one of: its schema, its counters.
pub(super) fn version_key(store: StoreId, at: Revision) -> Vec<u8> {
    versioned(&store.get().to_be_bytes(), at)
}

/// The revision in such a key.
pub(super) fn decode_version_key(place: &'static str, key: &[u8]) -> Result<Revision, StoreError> {
    split_version_key(place, key).map(|(_, at)| at)
}

/// Store and revision in such a key.
pub(super) fn split_version_key(place: &'static str, key: &[u8]) -> Result<(StoreId, Revision), StoreError> {
    decode_plain(place, key).map(|(store, index)| (store, Revision::new(!index)))
}

/// The key of a changelog record.
pub(super) fn change_key(store: StoreId, at: Revision) -> Vec<u8> {
    [store.get().to_be_bytes().as_slice(), &at.index().to_be_bytes()].concat()
}

/// The revision in a changelog record's key.
pub(super) fn decode_change_key(key: &[u8]) -> Result<Revision, StoreError> {
    split_change_key(key).map(|(_, at)| at)
}

/// The key of what is remembered of a request.
pub(super) fn request_key(store: StoreId, key: &IdempotencyKey) -> Vec<u8> {
    [store.get().to_be_bytes().as_slice(), key.as_str().as_bytes()].concat()
}

/// Where the order of requests has those of `at`.
pub(super) fn request_order_start(at: Revision) -> [u8; INDEX_BYTES] {
    at.index().to_be_bytes()
}

/// The key of a request's place in their order.
pub(super) fn request_order_key(at: Revision, store: StoreId, key: &IdempotencyKey) -> Vec<u8> {
    [request_order_start(at).as_slice(), &request_key(store, key)].concat()
}

/// What such a key says.
pub(super) fn decode_request_order_key(bytes: &[u8]) -> Result<(Revision, StoreId, IdempotencyKey), StoreError> {
    let parse = || {
        let (index, rest) = bytes.split_first_chunk::<INDEX_BYTES>()?;
        let (store, key) = rest.split_first_chunk::<STORE_BYTES>()?;
        let key = IdempotencyKey::new(std::str::from_utf8(key).ok()?).ok()?;
        Some((Revision::new(u64::from_be_bytes(*index)), StoreId::new(u32::from_be_bytes(*store)), key))
    };
    let corrupt = || StoreError::Corrupt { place: "request order", what: format!("a key of {} bytes", bytes.len()) };
    parse().ok_or_else(corrupt)
}

/// Store and revision in a changelog record's key.
pub(super) fn split_change_key(key: &[u8]) -> Result<(StoreId, Revision), StoreError> {
    decode_plain("changelog", key).map(|(store, index)| (store, Revision::new(index)))
}

fn decode_plain(place: &'static str, key: &[u8]) -> Result<(StoreId, u64), StoreError> {
    let parts =
        key.split_first_chunk::<STORE_BYTES>().map(|(store, index)| (store, <[u8; INDEX_BYTES]>::try_from(index)));
    match parts {
        Some((store, Ok(index))) => Ok((StoreId::new(u32::from_be_bytes(*store)), u64::from_be_bytes(index))),
        Some((_, Err(_))) | None => Err(StoreError::Corrupt { place, what: format!("a key of {} bytes", key.len()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{key, rev};
    use proptest::prelude::*;

    const STORE: StoreId = StoreId::new(0x0102_0304);
    const ORDERS: [ScanOrder; 2] = [ScanOrder::ByResource, ScanOrder::BySubject];

    fn full(order: ScanOrder, text: &str, at: u64) -> Vec<u8> {
        tuple_key(STORE, order, &key(text), rev(at))
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let tuple = "doc:a#viewer@group:g#member";
        let version = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa];
        let forward = [b"\x01\x02\x03\x04doc\0a\0viewer\0group\0g\0member\0".as_slice(), &version].concat();
        let reverse = [b"\x01\x02\x03\x04group\0g\0member\0doc\0viewer\0a\0".as_slice(), &version].concat();
        assert_eq!(full(ScanOrder::ByResource, tuple, 5), forward);
        assert_eq!(full(ScanOrder::BySubject, tuple, 5), reverse);
        assert_eq!(group(&forward), b"\x01\x02\x03\x04doc\0a\0viewer\0");
        assert_eq!(group(&reverse), b"\x01\x02\x03\x04group\0g\0member\0");
        assert!(
            full(ScanOrder::ByResource, "doc:a#viewer@user:x", 5).ends_with(&[b"x\0\0".as_slice(), &version].concat())
        );
        assert_eq!(version_key(STORE, rev(5)), [b"\x01\x02\x03\x04".as_slice(), &version].concat());
        assert_eq!(change_key(STORE, rev(5)), b"\x01\x02\x03\x04\0\0\0\0\0\0\0\x05");
        let key = IdempotencyKey::new("k 1").unwrap();
        assert_eq!(request_key(STORE, &key), b"\x01\x02\x03\x04k 1");
        assert_eq!(request_order_key(rev(5), STORE, &key), b"\0\0\0\0\0\0\0\x05\x01\x02\x03\x04k 1");
    }

    #[test]
    fn keys_come_back() {
        for order in ORDERS {
            for text in ["doc:a#viewer@user:x", "tenant/doc:a|b#viewer@group:*", "doc:a#viewer@group:g#member"] {
                let bytes = full(order, text, 7);
                let (tuple, at) = split_version(order, &bytes).unwrap();
                assert_eq!(at, rev(7));
                assert_eq!(decode_names(order, tuple).unwrap().to_key(order).unwrap(), key(text));
            }
        }
        assert_eq!(decode_version_key("test", &version_key(STORE, rev(3))).unwrap(), rev(3));
        assert_eq!(decode_change_key(&change_key(STORE, rev(3))).unwrap(), rev(3));
        let request = (rev(3), STORE, IdempotencyKey::new("k").unwrap());
        assert_eq!(decode_request_order_key(&request_order_key(request.0, request.1, &request.2)).unwrap(), request);
    }

    #[test]
    fn newer_versions_come_first_and_tuples_keep_their_order() {
        assert!(
            full(ScanOrder::ByResource, "doc:a#viewer@user:x", 12)
                < full(ScanOrder::ByResource, "doc:a#viewer@user:x", 9)
        );
        assert!(
            full(ScanOrder::ByResource, "doc:a#viewer@user:x", 1)
                < full(ScanOrder::ByResource, "doc:a#viewer@user:xx", 9)
        );
        assert!(
            full(ScanOrder::ByResource, "doc:a#viewer@user:x", 1)
                < full(ScanOrder::ByResource, "doc:a-#viewer@user:a", 9)
        );
    }

    #[test]
    fn the_end_is_behind_all_that_begin_with_a_prefix() {
        let prefix = Prefix::new(STORE).name("doc").beginning("ab");
        assert_eq!(prefix.end().unwrap(), b"\x01\x02\x03\x04doc\0ac");
        assert_eq!(Prefix::new(StoreId::new(0x01ff_ffff)).end().unwrap(), [2]);
        assert_eq!(Prefix::new(StoreId::new(u32::MAX)).end(), None);
    }

    #[test]
    fn damaged_keys_are_refused() {
        for order in ORDERS {
            assert!(split_version(order, b"1234567").is_err());
            for bad in [
                b"".as_slice(),
                b"\0\0\0",
                b"\0\0\0\x01a\0b\0c\0d\0e\0f",
                b"\0\0\0\x01a\0b\0c\0d\0e\0f\0g",
                b"\0\0\0\x01\xff\0",
            ] {
                assert!(decode_names(order, bad).is_err(), "{bad:?}");
            }
            let names = decode_names(order, b"\0\0\0\x01A\0b\0c\0d\0e\0f\0").unwrap();
            assert!(names.to_key(order).is_err());
        }
        assert!(decode_version_key("test", b"\0\0\0\x01").is_err());
        assert!(decode_change_key(&[0; 13]).is_err());
        assert!(decode_request_order_key(&[0; 11]).is_err() && decode_request_order_key(&[0; 13]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for order in ORDERS {
                if let Ok((tuple, _)) = split_version(order, &bytes) {
                    let _ = decode_names(order, tuple).map(|names| names.to_key(order));
                }
            }
            let _ = (decode_version_key("test", &bytes), decode_change_key(&bytes), decode_request_order_key(&bytes));
            prop_assert!(bytes.starts_with(group(&bytes)));
        }
    }
}
