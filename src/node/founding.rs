//! Putting the data of a newly founded cluster in the place of what is in a data directory, so that a crash leaves the old or
//! the new and never a mixture.
//!
//! ```text
//! founding/        being made; rubbish, unless whoever makes it is at work
//! founded/         whole and durable: from its rename on, the new cluster is what counts
//!   log/ state/ identity
//! before-LINEAGE/  what was there before
//! ```
//! One rename decides. What follows it is finished by whoever opens the directory next, before it looks at anything else, and
//! can be done again from any point.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::identity::{DataDir, Identity, IdentityError, failed, read_identity, write_identity};

const MAKING: &str = "founding";
const MADE: &str = "founded";
/// The databases of a member.
const DATABASES: [&str; 2] = ["log", "state"];
const SNAPSHOTS: &str = "snapshots";
const IDENTITY: &str = "identity";

/// The points of a founding, in order. A test stops at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All of it is there, durably, beside the old.
    Made,
    /// From here on the new counts.
    Decided,
    /// The old snapshots are set aside.
    SnapshotsAside,
    /// The new log is in its place.
    LogPlaced,
    /// The new state is in its place.
    StatePlaced,
    /// The new identity is in its place.
    IdentityPlaced,
}

type Reached<'a> = &'a mut dyn FnMut(Step) -> Result<(), IdentityError>;

/// Where the old data of a founding goes.
fn aside(dir: &Path, old: Identity) -> PathBuf {
    dir.join(format!("before-{:016x}", old.membership.lineage))
}

impl DataDir {
    /// An empty folder in which to make the `log` and the `state` of a new cluster.
    pub(super) fn begin_founding(&self) -> Result<PathBuf, IdentityError> {
        if let Some(old) = read_identity(self.path())?
            && aside(self.path(), old).exists()
        {
            return Err(IdentityError::Aside(aside(self.path(), old)));
        }
        let making = self.path().join(MAKING);
        remove(&making)?;
        fs::create_dir(&making).map_err(failed(&making))?;
        Ok(making)
    }

    /// Makes what was made in that folder count, with this identity.
    pub(super) fn decide_founding(&self, identity: Identity) -> Result<(), IdentityError> {
        self.decide_founding_by_steps(identity, &mut |_| Ok(()))
    }

    fn decide_founding_by_steps(&self, identity: Identity, reached: Reached<'_>) -> Result<(), IdentityError> {
        let (making, made) = (self.path().join(MAKING), self.path().join(MADE));
        write_identity(&making, identity)?;
        sync_tree(&making)?;
        reached(Step::Made)?;
        rename(&making, &made)?;
        reached(Step::Decided)?;
        self.place(reached)
    }

    /// Finishes a founding that was decided, and removes one that was not.
    pub(super) fn finish_founding(&self) -> Result<(), IdentityError> {
        if self.path().join(MADE).exists() {
            self.place(&mut |_| Ok(()))?;
        }
        remove(&self.path().join(MAKING))
    }

    fn place(&self, reached: Reached<'_>) -> Result<(), IdentityError> {
        let (dir, made) = (self.path(), self.path().join(MADE));
        // Its identity goes last, so that it can tell of the old data until all of that is set aside.
        let old = match read_identity(&made)? {
            Some(new) => read_identity(dir)?.filter(|old| *old != new),
            None => None,
        };
        let set_aside = |name: &str| -> Result<(), IdentityError> {
            let (Some(old), place) = (old, dir.join(name)) else { return Ok(()) };
            if !place.exists() {
                return Ok(());
            }
            let aside = aside(dir, old);
            fs::create_dir_all(&aside).map_err(failed(&aside))?;
            rename(&place, &aside.join(name))
        };
        set_aside(SNAPSHOTS)?;
        reached(Step::SnapshotsAside)?;
        for (name, step) in DATABASES.into_iter().zip([Step::LogPlaced, Step::StatePlaced]) {
            if made.join(name).exists() {
                set_aside(name)?;
                rename(&made.join(name), &dir.join(name))?;
            }
            reached(step)?;
        }
        if made.join(IDENTITY).exists() {
            set_aside(IDENTITY)?;
            rename(&made.join(IDENTITY), &dir.join(IDENTITY))?;
        }
        reached(Step::IdentityPlaced)?;
        remove(&made)
    }
}

