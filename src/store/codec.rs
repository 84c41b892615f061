//! How changelog records are kept on disk: a version byte, then bincode. The only file of the store that names bincode.
//!
//! Decoding takes untrusted bytes: it checks the version, bounds what it allocates, and leaves no byte unread.

use super::{ChangeRecord, StoreError};

/// The format that is written. Numbers are never reused.
const CHANGE_FORMAT: u8 = 1;
/// No record is larger: the largest deletion of one entry, with every name at its longest, stays below.
const CHANGE_BYTES: usize = 512 << 20;
const PLACE: &str = "changelog";

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<CHANGE_BYTES>()
}

/// Bytes of `change`.
pub(super) fn encode_change(change: &ChangeRecord) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![CHANGE_FORMAT];
    bincode::serde::encode_into_std_write(change, &mut bytes, config())
        .map_err(|e| StoreError::Engine(format!("a changelog record does not encode: {e}")))?;
    Ok(bytes)
}

/// The record in `bytes`.
pub(super) fn decode_change(bytes: &[u8]) -> Result<ChangeRecord, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt { place: PLACE, what };
    let (&format, body) = bytes.split_first().ok_or_else(|| corrupt("an empty value".into()))?;
    if format != CHANGE_FORMAT {
        return Err(corrupt(format!("format {format}, known is {CHANGE_FORMAT}")));
    }
    let (change, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|e| corrupt(format!("does not decode: {e}")))?;
    if used == body.len() { Ok(change) } else { Err(corrupt(format!("{} bytes too many", body.len() - used))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::change;

    #[test]
    fn records_come_back_and_damage_is_refused() {
        let record = change(u128::MAX, &["doc:a#viewer@user:x", "doc:b#viewer@group:g#member"]);
        let bytes = encode_change(&record).unwrap();
        assert_eq!(bytes[0], CHANGE_FORMAT);
        assert_eq!(decode_change(&bytes).unwrap(), record);
        for cut in 0..bytes.len() {
            assert!(decode_change(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode_change(&[bytes.clone(), vec![0]].concat()).is_err());
        assert!(decode_change(&[vec![9], bytes[1..].to_vec()].concat()).is_err());
        // A length that no memory could hold is refused before anything is reserved for it.
        let huge = [vec![CHANGE_FORMAT], vec![0; 1], vec![253], u64::MAX.to_le_bytes().to_vec()].concat();
        assert!(decode_change(&huge).is_err());
    }
}
