//! The data folder. A database lives in a generation folder; a snapshot that is installed becomes the next generation.
//!
//! ```text
//! LOCK         held by the process that has the store open
//! CURRENT      names the live generation
//! gen-000001   a database
//! ```
//!
//! Invariants: `CURRENT` always names a whole database. A generation that it does not name is left over from a crash, or
//! kept for views of before an install, and is removed when the store is opened. The very first database is made under
//! another name, so a generation without `CURRENT` is a whole database too, and is never taken for rubbish.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::super::StoreError;
use super::files;

const CURRENT: &str = "CURRENT";
const NEXT_CURRENT: &str = "CURRENT.next";
const LOCK: &str = "LOCK";
const CREATING: &str = "creating";
const PREFIX: &str = "gen-";

/// The number of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GenerationId(u64);

impl GenerationId {
    pub(super) const FIRST: Self = Self(1);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn folder(self) -> String {
        format!("{PREFIX}{:06}", self.0)
    }

    fn parse(folder: &str) -> Option<Self> {
        let digits = folder.strip_prefix(PREFIX)?;
        let id = Self(digits.parse().ok()?);
        (id.folder() == folder).then_some(id)
    }
}

/// A data folder that this process has locked.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    /// Unlocked when closed.
    _lock: File,
}

impl DataFolder {
    /// Creates the folder where it is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(files::failed("create", path))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(files::failed("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Engine(format!(
                "{} is in use: stop the other process that has it open, or choose another folder",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(files::failed("lock", &lock_path)(e)),
        }
    }

    /// The folder of a generation.
    pub(super) fn generation(&self, id: GenerationId) -> PathBuf {
        self.path.join(id.folder())
    }

    /// Where the first database is made.
    pub(super) fn creating(&self) -> PathBuf {
        self.path.join(CREATING)
    }

    /// Turns what was made there into the first generation.
    pub(super) fn finish_creating(&self) -> Result<(), StoreError> {
        files::rename(&self.creating(), &self.generation(GenerationId::FIRST))
    }

    /// The live generation; `None` before the first.
    pub(super) fn current(&self) -> Result<Option<GenerationId>, StoreError> {
        let path = self.path.join(CURRENT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(files::failed("read", &path)(e)),
        };
        match GenerationId::parse(text.trim_end()) {
            Some(id) => Ok(Some(id)),
            None => Err(StoreError::Corrupt { place: "CURRENT", what: format!("it names {text:?}") }),
        }
    }

    /// Writes the pointer's next content beside it.
    pub(super) fn write_pointer(&self, id: GenerationId) -> Result<(), StoreError> {
        files::write_file(&self.path.join(NEXT_CURRENT), format!("{}\n", id.folder()).as_bytes())
    }

    /// Puts what [`Self::write_pointer`] wrote in the pointer's place, in one step.
    pub(super) fn swap_pointer(&self) -> Result<(), StoreError> {
        files::rename(&self.path.join(NEXT_CURRENT), &self.path.join(CURRENT))
    }

    /// All generations that have a folder, in order.
    pub(super) fn generations(&self) -> Result<Vec<GenerationId>, StoreError> {
        let names = files::names(&self.path)?;
        let mut found: Vec<GenerationId> = names.iter().filter_map(|name| GenerationId::parse(name)).collect();
        found.sort();
        Ok(found)
    }

    /// Makes the names in this folder durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        files::sync_folder(&self.path)
    }

    /// Removes every generation but `live`, and returns how many there were.
    pub(super) fn remove_leftovers(&self, live: GenerationId) -> Result<usize, StoreError> {
        let left: Vec<_> = self.generations()?.into_iter().filter(|id| *id != live).collect();
        for id in &left {
            files::remove_folder(&self.generation(*id))?;
        }
        Ok(left.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_generations() {
        assert_eq!(GenerationId::parse("gen-000001"), Some(GenerationId::FIRST));
        assert_eq!(GenerationId::parse("gen-1234567"), Some(GenerationId(1_234_567)));
        for bad in ["gen-1", "gen-000001/..", "gen-", "gen-00000x", "000001", "", "gen-+00001"] {
            assert_eq!(GenerationId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_folder_is_open_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::open(dir.path()).unwrap();
        assert!(DataFolder::open(dir.path()).unwrap_err().to_string().contains("in use"));
        drop(first);
        DataFolder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_pointer_to_nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(dir.path()).unwrap();
        assert_eq!(folder.current().unwrap(), None);
        fs::write(dir.path().join(CURRENT), "../elsewhere\n").unwrap();
        assert!(folder.current().is_err());
    }
}
