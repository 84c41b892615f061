//! The manifest of a backup: one line with its checksum, then JSON. Pure, and safe on any bytes.

use serde::{Deserialize, Serialize};

use crate::consistency::Zookie;
use crate::model::Revision;
use crate::raft::BackedUp;
use crate::store::FileEntry;

/// What the first line begins with. The number is the format of what follows.
const HEADER: &str = "quorate backup 1 blake3 ";
/// The most files of one backup.
const MOST_FILES: usize = 1_000_000;

/// What a backup is, and which objects it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Manifest {
    /// What the files must say of themselves.
    pub(in crate::cli) backed_up: BackedUp,
    /// The node that it was made on.
    pub(in crate::cli) node_id: u64,
    /// The oldest revision that can be read in it.
    pub(in crate::cli) oldest: Revision,
    /// Of the node.
    pub(in crate::cli) version: String,
    /// When it was taken, by the clock of the machine that took it: milliseconds since 1970.
    pub(in crate::cli) created_ms: i64,
    /// The files, each an object with its hash for a name.
    pub(in crate::cli) files: Vec<FileEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    lineage: String,
    index: u64,
    term: u64,
    state_hash: String,
    node_id: u64,
    oldest_index: u64,
    version: String,
    created_ms: i64,
    files: Vec<FileRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRecord {
    name: String,
    bytes: u64,
    blake3: String,
}

impl Manifest {
    /// What the backup is called.
    pub(in crate::cli) fn name(&self) -> String {
        format!("{:016x}-{:020}", self.backed_up.lineage, self.backed_up.revision.index())
    }

    /// The token of the state that it holds.
    pub(in crate::cli) fn zookie(&self) -> String {
        Zookie { lineage: self.backed_up.lineage, shard: 0, revision: self.backed_up.revision }.encode()
    }

    /// Bytes of all files.
    pub(in crate::cli) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// When it was taken, for people.
    pub(in crate::cli) fn created(&self) -> String {
        jiff::Timestamp::from_millisecond(self.created_ms).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"))
    }

    /// As a file.
    pub(super) fn encode(&self) -> String {
        let file = |file: &FileEntry| FileRecord {
            name: file.name.clone(),
            bytes: file.bytes,
            blake3: blake3::Hash::from_bytes(file.blake3).to_hex().to_string(),
        };
        let record = Record {
            lineage: format!("{:016x}", self.backed_up.lineage),
            index: self.backed_up.revision.index(),
            term: self.backed_up.term,
            state_hash: blake3::Hash::from_bytes(self.backed_up.chain).to_hex().to_string(),
            node_id: self.node_id,
            oldest_index: self.oldest.index(),
            version: self.version.clone(),
            created_ms: self.created_ms,
            files: self.files.iter().map(file).collect(),
        };
        let body = serde_json::to_string_pretty(&record).expect("numbers and texts are always JSON");
        format!("{HEADER}{}\n{body}\n", blake3::hash(format!("{body}\n").as_bytes()).to_hex())
    }

    /// What a file says; else what is wrong with it.
    pub(super) fn decode(text: &str) -> Result<Self, String> {
        let (first, body) = text.split_once('\n').ok_or("it ends within its first line")?;
        let checksum = first.strip_prefix(HEADER).ok_or("it is no manifest that this version knows")?;
        if blake3::hash(body.as_bytes()).to_hex().as_str() != checksum {
            return Err("it does not match its checksum".to_owned());
        }
        let record: Record = serde_json::from_str(body).map_err(|error| error.to_string())?;
        if record.files.len() > MOST_FILES {
            return Err(format!("{} files are more than a backup has", record.files.len()));
        }
        let lineage = u64::from_str_radix(&record.lineage, 16).map_err(|error| format!("lineage: {error}"))?;
        let files = record.files.into_iter().map(|file| {
            let file = FileEntry { name: file.name, bytes: file.bytes, blake3: hash(&file.blake3)? };
            if file.has_plain_name() { Ok(file) } else { Err(format!("{:?} is no name of a file", file.name)) }
        });
        Ok(Self {
            backed_up: BackedUp {
                lineage,
                revision: Revision::new(record.index),
                term: record.term,
                chain: hash(&record.state_hash)?,
            },
            node_id: record.node_id,
            oldest: Revision::new(record.oldest_index),
            version: record.version,
            created_ms: record.created_ms,
            files: files.collect::<Result<_, String>>()?,
        })
    }
}

/// A hash in hexadecimal.
pub(super) fn hash(text: &str) -> Result<[u8; 32], String> {
    blake3::Hash::from_hex(text).map(|hash| *hash.as_bytes()).map_err(|_| format!("{text:?} is no hash"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let backed_up = BackedUp { lineage: 0xab, revision: Revision::new(7), term: 3, chain: [9; 32] };
        let file = |name: &str| FileEntry { name: name.to_owned(), bytes: 5, blake3: [1; 32] };
        let files = vec![file("000001.sst"), file("CURRENT")];
        let version = "0.1.0".to_owned();
        Manifest { backed_up, node_id: 2, oldest: Revision::new(1), version, created_ms: 1_700_000_000_000, files }
    }

    #[test]
    fn a_manifest_comes_back() {
        let manifest = manifest();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        assert_eq!(manifest.name(), "00000000000000ab-00000000000000000007");
        assert_eq!((manifest.bytes(), manifest.created()), (10, "2023-11-14T22:13:20Z".to_owned()));
        assert_eq!(Zookie::decode(&manifest.zookie()).unwrap().revision, Revision::new(7));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let text = manifest().encode();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(altered) = String::from_utf8(bytes) {
                assert!(Manifest::decode(&altered).is_err(), "bit of byte {at}");
            }
            assert!(Manifest::decode(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["../x", "a/b", "", ".hidden", "a\0b"] {
            let mut manifest = manifest();
            manifest.files[0].name = name.to_owned();
            assert!(Manifest::decode(&manifest.encode()).unwrap_err().contains("no name"), "{name:?}");
        }
    }
}
