//! Where a node keeps its one current snapshot.
//!
//! `snapshot-N/` holds the files and `snapshot-N.meta` what the log says of them. The meta file is written last, by rename,
//! after everything else is synced: it is what makes a snapshot exist. Whatever has no meta file is left over from a crash and
//! is removed at start-up, and so are all snapshots but the newest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use openraft::storage::Snapshot as RaftSnapshot;
use parking_lot::Mutex;

use super::files::{Receiving, SnapshotFiles};
use crate::model::Revision;
use crate::raft::apply::AppliedState;
use crate::raft::codec;
use crate::raft::types::{Snapshot, SnapshotMeta};
use crate::store::{CheckpointStore, FileEntry, StoreError};

/// The snapshots of one node.
pub(in crate::raft) struct SnapshotFolder {
    root: PathBuf,
    state: Mutex<State>,
}

struct State {
    current: Option<Kept>,
    next: u64,
}

/// A state as files, and what it says of itself.
pub(in crate::raft) struct Aside {
    /// Where the log stands in it.
    pub(in crate::raft) state: AppliedState,
    /// The oldest revision that can be read in it.
    pub(in crate::raft) oldest: Revision,
    /// The files.
    pub(in crate::raft) files: SnapshotFiles,
}

#[derive(Clone)]
struct Kept {
    number: u64,
    meta: SnapshotMeta,
    files: SnapshotFiles,
}

impl SnapshotFolder {
    /// Opens or creates the folder, and clears what a crash left in it.
    pub(in crate::raft) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        if let Some(parent) = root.parent() {
            File::open(parent)?.sync_all()?;
        }
        let mut kept: Vec<Kept> = Vec::new();
        let mut names = Vec::new();
        for entry in fs::read_dir(root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(number) = name.strip_prefix("snapshot-").and_then(|rest| rest.strip_suffix(".meta")) {
                kept.push(read_meta(root, number)?);
            }
            names.push(name);
        }
        kept.sort_by_key(|one| (one.meta.last_log_id, one.number));
        let current = kept.pop();
        let keep = current.as_ref().map(|one| folder_name(one.number));
        for name in names {
            if keep.as_deref() != Some(name.strip_suffix(".meta").unwrap_or(&name)) {
                remove(&root.join(&name))?;
            }
        }
        let next = current.as_ref().map_or(1, |one| one.number + 1);
        Ok(Self { root: root.to_owned(), state: Mutex::new(State { current, next }) })
    }

    /// The newest snapshot.
    pub(in crate::raft) fn current(&self) -> Option<Snapshot> {
        let state = self.state.lock();
        state.current.as_ref().map(|kept| RaftSnapshot { meta: kept.meta.clone(), snapshot: kept.files.clone() })
    }

    /// Makes a snapshot of `store` as it is now. What the log says of it is read from the checkpoint itself: `store` may be
    /// further by then.
    pub(in crate::raft) fn build(&self, store: &dyn CheckpointStore) -> io::Result<Snapshot> {
        let (number, made) = self.make(store)?;
        let meta = SnapshotMeta { last_log_id: made.state.last, last_membership: made.state.membership };
        self.keep(Kept { number, meta, files: made.files })
    }

    /// The files of `store` as it is now, for other use than as a snapshot: they go with their last user, or at the next start.
    pub(in crate::raft) fn build_aside(&self, store: &dyn CheckpointStore) -> io::Result<Aside> {
        self.make(store).map(|(_, made)| made)
    }

    fn make(&self, store: &dyn CheckpointStore) -> io::Result<(u64, Aside)> {
        let number = self.take_number();
        let path = self.root.join(folder_name(number));
        let checkpoint = store.checkpoint(&path).map_err(io::Error::other)?;
        let files = SnapshotFiles::new(path, checkpoint.files);
        let state = match &checkpoint.applied {
            None => AppliedState::default(),
            Some(record) => codec::decode(record).map_err(|e| {
                io::Error::other(StoreError::Corrupt { place: "applied state of a checkpoint", what: e.to_string() })
            })?,
        };
        Ok((number, Aside { state, oldest: checkpoint.oldest, files }))
    }

    /// A place for a snapshot that comes from another node.
    pub(in crate::raft) fn receive(&self, files: Vec<FileEntry>) -> io::Result<Receiving> {
        Receiving::begin(self.root.join(folder_name(self.take_number())), files)
    }

    /// Makes a received snapshot the current one.
    pub(in crate::raft) fn adopt(&self, meta: SnapshotMeta, files: SnapshotFiles) -> io::Result<SnapshotFiles> {
        let already = self.state.lock().current.as_ref().is_some_and(|kept| kept.files.path() == files.path());
        if !already {
            let number = number_of(files.path())?;
            self.keep(Kept { number, meta, files: files.clone() })?;
        }
        Ok(files)
    }

    fn take_number(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        state.next - 1
    }

    fn keep(&self, kept: Kept) -> io::Result<Snapshot> {
        write_meta(&self.root, &kept)?;
        kept.files.keep();
        let snapshot = RaftSnapshot { meta: kept.meta.clone(), snapshot: kept.files.clone() };
        let mut state = self.state.lock();
        let older = state.current.as_ref().is_none_or(|current| current.meta.last_log_id <= kept.meta.last_log_id);
        let retired = if older { state.current.replace(kept) } else { Some(kept) };
        drop(state);
        if let Some(retired) = retired {
            remove(&self.root.join(meta_name(retired.number)))?;
            retired.files.retire();
        }
        Ok(snapshot)
    }
}

fn folder_name(number: u64) -> String {
    format!("snapshot-{number:08}")
}

fn meta_name(number: u64) -> String {
    format!("{}.meta", folder_name(number))
}

fn number_of(path: &Path) -> io::Result<u64> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.strip_prefix("snapshot-").and_then(|digits| digits.parse().ok());
    number
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no snapshot folder", path.display())))
}

fn read_meta(root: &Path, number: &str) -> io::Result<Kept> {
    let path = root.join(format!("snapshot-{number}.meta"));
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let number: u64 = number.parse().map_err(|_| damaged("not a snapshot number".into()))?;
    let (meta, files): (SnapshotMeta, Vec<FileEntry>) =
        codec::decode(&fs::read(&path)?).map_err(|e| damaged(e.to_string()))?;
    let files = SnapshotFiles::new(root.join(folder_name(number)), files);
    files.keep();
    Ok(Kept { number, meta, files })
}

fn write_meta(root: &Path, kept: &Kept) -> io::Result<()> {
    let temporary = root.join(format!("{}.tmp", folder_name(kept.number)));
    let mut file = File::create(&temporary)?;
    file.write_all(&codec::encode(&(&kept.meta, kept.files.list())))?;
    file.sync_all()?;
    fs::rename(&temporary, root.join(meta_name(kept.number)))?;
    File::open(root)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
