//! Files whose bytes are checked on the way: into a repository, and out of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::private_file;
use crate::store::FileEntry;

/// Bytes in memory at a time.
const PIECE_BYTES: usize = 1 << 20;

/// An IO error with what was being done to which path.
pub(super) fn failed<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Failure + 'a {
    move |error| Failure::new(format!("cannot {doing} {}: {error}", path.display()))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Failure> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

/// A file that is being received. Nobody takes it for whole before [`Incoming::finish`].
pub(super) struct Incoming {
    path: PathBuf,
    file: File,
    hash: blake3::Hasher,
    left: u64,
    expected: FileEntry,
}

impl Incoming {
    pub(super) fn begin(path: PathBuf, expected: FileEntry) -> Result<Self, Failure> {
        let file = private_file::create(&path).map_err(failed("create", &path))?;
        Ok(Self { path, file, hash: blake3::Hasher::new(), left: expected.bytes, expected })
    }

    /// How many bytes are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Takes as much of `bytes` as belongs to it; the rest.
    pub(super) fn write<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (own, rest) = bytes.split_at(take);
        self.file.write_all(own).map_err(failed("write", &self.path))?;
        self.hash.update(own);
        self.left -= take as u64;
        Ok(rest)
    }

    /// Gives it its final name, durably, if it is what it was said to be.
    pub(super) fn finish(self, name: &Path) -> Result<(), Failure> {
        if self.left > 0 || *self.hash.finalize().as_bytes() != self.expected.blake3 {
            return Err(Failure::new(format!(
                "{} did not arrive as it was sent; nothing of it is kept",
                self.expected.name
            )));
        }
        self.file.sync_all().map_err(failed("sync", &self.path))?;
        fs::rename(&self.path, name).map_err(failed("rename to", name))?;
        name.parent().map_or(Ok(()), sync_folder)
    }
}

/// Reads the object at `path` and hands its bytes on; an error where it is not what `expected` says.
pub(super) fn read_checked(
    path: &Path,
    expected: &FileEntry,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format!("{} is missing", path.display())),
        _ => failed("read", path)(error),
    })?;
    let (mut hash, mut bytes, mut piece) = (blake3::Hasher::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece).map_err(failed("read", path))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hash.update(&piece[..read]);
        take(&piece[..read]).map_err(failed("copy", path))?;
    }
    if bytes != expected.bytes || *hash.finalize().as_bytes() != expected.blake3 {
        let message = format!("{} is damaged: it is not what was backed up as {}", path.display(), expected.name);
        return Err(Failure::new(message).hint(
            "delete that file, and take a new backup on the same node: it is fetched again, if the node still has it",
        ));
    }
    Ok(())
}
