//! How changelog records and counters are kept on disk: a version byte, then bincode. The only file of the store that names
//! bincode.
//!
//! Decoding takes untrusted bytes: it checks the version, bounds what it allocates, and leaves no byte unread.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ChangeRecord, StoreError};
use crate::model::Counter;

/// The format that is written. Numbers are never reused.
const FORMAT: u8 = 1;
/// No record is larger: the largest deletion of one entry, with every name at its longest, stays below.
const RECORD_BYTES: usize = 512 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<RECORD_BYTES>()
}

/// Bytes of `change`.
pub(super) fn encode_change(change: &ChangeRecord) -> Result<Vec<u8>, StoreError> {
    encode("changelog", change)
}

/// The record in `bytes`.
pub(super) fn decode_change(bytes: &[u8]) -> Result<ChangeRecord, StoreError> {
    decode("changelog", bytes)
}

/// Bytes of `counters`.
pub(super) fn encode_counters(counters: &[Counter]) -> Result<Vec<u8>, StoreError> {
    encode("counters", &counters)
}

/// The counters in `bytes`.
pub(super) fn decode_counters(bytes: &[u8]) -> Result<Vec<Counter>, StoreError> {
    decode("counters", bytes)
}

pub(super) fn encode(place: &'static str, record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![FORMAT];
    bincode::serde::encode_into_std_write(record, &mut bytes, config())
        .map_err(|e| StoreError::Engine(format!("a record of {place} does not encode: {e}")))?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(place: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt { place, what };
    let (&format, body) = bytes.split_first().ok_or_else(|| corrupt("an empty value".into()))?;
    if format != FORMAT {
        return Err(corrupt(format!("format {format}, known is {FORMAT}")));
    }
    let (record, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|e| corrupt(format!("does not decode: {e}")))?;
    if used == body.len() { Ok(record) } else { Err(corrupt(format!("{} bytes too many", body.len() - used))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{change, counter};

    #[test]
    fn records_come_back_and_damage_is_refused() {
        let record = change(u128::MAX, &["doc:a#viewer@user:x", "doc:b#viewer@group:g#member"]);
        let bytes = encode_change(&record).unwrap();
        assert_eq!(bytes[0], FORMAT);
        assert_eq!(decode_change(&bytes).unwrap(), record);
        for cut in 0..bytes.len() {
            assert!(decode_change(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode_change(&[bytes.clone(), vec![0]].concat()).is_err());
        assert!(decode_change(&[vec![9], bytes[1..].to_vec()].concat()).is_err());
        // A length that no memory could hold is refused before anything is reserved for it.
        let huge = [vec![FORMAT], vec![0; 1], vec![253], u64::MAX.to_le_bytes().to_vec()].concat();
        assert!(decode_change(&huge).is_err());
    }

    #[test]
    fn counters_come_back() {
        let counters = vec![counter("all"), counter("some")];
        assert_eq!(decode_counters(&encode_counters(&counters).unwrap()).unwrap(), counters);
        assert!(decode_counters(&[FORMAT, 7]).is_err());
    }
}
