//! Values on disk. Each begins with its format. Pure, and safe on any bytes.
//!
//! A version of a tuple:
//!
//! ```text
//! format = 1 | flags | [name length u16 | name | context length u32 | context]  with CAVEAT
//!                    | [milliseconds u64]                                        with EXPIRES
//! ```
//!
//! A request that is remembered:
//!
//! ```text
//! format = 1 | revision u64 | milliseconds u64 | digest, 32 bytes | outcome
//! ```
//!
//! All big-endian. A tombstone has no flags, a live tuple without qualifiers is `01 01`. A schema version is its format and
//! the text. The place of a request in their order is its key alone.

use crate::model::{CaveatUse, Qualifiers, Revision, TimestampMs};

use super::super::{RequestRecord, StoreError};

const TUPLE_FORMAT: u8 = 1;
const SCHEMA_FORMAT: u8 = 1;
const REQUEST_FORMAT: u8 = 1;

const LIVE: u8 = 0b001;
const CAVEAT: u8 = 0b010;
const EXPIRES: u8 = 0b100;

fn corrupt(place: &'static str, what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { place, what: what.into() }
}

/// The value of a version: live with `Some`, a tombstone with `None`.
pub(super) fn encode_tuple(qualifiers: Option<&Qualifiers>) -> Result<Vec<u8>, StoreError> {
    let Some(qualifiers) = qualifiers else { return Ok(vec![TUPLE_FORMAT, 0]) };
    let mut flags = LIVE;
    let mut body = Vec::new();
    if let Some(caveat) = &qualifiers.caveat {
        flags |= CAVEAT;
        let too_long = |_| StoreError::Engine("a caveat's name or context is too long to store".into());
        let name_bytes = u16::try_from(caveat.name.len()).map_err(too_long)?;
        let context_bytes = u32::try_from(caveat.context_json.len()).map_err(too_long)?;
        body.extend_from_slice(&name_bytes.to_be_bytes());
        body.extend_from_slice(caveat.name.as_bytes());
        body.extend_from_slice(&context_bytes.to_be_bytes());
        body.extend_from_slice(caveat.context_json.as_bytes());
    }
    if let Some(TimestampMs(at)) = qualifiers.expires_at {
        flags |= EXPIRES;
        body.extend_from_slice(&at.to_be_bytes());
    }
    Ok([[TUPLE_FORMAT, flags].as_slice(), &body].concat())
}

/// What [`encode_tuple`] wrote.
pub(super) fn decode_tuple(place: &'static str, value: &[u8]) -> Result<Option<Qualifiers>, StoreError> {
    let Some(([format, flags], mut rest)) = value.split_first_chunk::<2>() else {
        return Err(corrupt(place, format!("a value of {} bytes", value.len())));
    };
    if *format != TUPLE_FORMAT {
        return Err(corrupt(place, format!("format {format}, known is {TUPLE_FORMAT}")));
    }
    let well_formed = flags & !(LIVE | CAVEAT | EXPIRES) == 0 && (flags & LIVE != 0 || *flags == 0);
    if !well_formed {
        return Err(corrupt(place, format!("flags {flags:#010b}")));
    }
    let mut qualifiers = Qualifiers::default();
    if flags & CAVEAT != 0 {
        let name_bytes = u16::from_be_bytes(take_array(place, &mut rest)?);
        let name = take_text(place, &mut rest, usize::from(name_bytes))?;
        let context_bytes = u32::from_be_bytes(take_array(place, &mut rest)?);
        let context_json = take_text(place, &mut rest, context_bytes as usize)?;
        qualifiers.caveat = Some(CaveatUse { name, context_json });
    }
    if flags & EXPIRES != 0 {
        qualifiers.expires_at = Some(TimestampMs(u64::from_be_bytes(take_array(place, &mut rest)?)));
    }
    if !rest.is_empty() {
        return Err(corrupt(place, format!("{} bytes too many", rest.len())));
    }
    Ok((flags & LIVE != 0).then_some(qualifiers))
}

fn take_array<const N: usize>(place: &'static str, rest: &mut &[u8]) -> Result<[u8; N], StoreError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| corrupt(place, "a value that ends early"))?;
    *rest = tail;
    Ok(*head)
}

fn take_text(place: &'static str, rest: &mut &[u8], bytes: usize) -> Result<String, StoreError> {
    let (head, tail) = rest.split_at_checked(bytes).ok_or_else(|| corrupt(place, "a value that ends early"))?;
    *rest = tail;
    String::from_utf8(head.to_vec()).map_err(|_| corrupt(place, "text that is not UTF-8"))
}

/// The value of a schema version.
pub(super) fn encode_schema(text: &str) -> Vec<u8> {
    [&[SCHEMA_FORMAT], text.as_bytes()].concat()
}

/// The text in a schema version's value.
pub(super) fn decode_schema(value: &[u8]) -> Result<&str, StoreError> {
    match value.split_first() {
        Some((&SCHEMA_FORMAT, text)) => {
            std::str::from_utf8(text).map_err(|_| corrupt("schemas", "text that is not UTF-8"))
        }
        Some((format, _)) => Err(corrupt("schemas", format!("format {format}, known is {SCHEMA_FORMAT}"))),
        None => Err(corrupt("schemas", "an empty value")),
    }
}

