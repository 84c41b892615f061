//! Backups as a use case: what a node gives of its state.

use futures::stream::BoxStream;

use crate::model::{Error, Revision};

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// Its name, without any folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: [u8; 32],
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupManifest {
    /// The cluster.
    pub lineage: u64,
    /// The node that it is made on.
    pub node_id: u64,
    /// The index that it is the state at.
    pub revision: Revision,
    /// The term of the entry there.
    pub term: u64,
    /// The oldest revision that can be read in it.
    pub oldest: Revision,
    /// The hash chain at the index, in hexadecimal.
    pub state_hash: String,
    /// In order of name.
    pub files: Vec<BackupFile>,
}

/// A backup on its way to whoever asked for it. Dropping it ends it.
pub struct BackupStream {
    /// What it holds.
    pub manifest: BackupManifest,
    /// The bytes of the files that are wanted, one after another. It ends after the last one, or after an error.
    pub chunks: BoxStream<'static, Result<Vec<u8>, Error>>,
}