/// Moves a file or a folder, and makes both ends durable.
fn rename(from: &Path, to: &Path) -> Result<(), IdentityError> {
    fs::rename(from, to).map_err(failed(to))?;
    for folder in [to.parent(), from.parent()].into_iter().flatten() {
        sync(folder)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), IdentityError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed(path))
}

/// Makes a folder and all in it durable, the deepest first.
fn sync_tree(path: &Path) -> Result<(), IdentityError> {
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let entry = entry.map_err(failed(path))?;
        let is_folder = entry.file_type().map_err(failed(&entry.path()))?.is_dir();
        if is_folder { sync_tree(&entry.path())? } else { sync(&entry.path())? }
    }
    sync(path)
}

#[cfg(test)]
mod tests {
    use super::super::identity::Origin;
    use super::*;
    use crate::raft::Membership;

    const OLD: Identity = Identity { membership: Membership { lineage: 0xa, node_id: 2 }, origin: Origin::Join };
    const NEW: Identity = Identity { membership: Membership { lineage: 0xb, node_id: 2 }, origin: Origin::Recover };
    const STEPS: [Step; 6] =
        [Step::Made, Step::Decided, Step::SnapshotsAside, Step::LogPlaced, Step::StatePlaced, Step::IdentityPlaced];

    fn fill(dir: &Path, names: &[&str], text: &str) {
        for name in names {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("content"), text).unwrap();
        }
    }

    fn content(dir: &Path) -> Vec<String> {
        let read = |name| fs::read_to_string(dir.join(name).join("content")).unwrap_or_default();
        [SNAPSHOTS, "log", "state"].map(read).into()
    }

    fn stop_at(stop: Option<Step>) -> impl FnMut(Step) -> Result<(), IdentityError> {
        move |step| if Some(step) == stop { Err(IdentityError::Leftover(PathBuf::new())) } else { Ok(()) }
    }

    #[test]
    fn a_founding_that_stops_anywhere_leaves_the_old_or_becomes_the_new() {
        for stop in STEPS.map(Some).into_iter().chain([None]) {
            for with_old in [true, false] {
                let home = tempfile::tempdir().unwrap();
                let data = DataDir::open(home.path()).unwrap();
                if with_old {
                    fill(home.path(), &[SNAPSHOTS, "log", "state"], "old");
                    data.write_identity(OLD).unwrap();
                }
                fill(&data.begin_founding().unwrap(), &DATABASES, "new");
                let decided = data.decide_founding_by_steps(NEW, &mut stop_at(stop));
                assert_eq!(decided.is_err(), stop.is_some());
                drop(data);
                // As the next start does; a second crash on the way changes nothing.
                for again in STEPS.map(Some).into_iter().skip(2).chain([None]) {
                    let made = home.path().join(MADE).exists();
                    assert!(!made || stop != Some(Step::Made), "not decided yet");
                    let data = DataDir::unfinished(home.path());
                    if made {
                        let _ = data.place(&mut stop_at(again));
                    }
                }
                let data = DataDir::open(home.path()).unwrap();
                let (identity, found) = (data.identity().unwrap(), content(home.path()));
                if stop == Some(Step::Made) {
                    let old = with_old.then_some(OLD);
                    let kept = if with_old { ["old"; 3] } else { [""; 3] };
                    assert_eq!((identity, found), (old, kept.map(String::from).to_vec()), "{stop:?}");
                } else {
                    assert_eq!(identity, Some(NEW), "{stop:?}");
                    assert_eq!(found, ["", "new", "new"], "{stop:?}");
                    let kept = if with_old { ["old"; 3] } else { [""; 3] };
                    assert_eq!(content(&aside(home.path(), OLD)), kept, "{stop:?}");
                }
                for rubbish in [MAKING, MADE] {
                    assert!(!home.path().join(rubbish).exists(), "{stop:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_set_aside_before_is_not_written_over() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        fill(home.path(), &DATABASES, "old");
        data.write_identity(OLD).unwrap();
        fill(home.path(), &["before-000000000000000a"], "precious");
        assert!(matches!(data.begin_founding(), Err(IdentityError::Aside(_))));
    }
}
