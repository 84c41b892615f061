//! A folder of backups.
//!
//! ```text
//! quorate-backups              what the folder is; locked by whoever works in it
//! objects/ab/abcd…             a file of some backup, under its BLAKE3 hash
//! backups/LINEAGE-INDEX.manifest
//! tmp/                         what is not whole yet
//! ```
//! Invariants: an object is whole and durable when it has its name, and never changes; a manifest has its name only when all of
//! its objects have theirs. So a backup that was broken off leaves objects and no backup, and the next one uses them.
//!
//! Objects are open to their owner alone. Manifests and the rest name no object and no subject: who may enter the folder may
//! list the backups in it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::manifest::{self, Manifest};
use super::object::{Incoming, failed, read_checked, sync_folder};
use crate::cli::failure::Failure;
use crate::cli::private_file;
use crate::store::FileEntry;

const MARKER: &str = "quorate-backups";
const MARKER_TEXT: &str = "backups of quorate, format 1\n";
const OBJECTS: &str = "objects";
const BACKUPS: &str = "backups";
const TEMPORARY: &str = "tmp";
const ENDING: &str = ".manifest";
/// Largest manifest that is read.
const MANIFEST_BYTES: u64 = 512 << 20;

/// Who else may work in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Access {
    /// Others may read too.
    Shared,
    /// Nobody.
    Exclusive,
}

/// An open folder of backups.
pub(in crate::cli) struct Repository {
    path: PathBuf,
    /// Unlocked when closed.
    _lock: File,
}

