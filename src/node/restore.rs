//! Restoring a backup: its files become the data of the first node of a new cluster.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::identity::{DataDir, Identity, IdentityError, Origin, failed};
use crate::raft::{self, BackedUp, Membership, RestoreError};

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestorationError {
    /// The new data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The files.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// An empty data directory, taken for a node that is to be.
pub struct Restoration {
    data: DataDir,
    making: PathBuf,
    files: PathBuf,
}

impl Restoration {
    /// Takes `dir`, which must be empty or missing.
    pub fn begin(dir: &Path) -> Result<Self, RestorationError> {
        if has_content(dir).map_err(failed(dir))? {
            return Err(IdentityError::NotEmpty(dir.to_owned()).into());
        }
        let data = DataDir::open(dir)?;
        let making = data.begin_founding()?;
        let files = making.join("files");
        fs::create_dir(&files).map_err(failed(&files))?;
        Ok(Self { data, making, files })
    }

    /// Where the files of the backup are to be put.
    #[must_use]
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Founds the cluster from the files there, which must be those that `expected` says. Broken off anywhere, it leaves an
    /// empty directory to the next start, or is finished by it.
    pub async fn perform(self, expected: BackedUp, keep_zookies: bool) -> Result<Membership, RestorationError> {
        // Never 0, which stands for "none" between nodes. A new one even where zookies are kept: it is by this that nodes and
        // zookies of before and after are told apart.
        let lineage = rand::random::<u64>().max(1);
        let membership = raft::restore(&self.files, &self.making, lineage, expected, keep_zookies).await?;
        self.data.decide_founding(Identity { membership, origin: Origin::Restore })?;
        Ok(membership)
    }
}

/// Whether a folder holds more than traces of a restore that was broken off.
fn has_content(dir: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if !["lock", "founding", "lost+found"].iter().any(|trace| name == *trace) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_restored_over_what_is_there() {
        let home = tempfile::tempdir().unwrap();
        for (name, allowed) in [("identity", false), ("state", false), ("notes", false), ("lost+found", true)] {
            let dir = home.path().join(format!("with-{name}"));
            fs::create_dir_all(dir.join(name)).unwrap();
            assert_eq!(Restoration::begin(&dir).is_ok(), allowed, "{name}");
        }
        let missing = home.path().join("missing");
        drop(Restoration::begin(&missing).unwrap());
        Restoration::begin(&missing).expect("traces of a restore that was broken off");
    }
}
