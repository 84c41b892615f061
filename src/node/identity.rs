//! Who a node is, on disk: the `identity` file in its data directory.
//!
//! It is written once, by rename, after the databases of the new member exist and are marked as its own. A directory with
//! databases and no identity, or the other way round, is not what any crash leaves behind in normal work, and is refused: a
//! node that guessed could vote twice in one term or lose what it acknowledged.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::raft::Membership;

const FORMAT: u32 = 1;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another quorate process; stop that one, or give this one its own --data-dir", .0.display())]
    InUse(PathBuf),
    /// The identity file is not readable.
    #[error("{} is damaged ({reason}); restore it from a backup of this node, or remove the whole data directory and join as a \
             new node", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What a cluster that was founded here left behind is in the way.
    #[error("{} holds data of before an earlier recovery; move it elsewhere first", .0.display())]
    Aside(PathBuf),
    /// It is to be empty.
    #[error("{} is not empty: a backup is restored into a folder of its own", .0.display())]
    NotEmpty(PathBuf),
    /// Databases without an identity.
    #[error("{} holds databases but no identity file: a set-up was interrupted, or the file was removed. If this node never \
             served, remove the directory and start over; else restore the file", .0.display())]
    Leftover(PathBuf),
    /// An identity without databases.
    #[error("{} says that this is node {node_id}, but its databases are gone. A node cannot come back with an empty disk under \
             its old id: remove the whole data directory and join as a new node", path.display())]
    Wiped {
        /// The directory.
        path: PathBuf,
        /// The id.
        node_id: u64,
    },
}

/// How a node came to be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    /// It began the cluster.
    Init,
    /// It joined one.
    Join,
    /// It founded a cluster of what it had left of another one.
    Recover,
    /// It founded a cluster from a backup.
    Restore,
}

/// The content of the identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) membership: Membership,
    pub(super) origin: Origin,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    lineage: String,
    node_id: u64,
    origin: Origin,
}

/// A data directory that belongs to this process alone.
pub(super) struct DataDir {
    path: PathBuf,
    // Held for its lock.
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing, takes it, and finishes what was founded in it.
    pub(super) fn open(path: &Path) -> Result<Self, IdentityError> {
        fs::create_dir_all(path).map_err(failed(path))?;
        // The directory itself must outlive a power cut, not only what is in it.
        let parent = path.canonicalize().map_err(failed(path))?.parent().map(Path::to_owned);
        if let Some(parent) = parent {
            File::open(&parent).and_then(|dir| dir.sync_all()).map_err(failed(&parent))?;
        }
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {
                let data = Self { path: path.to_owned(), _lock: lock };
                data.finish_founding()?;
                Ok(data)
            }
            Err(TryLockError::WouldBlock) => Err(IdentityError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(&lock_path)(source)),
        }
    }

    /// A directory as a crash left it.
    #[cfg(test)]
    pub(super) fn unfinished(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: File::create(path.join("lock")).expect("writable") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Who this node is; `None` when it is nobody yet.
    pub(super) fn identity(&self) -> Result<Option<Identity>, IdentityError> {
        let databases = ["log", "state"].map(|name| self.path.join(name).exists());
        let Some(identity) = read_identity(&self.path)? else {
            return if databases.contains(&true) { Err(IdentityError::Leftover(self.path.clone())) } else { Ok(None) };
        };
        if databases.contains(&false) {
            return Err(IdentityError::Wiped { path: self.path.clone(), node_id: identity.membership.node_id });
        }
        Ok(Some(identity))
    }

    /// Makes this node who it is from now on.
    pub(super) fn write_identity(&self, identity: Identity) -> Result<(), IdentityError> {
        write_identity(&self.path, identity)
    }
}

/// Writes the identity file of a directory, durably and in one step.
pub(super) fn write_identity(dir: &Path, identity: Identity) -> Result<(), IdentityError> {
    let (path, temporary) = (dir.join("identity"), dir.join("identity.tmp"));
    let Identity { membership: Membership { lineage, node_id }, origin } = identity;
    let record = Record { format: FORMAT, lineage: format!("{lineage:016x}"), node_id, origin };
    let text = toml::to_string(&record).expect("a flat record of numbers and names is always TOML");
    let mut file = File::create(&temporary).map_err(failed(&temporary))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&temporary))?;
    fs::rename(&temporary, &path).map_err(failed(&path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))
}

/// The identity file of a directory; `None` where it has none.
pub(super) fn read_identity(dir: &Path) -> Result<Option<Identity>, IdentityError> {
    let path = dir.join("identity");
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map(Some).map_err(|reason| IdentityError::Damaged { path, reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(&path)(source)),
    }
}

fn parse(text: &str) -> Result<Identity, String> {
    let record: Record = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if record.format != FORMAT {
        return Err(format!("format {} is not known to this version, which reads {FORMAT}", record.format));
    }
    let lineage = u64::from_str_radix(&record.lineage, 16).map_err(|error| format!("lineage: {error}"))?;
    Ok(Identity { membership: Membership { lineage, node_id: record.node_id }, origin: record.origin })
}

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Identity = Identity { membership: Membership { lineage: 0xfeed, node_id: 3 }, origin: Origin::Join };

    fn member_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["log", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        dir
    }

    #[test]
    fn a_new_directory_is_nobody_and_stays_what_it_became() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.identity().unwrap(), None);
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        data.write_identity(NODE).unwrap();
        assert_eq!(data.identity().unwrap(), Some(NODE));
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(IdentityError::InUse(_))));
    }

    #[test]
    fn databases_without_identity_and_identity_without_databases_are_refused() {
        let dir = member_dir();
        let data = DataDir::open(dir.path()).unwrap();
        assert!(matches!(data.identity(), Err(IdentityError::Leftover(_))));
        data.write_identity(NODE).unwrap();
        fs::remove_dir(dir.path().join("log")).unwrap();
        assert!(matches!(data.identity(), Err(IdentityError::Wiped { node_id: 3, .. })));
    }

    #[test]
    fn a_damaged_identity_is_refused() {
        let dir = member_dir();
        let data = DataDir::open(dir.path()).unwrap();
        for text in
            ["", "format = 2\nlineage = \"1\"\nnode_id = 1\norigin = \"init\"\n", "format = 1\nlineage = \"x\"\n"]
        {
            fs::write(dir.path().join("identity"), text).unwrap();
            assert!(matches!(data.identity(), Err(IdentityError::Damaged { .. })), "{text:?}");
        }
    }
}
