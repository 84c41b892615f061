//! All of a node's state at one index, as files: what a backup is made of.
//!
//! The files are hard links to those of the running store, so making them holds up nobody who applies or reads; they take room
//! only as the store goes on to replace its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::blocking;
use super::replica::Replica;
use super::snapshot::SnapshotFiles;
use crate::model::Revision;
use crate::store::FileEntry;

/// A state as files. They are removed when this is dropped.
pub struct StateFiles {
    /// The cluster.
    pub lineage: u64,
    /// The node that they are from.
    pub node_id: u64,
    /// The index that they are the state at.
    pub revision: Revision,
    /// The term of the entry there.
    pub term: u64,
    /// The oldest revision that can be read in them.
    pub oldest: Revision,
    /// The hash chain at the index.
    pub chain: [u8; 32],
    files: SnapshotFiles,
}

impl StateFiles {
    /// What the files are, in order of name.
    #[must_use]
    pub fn list(&self) -> &[FileEntry] {
        self.files.list()
    }

    /// Where one of them is.
    #[must_use]
    pub fn path(&self, file: &FileEntry) -> PathBuf {
        self.files.path().join(&file.name)
    }
}

impl Replica {
    /// The state as it is now. Reads all of it once, for the checksums.
    pub async fn state_files(&self) -> io::Result<StateFiles> {
        let (store, snapshots) = (Arc::clone(self.checkpoints()), Arc::clone(self.snapshots()));
        let made = blocking::aside(move || snapshots.build_aside(&*store)).await?;
        let nothing = || io::Error::other("nothing is applied yet, so there is nothing to back up");
        let last = made.state.last.ok_or_else(nothing)?;
        Ok(StateFiles {
            lineage: self.lineage(),
            node_id: self.node_id(),
            revision: made.state.revision(),
            term: last.leader_id.term,
            oldest: made.oldest,
            chain: made.state.chain,
            files: made.files,
        })
    }
}
