//! The files of one snapshot, and the receiving of them.
//!
//! A folder that a newer snapshot replaced is removed once its last reader is done, so that a slow follower can finish.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{FileEntry, verify_checkpoint};

/// A snapshot's folder and the list of what is in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SnapshotFiles {
    folder: Arc<Folder>,
    files: Arc<[FileEntry]>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    obsolete: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "an old snapshot could not be removed");
        }
    }
}

impl SnapshotFiles {
    /// A folder that is removed with its last user, until [`SnapshotFiles::keep`] is called.
    pub(super) fn new(path: PathBuf, files: Vec<FileEntry>) -> Self {
        let folder = Folder { path, obsolete: AtomicBool::new(true) };
        Self { folder: Arc::new(folder), files: files.into() }
    }

    /// Lets the folder stay.
    pub(super) fn keep(&self) {
        self.folder.obsolete.store(false, Ordering::Release);
    }

    /// Where the files are.
    pub(in crate::raft) fn path(&self) -> &Path {
        &self.folder.path
    }

    /// The files, in the order in which they are sent.
    pub(in crate::raft) fn list(&self) -> &[FileEntry] {
        &self.files
    }

    /// Removes the folder once nobody uses it any more.
    pub(super) fn retire(&self) {
        self.folder.obsolete.store(true, Ordering::Release);
    }
}

/// A snapshot on its way in. Dropped before [`Receiving::finish`], it leaves nothing behind.
pub(in crate::raft) struct Receiving {
    path: PathBuf,
    expected: Vec<FileEntry>,
    open: Option<(File, u64)>,
    next: usize,
    finished: bool,
}

impl Receiving {
    pub(super) fn begin(path: PathBuf, expected: Vec<FileEntry>) -> io::Result<Self> {
        let named_plainly = |file: &FileEntry| {
            let name = file.name.as_str();
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
        };
        if let Some(file) = expected.iter().find(|file| !named_plainly(file)) {
            return Err(invalid(format!("a snapshot may not hold a file named {:?}", file.name)));
        }
        fs::create_dir(&path)?;
        Ok(Self { path, expected, open: None, next: 0, finished: false })
    }

    /// Takes the next bytes of the files, which follow each other in the order of the list.
    pub(in crate::raft) fn write(&mut self, mut chunk: &[u8]) -> io::Result<()> {
        while !chunk.is_empty() {
            let (file, left) = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(next) = self.expected.get(self.next) else {
                        return Err(invalid("a snapshot holds more bytes than its list says".into()));
                    };
                    self.next += 1;
                    self.open.insert((File::create_new(self.path.join(&next.name))?, next.bytes))
                }
            };
            let take = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
            file.write_all(&chunk[..take])?;
            *left -= take as u64;
            chunk = &chunk[take..];
            self.close_if_full()?;
        }
        Ok(())
    }

    fn close_if_full(&mut self) -> io::Result<()> {
        if let Some((file, 0)) = &self.open {
            file.sync_all()?;
            self.open = None;
        }
        Ok(())
    }

    /// Checks sizes and checksums of all that came in, and syncs the folder.
    pub(in crate::raft) fn finish(mut self) -> io::Result<SnapshotFiles> {
        // Files of no bytes at the end of the list were never opened by a chunk.
        while let Some(next) = self.expected.get(self.next)
            && next.bytes == 0
            && self.open.is_none()
        {
            File::create_new(self.path.join(&next.name))?.sync_all()?;
            self.next += 1;
        }
        if self.open.is_some() || self.next != self.expected.len() {
            return Err(invalid("a snapshot ended before its last file".into()));
        }
        File::open(&self.path)?.sync_all()?;
        verify_checkpoint(&self.path, &self.expected).map_err(io::Error::other)?;
        self.finished = true;
        Ok(SnapshotFiles::new(self.path.clone(), std::mem::take(&mut self.expected)))
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: start-up removes what is left over.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