impl Repository {
    /// Opens the folder for a new backup; makes one of a folder that is missing or empty.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        if !path.join(MARKER).exists() {
            let is_empty = fs::read_dir(path).map_err(failed("list", path))?.next().is_none();
            if !is_empty {
                let message = format!("{} is not empty and holds no backups; name another folder", path.display());
                return Err(Failure::new(message));
            }
            write_durably(&path.join(MARKER), MARKER_TEXT)?;
            path.canonicalize().ok().as_deref().and_then(Path::parent).map_or(Ok(()), sync_folder)?;
        }
        let repository = Self::open(path, Access::Exclusive)?;
        for folder in [OBJECTS, BACKUPS, TEMPORARY] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        }
        sync_folder(path)?;
        repository.clear_temporary()?;
        Ok(repository)
    }

    /// Opens a folder that is one.
    pub(in crate::cli) fn open(path: &Path, access: Access) -> Result<Self, Failure> {
        let marker = path.join(MARKER);
        let none = || Failure::new(format!("{} is no folder of backups: it has no file {MARKER}", path.display()));
        let text = fs::read_to_string(&marker).map_err(|_| none())?;
        if text != MARKER_TEXT {
            return Err(Failure::new(format!("{} was written by another version: {:?}", path.display(), text.trim())));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Exclusive);
        let lock = options.open(&marker).map_err(failed("open", &marker))?;
        let locked = match access {
            Access::Shared => lock.try_lock_shared(),
            Access::Exclusive => lock.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(format!("another command works in {}; wait for its end", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(failed("lock", &marker)(error)),
        }
    }

    /// An empty folder for what is not whole yet.
    pub(super) fn temporary(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(TEMPORARY).join(name);
        remove(&path)?;
        fs::create_dir_all(&path).map_err(failed("create", &path))?;
        Ok(path)
    }

    pub(super) fn clear_temporary(&self) -> Result<(), Failure> {
        let path = self.path.join(TEMPORARY);
        remove(&path)?;
        fs::create_dir(&path).map_err(failed("create", &path))
    }

    fn object(&self, hash: &[u8; 32]) -> PathBuf {
        let name = blake3::Hash::from_bytes(*hash).to_hex();
        self.path.join(OBJECTS).join(&name[..2]).join(name.as_str())
    }

    /// How long the object is, if it is there.
    pub(super) fn object_bytes(&self, hash: &[u8; 32]) -> Option<u64> {
        fs::metadata(self.object(hash)).ok().filter(fs::Metadata::is_file).map(|found| found.len())
    }

    /// The objects that are there, `most` of them.
    pub(super) fn objects(&self, most: usize) -> Result<BTreeSet<[u8; 32]>, Failure> {
        let mut found = BTreeSet::new();
        for folder in names(&self.path.join(OBJECTS))? {
            for name in names(&self.path.join(OBJECTS).join(folder))? {
                if found.len() == most {
                    return Ok(found);
                }
                if let Ok(hash) = manifest::hash(&name) {
                    found.insert(hash);
                }
            }
        }
        Ok(found)
    }

    /// A place for an object that is on its way.
    pub(super) fn receive(&self, expected: FileEntry) -> Result<Incoming, Failure> {
        Incoming::begin(self.path.join(TEMPORARY).join("object"), expected)
    }

    /// Keeps an object that has arrived.
    pub(super) fn keep(&self, object: Incoming, hash: &[u8; 32]) -> Result<(), Failure> {
        let path = self.object(hash);
        let folder = path.parent().expect("an object lies in a folder");
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(failed("create", folder))?;
            sync_folder(&self.path.join(OBJECTS))?;
        }
        object.finish(&path)
    }

    pub(super) fn remove_object(&self, hash: &[u8; 32]) -> Result<(), Failure> {
        remove(&self.object(hash))
    }

    /// Makes a backup of which all objects are there.
    pub(super) fn add(&self, manifest: &Manifest) -> Result<(), Failure> {
        write_durably(&self.path.join(BACKUPS).join(manifest.name() + ENDING), &manifest.encode())
    }

    /// The names of the backups, in order of lineage and index.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let mut found: Vec<String> = names(&self.path.join(BACKUPS))?;
        found.retain(|name| name.ends_with(ENDING));
        found.iter_mut().for_each(|name| name.truncate(name.len() - ENDING.len()));
        found.sort();
        Ok(found)
    }

    /// The manifest of a backup.
    pub(super) fn manifest(&self, name: &str) -> Result<Manifest, Failure> {
        let path = self.path.join(BACKUPS).join(name.to_owned() + ENDING);
        let bytes = fs::metadata(&path).map_err(failed("read", &path))?.len();
        let damaged = |what: String| Failure::new(format!("{} is damaged: {what}", path.display()));
        if bytes > MANIFEST_BYTES {
            return Err(damaged(format!("it has {bytes} bytes")));
        }
        let text = fs::read(&path).map_err(failed("read", &path))?;
        let manifest = String::from_utf8(text).map_err(|_| "it is no text".to_owned());
        let manifest = manifest.and_then(|text| Manifest::decode(&text)).map_err(damaged)?;
        if manifest.name() == name { Ok(manifest) } else { Err(damaged(format!("it is that of {}", manifest.name()))) }
    }

    pub(super) fn manifests(&self) -> Result<Vec<Manifest>, Failure> {
        self.names()?.iter().map(|name| self.manifest(name)).collect()
    }

    pub(super) fn remove_manifest(&self, name: &str) -> Result<(), Failure> {
        remove(&self.path.join(BACKUPS).join(name.to_owned() + ENDING))?;
        sync_folder(&self.path.join(BACKUPS))
    }

    /// The backup at an index, or of a whole name; without either the one that was taken last.
    pub(in crate::cli) fn pick(&self, at: Option<&str>) -> Result<Manifest, Failure> {
        let Some(at) = at else {
            let newest = self.manifests()?.into_iter().max_by_key(|one| (one.created_ms, one.backed_up.revision));
            return newest.ok_or_else(|| Failure::new(format!("{} holds no backup", self.path.display())));
        };
        let index = at.parse::<u64>().ok();
        let is_meant = |name: &String| {
            *name == at
                || index.is_some_and(|index| name.rsplit('-').next().and_then(|n| n.parse().ok()) == Some(index))
        };
        let meant: Vec<String> = self.names()?.into_iter().filter(is_meant).collect();
        match meant.as_slice() {
            [name] => self.manifest(name),
            [] => Err(Failure::new(format!("{} holds no backup at {at}", self.path.display()))
                .hint("`quorate backup list` shows those that it has")),
            several => Err(Failure::usage(format!("--at {at} is several backups: name one of {}", several.join(", ")))),
        }
    }

    /// Whether the object of a file is there, and whole.
    pub(super) fn check(&self, file: &FileEntry) -> Result<(), Failure> {
        read_checked(&self.object(&file.blake3), file, &mut |_| Ok(()))
    }

    /// Copies a file of a backup to the folder `into`, where it must arrive whole.
    pub(in crate::cli) fn copy(&self, file: &FileEntry, into: &Path) -> Result<(), Failure> {
        let path = into.join(&file.name);
        let mut copy = private_file::create_new(&path).map_err(failed("create", &path))?;
        read_checked(&self.object(&file.blake3), file, &mut |piece| copy.write_all(piece))?;
        copy.sync_all().map_err(failed("sync", &path))
    }

    /// Gives a table file, which is only read, a second name in the folder `into`; copies any other.
    pub(super) fn link(&self, file: &FileEntry, into: &Path) -> Result<(), Failure> {
        let is_table = file.name.ends_with(".sst");
        if is_table && fs::hard_link(self.object(&file.blake3), into.join(&file.name)).is_ok() {
            return Ok(());
        }
        self.copy(file, into)
    }
}

