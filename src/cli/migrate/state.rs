//! How far a migration came, in a small file, so that it goes on there after whatever stopped it.
//!
//! The file is replaced as a whole and flushed, so it is always one that was true. It may be a little old: what it does not
//! know of yet is done again, and that changes nothing, since each write has a key that follows from what it writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::source::Place;
use crate::cli::failure::Failure;
use crate::cli::private_file;

/// Of the file.
const FORMAT: u32 = 1;
/// A state file is a schema and a few hundred bytes.
const LONGEST_FILE: u64 = 16 << 20;
/// The file is written at most so often while nothing ends.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// What has to be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    /// Where it comes from, as it was named.
    pub(super) source: String,
    /// The cluster that it goes to: its lineage.
    pub(super) destination: String,
    /// The schema of the source that the destination has.
    pub(super) schema: String,
    /// The state of the source that is copied.
    pub(super) start: String,
    /// Behind the last page that is in; absent before the first.
    pub(super) place: Option<Place>,
    /// Relationships that were copied.
    pub(super) copied: u64,
    /// Changes up to this token are in; absent while the copy is not complete.
    pub(super) through: Option<String>,
    /// Transactions that were followed.
    pub(super) transactions: u64,
    /// Changes in them.
    pub(super) changes: u64,
}

impl Saved {
    /// Nothing is copied yet.
    pub(super) fn new(source: &str, destination: &str, schema: &str, start: &str) -> Self {
        Self {
            format: FORMAT,
            source: source.to_owned(),
            destination: destination.to_owned(),
            schema: schema.to_owned(),
            start: start.to_owned(),
            place: None,
            copied: 0,
            through: None,
            transactions: 0,
            changes: 0,
        }
    }
}

/// The file, held by one migration at a time.
pub(super) struct StateFile {
    path: PathBuf,
    lock: PathBuf,
    _held: File,
    saved_at: Option<Instant>,
}

impl StateFile {
    /// Takes hold of `path`, and reads what an earlier run left there.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Saved>), Failure> {
        let problem =
            |what: &str, error: io::Error| Failure::usage(format!("cannot {what} {}: {error}", path.display()));
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let held = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let held = held.map_err(|error| problem("lock", error))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::usage(format!("another migration is at work with {}", path.display()))
                    .hint("wait for it, or name another file with --state"));
            }
            Err(TryLockError::Error(error)) => return Err(problem("lock", error)),
        }
        let saved = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(problem("read", error)),
            Ok(about) if about.len() > LONGEST_FILE => {
                return Err(Failure::usage(format!("{} is not a file that a migration wrote", path.display())));
            }
            Ok(_) => Some(parse(&fs::read(path).map_err(|error| problem("read", error))?, path)?),
        };
        Ok((Self { path: path.to_owned(), lock, _held: held, saved_at: None }, saved))
    }

    /// Keeps `saved`, unless that was done a moment ago.
    pub(super) fn note(&mut self, saved: &Saved) -> Result<(), Failure> {
        if self.saved_at.is_some_and(|at| at.elapsed() < SAVE_EVERY) { Ok(()) } else { self.save(saved) }
    }

    /// Keeps `saved`.
    pub(super) fn save(&mut self, saved: &Saved) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(saved).expect("texts and numbers can be written as JSON");
        self.replace(text.as_bytes()).map_err(|error| {
            Failure::new(format!("cannot write {}: {error}", self.path.display()))
                .hint("make room or name another file with --state; until the file is written again, nothing is lost")
        })?;
        self.saved_at = Some(Instant::now());
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut fresh = self.path.as_os_str().to_owned();
        fresh.push(".new");
        // It has the schema, and names of objects: those at which the copy goes on.
        let mut file = private_file::create(Path::new(&fresh))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.path)
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        // It is only in the way; one that stays is taken over by the next run.
        let _ = fs::remove_file(&self.lock);
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<Saved, Failure> {
    let path = path.display();
    let saved: Saved = serde_json::from_slice(bytes)
        .map_err(|error| Failure::usage(format!("{path} is not a file that a migration wrote: {error}")))?;
    if saved.format != FORMAT {
        return Err(Failure::usage(format!("{path} was written by another version of this program")));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_found_by_the_next_and_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        let (mut file, found) = StateFile::open(&path).expect("free");
        assert_eq!(found, None);
        let mut saved = Saved::new("a:1", "0a", "schema", "t0");
        file.note(&saved).expect("writable");
        saved.copied = 7;
        file.note(&saved).expect("too soon");
        assert!(StateFile::open(&path).err().expect("held").message().contains("another migration"));
        drop(file);
        let (mut file, found) = StateFile::open(&path).expect("free again");
        assert_eq!(found.map(|found| found.copied), Some(0), "the second note came too soon");
        file.save(&saved).expect("writable");
        drop(file);
        assert_eq!(StateFile::open(&path).expect("free").1, Some(saved));
        fs::write(&path, "{}").expect("writable");
        assert!(StateFile::open(&path).err().expect("no state").message().contains("not a file that"));
    }
}