/// The value of a remembered request.
pub(super) fn encode_request(record: &RequestRecord) -> Vec<u8> {
    let RequestRecord { at, time: TimestampMs(millis), digest, outcome } = record;
    let numbers = [at.index().to_be_bytes(), millis.to_be_bytes()].concat();
    [&[REQUEST_FORMAT], numbers.as_slice(), digest, outcome].concat()
}

/// What [`encode_request`] wrote.
pub(super) fn decode_request(value: &[u8]) -> Result<RequestRecord, StoreError> {
    const PLACE: &str = "requests";
    let mut rest = value;
    let [format] = take_array(PLACE, &mut rest)?;
    if format != REQUEST_FORMAT {
        return Err(corrupt(PLACE, format!("format {format}, known is {REQUEST_FORMAT}")));
    }
    Ok(RequestRecord {
        at: Revision::new(u64::from_be_bytes(take_array(PLACE, &mut rest)?)),
        time: TimestampMs(u64::from_be_bytes(take_array(PLACE, &mut rest)?)),
        digest: take_array(PLACE, &mut rest)?,
        outcome: rest.to_vec(),
    })
}

/// A revision as a meta value.
pub(super) fn encode_revision(revision: Revision) -> [u8; 8] {
    revision.index().to_be_bytes()
}

/// What [`encode_revision`] wrote.
pub(super) fn decode_revision(value: &[u8]) -> Result<Revision, StoreError> {
    match value.try_into() {
        Ok(bytes) => Ok(Revision::new(u64::from_be_bytes(bytes))),
        Err(_) => Err(corrupt("meta", format!("an applied revision of {} bytes", value.len()))),
    }
}

/// A format number as a meta value.
pub(super) fn encode_format(format: u32) -> [u8; 4] {
    format.to_be_bytes()
}

/// What [`encode_format`] wrote.
pub(super) fn decode_format(value: &[u8]) -> Result<u32, StoreError> {
    match value.try_into() {
        Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
        Err(_) => Err(corrupt("meta", format!("a format number of {} bytes", value.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_shapes() -> Vec<Option<Qualifiers>> {
        let caveat = |context: &str| Some(CaveatUse { name: "limited".into(), context_json: context.into() });
        vec![
            None,
            Some(Qualifiers::default()),
            Some(Qualifiers { caveat: caveat("{\"a\":1}"), expires_at: None }),
            Some(Qualifiers { caveat: None, expires_at: Some(TimestampMs(7)) }),
            Some(Qualifiers { caveat: caveat(""), expires_at: Some(TimestampMs(u64::MAX)) }),
        ]
    }

    #[test]
    fn every_shape_comes_back_and_no_part_of_it_does() {
        for shape in all_shapes() {
            let bytes = encode_tuple(shape.as_ref()).unwrap();
            assert_eq!(decode_tuple("test", &bytes).unwrap(), shape);
            for cut in 0..bytes.len() {
                assert!(decode_tuple("test", &bytes[..cut]).is_err(), "{shape:?} cut at {cut}");
            }
            assert!(decode_tuple("test", &[bytes, vec![0]].concat()).is_err(), "{shape:?} with more behind it");
        }
    }

    #[test]
    fn the_bytes_are_as_documented() {
        assert_eq!(encode_tuple(None).unwrap(), [1, 0]);
        assert_eq!(encode_tuple(Some(&Qualifiers::default())).unwrap(), [1, 1]);
        let caveat = CaveatUse { name: "ab".into(), context_json: "{}".into() };
        let both = Qualifiers { caveat: Some(caveat), expires_at: Some(TimestampMs(5)) };
        assert_eq!(encode_tuple(Some(&both)).unwrap(), b"\x01\x07\0\x02ab\0\0\0\x02{}\0\0\0\0\0\0\0\x05");
        assert_eq!(encode_schema("x"), b"\x01x");
    }

    #[test]
    fn a_remembered_request_comes_back() {
        let record =
            RequestRecord { at: Revision::new(7), time: TimestampMs(8), digest: [9; 32], outcome: b"done".to_vec() };
        let bytes = encode_request(&record);
        assert_eq!(bytes.len(), 1 + 8 + 8 + 32 + 4);
        assert_eq!(decode_request(&bytes).unwrap(), record);
        for cut in 0..bytes.len() - 4 {
            assert!(decode_request(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode_request(&[&[2], &bytes[1..]].concat()).is_err());
    }

    #[test]
    fn unknown_formats_and_flags_are_refused() {
        for bad in [[0, 1], [2, 1], [1, 0b1001], [1, 0b010], [1, 0b100]] {
            assert!(decode_tuple("test", &bad).is_err(), "{bad:?}");
        }
        for bad in [b"".as_slice(), b"\x02x", b"\x01\xff"] {
            assert!(decode_schema(bad).is_err(), "{bad:?}");
        }
        assert!(decode_revision(&[0; 7]).is_err());
        assert!(decode_format(&[0; 5]).is_err());
    }

    proptest! {
        #[test]
        fn what_decodes_is_what_would_be_written(bytes in proptest::collection::vec(any::<u8>(), 0..40), flags in 0u8..8) {
            let bytes = [vec![TUPLE_FORMAT, flags], bytes].concat();
            if let Ok(decoded) = decode_tuple("test", &bytes) {
                prop_assert_eq!(encode_tuple(decoded.as_ref()).unwrap(), bytes);
            }
        }
    }
}
