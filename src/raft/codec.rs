//! How replicated values become bytes, on disk and between nodes: one version byte, then bincode.
//!
//! The only file above the store that names the bincode crate. Bytes are not trusted: decoding is bounded and never
//! panics, and trailing bytes are refused.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::SizeWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FeatureLevel;

/// Written first in every record. Append-only: a new layout gets a new number and, from the first release on, old ones stay
/// readable. Version 1, which did not record who was removed, was before that.
const VERSION: u8 = 2;
/// The layout of [`VERSION`], for the state of a cluster above the first feature level. Programs that know of no levels know no
/// such version, and refuse a state that they could no longer follow.
const LEVELLED: u8 = 3;

/// Largest record, in bytes. A log entry must fit into one message between nodes.
pub(super) const RECORD_BYTES: usize = 24 << 20;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No bytes at all.
    #[error("an empty record")]
    Empty,
    /// Made by another version of the product.
    #[error(
        "record version {0} is not known to this version, which reads versions {VERSION} and {LEVELLED}: run the one that \
         wrote it"
    )]
    Version(u8),
    /// Damaged.
    #[error("damaged record: {0}")]
    Damaged(String),
}

/// Room for most records, so that they do not grow field by field.
const USUAL_BYTES: usize = 512;
const UNLIMITED: Configuration<LittleEndian, Fixint> = bincode::config::standard().with_fixed_int_encoding();

fn config() -> Configuration<LittleEndian, Fixint, Limit<RECORD_BYTES>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<RECORD_BYTES>()
}

/// Encodes a value. Values of this product always encode: they hold no maps with unencodable keys and no unsized parts.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_as(VERSION, value)
}

/// Encodes what a state at `level` says of itself.
pub(super) fn encode_at<T: Serialize>(level: FeatureLevel, value: &T) -> Vec<u8> {
    encode_as(if level == FeatureLevel::FIRST { VERSION } else { LEVELLED }, value)
}

fn encode_as<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.push(version);
    bincode::serde::encode_into_std_write(value, &mut bytes, UNLIMITED).expect("encoding into memory cannot fail");
    bytes
}

/// How many bytes [`encode`] would make.
pub(super) fn encoded_bytes<T: Serialize>(value: &T) -> usize {
    let mut size = SizeWriter::default();
    bincode::serde::encode_into_writer(value, &mut size, UNLIMITED).expect("counting cannot fail");
    1 + size.bytes_written
}

/// Decodes what [`encode`] or [`encode_at`] made.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (&version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if ![VERSION, LEVELLED].contains(&version) {
        return Err(CodecError::Version(version));
    }
    let (value, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|e| CodecError::Damaged(e.to_string()))?;
    if used == body.len() {
        Ok(value)
    } else {
        Err(CodecError::Damaged(format!("{} bytes too many", body.len() - used)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Command, CommandBody, NodeAddress};

    fn command() -> Command {
        let address = NodeAddress { client: "127.0.0.1:1".into(), peer: "127.0.0.1:2".into() };
        Command {
            op_id: 7,
            proposed_at: crate::model::TimestampMs(9),
            body: std::sync::Arc::new(CommandBody::AdmitNode(address)),
        }
    }

    #[test]
    fn round_trips() {
        let bytes = encode(&command());
        assert_eq!(decode::<Command>(&bytes), Ok(command()));
        assert_eq!(encoded_bytes(&command()), bytes.len());
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        let good = encode(&command());
        assert_eq!(decode::<Command>(&[]), Err(CodecError::Empty));
        assert_eq!(decode::<Command>(&[9, 1, 2]), Err(CodecError::Version(9)));
        for cut in 1..good.len() {
            assert!(decode::<Command>(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = good;
        long.push(0);
        assert!(decode::<Command>(&long).is_err());
    }
}
