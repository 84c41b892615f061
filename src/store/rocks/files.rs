//! Files and folders whose changes survive a power cut. Knows nothing of what is in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::super::StoreError;

/// An IO error with what was being done to which path.
pub(super) fn failed<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |e| StoreError::Engine(format!("cannot {doing} {}: {e}", path.display()))
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

/// Makes a file's content durable.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
}

/// Writes a file durably; its name is durable only after the folder is synced.
pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

/// Gives a file its final name, replacing what had it, and makes that durable.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(failed("rename to", to))?;
    match to.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Removes a folder and all in it; one that is not there is fine.
pub(super) fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed("remove", path)(e)),
    }
}

/// The names in a folder, sorted. One that is not UTF-8 is none of ours and is an error.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let name = entry.map_err(failed("list", folder))?.file_name();
        let text = name.into_string().map_err(|name| {
            StoreError::Engine(format!("{} holds a file that is not this product's: {name:?}", folder.display()))
        })?;
        names.push(text);
    }
    names.sort();
    Ok(names)
}
