//! Checkpoints: the whole state as files, to send to another node.
//!
//! The revision is read from the checkpoint itself, not from the store beside it, which may have moved on meanwhile.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rocksdb::Cache;
use rocksdb::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::model::Revision;

use super::super::StoreError;
use super::files;
use super::generation::{Database, engine, open_read_only, read_meta, read_retained};
use super::keys::MetaRecord;
use super::options::StoreOptions;

const PLACE: &str = "checkpoint";

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The revision that it is the state of.
    pub revision: Revision,
    /// The oldest revision that can be read in it.
    pub oldest: Revision,
    /// The [`MetaKey::Applied`](crate::store::MetaKey::Applied) record in it.
    pub applied: Option<Vec<u8>>,
    /// Its files, in order of name.
    pub files: Vec<FileEntry>,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name, without any folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: [u8; 32],
}

/// Writes a checkpoint of `db` to the folder `into`, which must not exist. It is complete and durable when it appears.
pub(super) fn create(db: &Database, store: &StoreOptions, into: &Path) -> Result<CheckpointInfo, StoreError> {
    if into.exists() {
        return Err(StoreError::Engine(format!("{} exists: a checkpoint needs a new folder", into.display())));
    }
    let building = building_path(into)?;
    files::remove_folder(&building)?;
    Checkpoint::new(db).and_then(|checkpoint| checkpoint.create_checkpoint(&building)).map_err(engine)?;
    let (retained, applied) = {
        let checkpoint = open_read_only(&building, store, &Cache::new_lru_cache(1 << 20))?;
        (read_retained(&checkpoint)?, read_meta(&checkpoint, MetaRecord::Applied)?)
    };
    remove_diagnostics(&building)?;
    let mut entries = Vec::new();
    for name in files::names(&building)? {
        let path = building.join(&name);
        files::sync_file(&path)?;
        entries.push(describe(&path, name)?);
    }
    files::sync_folder(&building)?;
    files::rename(&building, into)?;
    Ok(CheckpointInfo { revision: retained.applied, oldest: retained.oldest, applied, files: entries })
}

/// A single record of the checkpoint in `from`. Leaves the folder as it is.
pub(super) fn peek(store: &StoreOptions, from: &Path, record: MetaRecord) -> Result<Option<Vec<u8>>, StoreError> {
    let found = {
        let checkpoint = open_read_only(from, store, &Cache::new_lru_cache(1 << 20))?;
        read_meta(&checkpoint, record)
    };
    remove_diagnostics(from)?;
    found
}

fn building_path(into: &Path) -> Result<PathBuf, StoreError> {
    let mut name = into.file_name().map(ToOwned::to_owned).ok_or_else(|| {
        StoreError::Engine(format!("{} is no name for a checkpoint: give it a folder of its own", into.display()))
    })?;
    name.push(".building");
    Ok(into.with_file_name(name))
}

/// Opening a database, even only to read, leaves a log for people. It is no part of the state.
fn remove_diagnostics(folder: &Path) -> Result<(), StoreError> {
    for name in files::names(folder)? {
        if name == "LOG" || name.starts_with("LOG.old.") {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(files::failed("remove", &path))?;
        }
    }
    Ok(())
}

/// What a list says of a file.
pub(in crate::store) fn describe(path: &Path, name: String) -> Result<FileEntry, StoreError> {
    let file = File::open(path).map_err(files::failed("read", path))?;
    let bytes = file.metadata().map_err(files::failed("read", path))?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(files::failed("read", path))?;
    Ok(FileEntry { name, bytes, blake3: *hasher.finalize().as_bytes() })
}

/// Whether `dir` holds exactly `files`. The list comes from another node: its names are not trusted.
pub fn verify_checkpoint(dir: &Path, files: &[FileEntry]) -> Result<(), StoreError> {
    let corrupt = |what: String| StoreError::Corrupt { place: PLACE, what };
    let mut listed = BTreeSet::new();
    for file in files {
        if !file.has_plain_name() {
            return Err(corrupt(format!("{:?} is no name of a file", file.name)));
        }
        if !listed.insert(file.name.as_str()) {
            return Err(corrupt(format!("{} is listed twice", file.name)));
        }
        let path = dir.join(&file.name);
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            return Err(corrupt(format!("{} is missing", file.name)));
        }
        if describe(&path, file.name.clone())? != *file {
            return Err(corrupt(format!("{} has another length or checksum than it was sent with", file.name)));
        }
    }
    // A stray write-ahead log or table file could change what the database opens as.
    match files::names(dir)?.into_iter().find(|name| !listed.contains(name.as_str())) {
        Some(stray) => Err(corrupt(format!("{stray} is not in the list"))),
        None => Ok(()),
    }
}

impl FileEntry {
    /// Whether its name is a file's name and nothing that a path could be made of.
    #[must_use]
    pub fn has_plain_name(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !self.name.is_empty() && !self.name.starts_with('.') && self.name.bytes().all(plain)
    }
}