/// The names in a folder that are texts; none of ours is anything else.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        found.extend(entry.map_err(failed("list", folder))?.file_name().into_string());
    }
    Ok(found)
}

/// Writes a file beside its name and renames it, so that it is there whole or not at all.
fn write_durably(path: &Path, text: &str) -> Result<(), Failure> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(failed("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::raft::BackedUp;

    fn entry(name: &str, bytes: &[u8]) -> FileEntry {
        FileEntry { name: name.to_owned(), bytes: bytes.len() as u64, blake3: *blake3::hash(bytes).as_bytes() }
    }

    fn keep(repository: &Repository, file: &FileEntry, bytes: &[u8]) -> Result<(), Failure> {
        let mut object = repository.receive(file.clone())?;
        object.write(bytes)?;
        repository.keep(object, &file.blake3)
    }

    fn manifest(index: u64, files: Vec<FileEntry>) -> Manifest {
        let backed_up = BackedUp { lineage: 7, revision: Revision::new(index), term: 1, chain: [0; 32] };
        Manifest { backed_up, node_id: 1, oldest: Revision::new(1), version: "0".to_owned(), created_ms: 0, files }
    }

    fn said<T: std::fmt::Debug>(failed: Result<T, Failure>) -> String {
        format!("{:?}", failed.unwrap_err())
    }

    #[test]
    fn an_object_is_kept_and_given_out_only_as_it_was_sent() {
        let home = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_create(&home.path().join("backups")).unwrap();
        let file = entry("000001.sst", b"what was sent");
        for other in [&b"what was ment"[..], b"what was", b""] {
            keep(&repository, &file, other).unwrap_err();
            assert_eq!(repository.object_bytes(&file.blake3), None);
        }
        keep(&repository, &file, b"what was sent").unwrap();
        repository.check(&file).unwrap();
        for damaged in [&b"what was ment"[..], b"what was", b"what was sent, and more"] {
            fs::write(repository.object(&file.blake3), damaged).unwrap();
            assert!(said(repository.check(&file)).contains("damaged"));
            let into = tempfile::tempdir().unwrap();
            repository.copy(&file, into.path()).unwrap_err();
        }
        repository.remove_object(&file.blake3).unwrap();
        assert!(said(repository.check(&file)).contains("missing"));
    }

    #[test]
    fn a_manifest_under_the_name_of_another_is_damaged() {
        let home = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_create(&home.path().join("backups")).unwrap();
        let (one, other) = (manifest(5, Vec::new()), manifest(6, Vec::new()));
        repository.add(&one).unwrap();
        assert_eq!(repository.manifest(&one.name()).unwrap(), one);
        let path = |of: &Manifest| repository.path.join(BACKUPS).join(of.name() + ENDING);
        fs::rename(path(&one), path(&other)).unwrap();
        assert!(said(repository.manifest(&other.name())).contains("damaged"));
    }

    #[test]
    fn who_works_in_it_keeps_the_others_out() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("backups");
        let held = Repository::open_or_create(&path).unwrap();
        for access in [Access::Shared, Access::Exclusive] {
            assert!(Repository::open(&path, access).is_err(), "{access:?}");
        }
        drop(held);
        let _reader = Repository::open(&path, Access::Shared).unwrap();
        Repository::open(&path, Access::Shared).unwrap();
        assert!(Repository::open(&path, Access::Exclusive).is_err());
        let elsewhere = home.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("file"), "").unwrap();
        assert!(Repository::open_or_create(&elsewhere).is_err(), "it is not empty");
    }
}
