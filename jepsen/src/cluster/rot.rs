//! A disk that gives back other bytes than were written: some flipped, or the end of a file gone. The harm can be undone.
//!
//! What is harmed is what a node reads when it starts and can tell from the traces of a crash. Three things are left alone:
//! - The end of the newest log of writes: to a database it looks like a write that a crash cut short, and no checksum tells the
//!   two apart.
//! - All of the state's log of writes: its replay ends at the first damage, as after a power cut, and the Raft log brings the
//!   rest back.
//! - What is inside a snapshot: nobody reads it before it is sent or installed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::command::run;

/// What RocksDB reads of a log of writes at once: in the last of these blocks a wrong length looks like the end.
const BLOCK: u64 = 32 << 10;
/// Where a table has its index and its footer, which are read when it is opened.
const FOOT: u64 = 2 << 10;
const FLIPS: usize = 16;

/// What was done to one file.
#[derive(Debug)]
pub struct Rot {
    data: PathBuf,
    /// All of `data` as it was.
    whole: PathBuf,
    path: PathBuf,
    /// Kept open: tables are shared with snapshots by hard links, and outlive the name that they were found by.
    file: File,
    harm: Harm,
}

#[derive(Debug)]
enum Harm {
    /// Where, and what was there.
    Flipped(Vec<(u64, u8)>),
    /// From where on, and what was there.
    Truncated(u64, Vec<u8>),
}

/// What a file is for, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Table,
    WriteAhead,
    Manifest,
    Other,
}

impl Rot {
    /// Harms one file below `data`, whose process must not run: each kind of file is as likely as any other. `None` if there is
    /// none to harm, or no room to keep all of it as it was.
    pub fn strike(data: &Path, random: &mut StdRng) -> io::Result<Option<Self>> {
        let mut files = Vec::new();
        collect(data, &mut files)?;
        let mut kinds: Vec<Purpose> = files.iter().map(|(purpose, ..)| *purpose).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            return Ok(None);
        }
        let kind = kinds[random.random_range(0..kinds.len())];
        files.retain(|(purpose, ..)| *purpose == kind);
        files.sort();
        let (_, path, length) = files.swap_remove(random.random_range(0..files.len()));
        let whole = data.with_extension("whole");
        if run(&format!("cp -a {} {}", data.display(), whole.display())).is_err() {
            // There is no room for it.
            fs::remove_dir_all(&whole)?;
            return Ok(None);
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let harm = if kind != Purpose::WriteAhead && random.random_range(0..3) == 0 {
            truncate(&mut file, random.random_range(0..length))?
        } else {
            let end = if kind == Purpose::WriteAhead { length - BLOCK } else { length };
            // Half of the flips where a table cannot be opened without noticing, half anywhere.
            let begin = if random.random_range(0..2) == 0 { end.saturating_sub(FOOT) } else { 0 };
            let places = (0..FLIPS).map(|_| random.random_range(begin..end)).collect();
            flip(&mut file, places, random)?
        };
        Ok(Some(Self { data: data.to_owned(), whole, path, file, harm }))
    }

    /// Undoes it, for a node that ran with it or did not get so far as to take part in anything. Whether that could be done.
    ///
    /// A database that is opened with the end of its list of files missing takes what is not listed for rubbish and removes it:
    /// then all files are put back. Not for a node that took part: it would forget what it promised meanwhile. Of that one the
    /// file alone is mended, unless it was written on after its end was taken.
    pub fn undo(mut self, took_part: bool) -> io::Result<bool> {
        let mended = if took_part { self.mend()? } else { self.put_back()? };
        fs::remove_dir_all(&self.whole)?;
        Ok(mended)
    }

    /// Afterwards the harmed files are where the whole ones were.
    fn put_back(&self) -> io::Result<bool> {
        let harmed = self.data.with_extension("harmed");
        fs::rename(&self.data, &harmed)?;
        fs::rename(&self.whole, &self.data)?;
        fs::rename(&harmed, &self.whole)?;
        // What is copied is not flushed, and a power cut would take it.
        run(&format!("sync --file-system {}", self.data.display())).map_err(io::Error::other)?;
        Ok(true)
    }

    fn mend(&mut self) -> io::Result<bool> {
        match &self.harm {
            Harm::Flipped(places) => {
                for (place, byte) in places {
                    self.file.seek(SeekFrom::Start(*place))?;
                    self.file.write_all(&[*byte])?;
                }
            }
            Harm::Truncated(from, tail) => {
                if self.file.metadata()?.len() != *from {
                    return Ok(false);
                }
                self.file.seek(SeekFrom::Start(*from))?;
                self.file.write_all(tail)?;
            }
        }
        self.file.sync_all()?;
        Ok(true)
    }

    /// In words, with the file as seen from `data`.
    #[must_use]
    pub fn describe(&self, data: &Path) -> String {
        let file = self.path.strip_prefix(data).unwrap_or(&self.path).display();
        match &self.harm {
            Harm::Flipped(places) => format!("{file}: {} bytes flipped", places.len()),
            Harm::Truncated(from, tail) => format!("{file}: {} bytes missing after byte {from}", tail.len()),
        }
    }
}

/// All files of a node that can be harmed, with their lengths.
fn collect(data: &Path, files: &mut Vec<(Purpose, PathBuf, u64)>) -> io::Result<()> {
    let (state, snapshots) = (data.join("state"), data.join("snapshots"));
    collect_below(
        data,
        &|purpose, file| {
            let is_replayed = purpose == Purpose::WriteAhead && file.starts_with(&state);
            let is_inside_a_snapshot =
                file.parent().is_some_and(|folder| folder != snapshots && folder.starts_with(&snapshots));
            !is_replayed && !is_inside_a_snapshot
        },
        files,
    )
}

/// Those in a folder, and in the folders in it, that are `wanted`.
fn collect_below(
    folder: &Path,
    wanted: &impl Fn(Purpose, &Path) -> bool,
    files: &mut Vec<(Purpose, PathBuf, u64)>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_below(&entry.path(), wanted, files)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let length = entry.metadata()?.len();
        // Locks and what is written for people are not read back.
        let told = name == "LOCK" || name == "IDENTITY" || name.starts_with("LOG") || name.starts_with("OPTIONS");
        let purpose = match Path::new(&name).extension().and_then(|extension| extension.to_str()) {
            Some("sst") => Purpose::Table,
            Some("log") => Purpose::WriteAhead,
            _ if name.starts_with("MANIFEST") => Purpose::Manifest,
            _ => Purpose::Other,
        };
        let is_long_enough = length > 0 && (purpose != Purpose::WriteAhead || length > 2 * BLOCK);
        if !told && is_long_enough && wanted(purpose, &entry.path()) {
            files.push((purpose, entry.path(), length));
        }
    }
    Ok(())
}

fn flip(file: &mut File, mut places: Vec<u64>, random: &mut StdRng) -> io::Result<Harm> {
    places.sort_unstable();
    places.dedup();
    let mut flipped = Vec::new();
    for place in places {
        let mut byte = [0_u8];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut byte)?;
        flipped.push((place, byte[0]));
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&[byte[0] ^ (1 << random.random_range(0..8))])?;
    }
    file.sync_all()?;
    Ok(Harm::Flipped(flipped))
}

fn truncate(file: &mut File, from: u64) -> io::Result<Harm> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut tail)?;
    file.set_len(from)?;
    file.sync_all()?;
    Ok(Harm::Truncated(from, tail))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(folder, &mut files).expect("it can be read");
        files.into_iter().map(|(_, path, _)| (path.clone(), fs::read(path).expect("it can be read"))).collect()
    }

    #[test]
    fn harm_is_done_and_undone() {
        let folder = std::env::temp_dir().join(format!("quorate-jepsen-rot-{}", std::process::id()));
        fs::create_dir_all(folder.join("log")).expect("a folder");
        for (name, length) in [("log/000004.sst", 9_000), ("log/000005.log", 100_000), ("log/MANIFEST-1", 300)] {
            fs::write(folder.join(name), vec![7_u8; length]).expect("a file");
        }
        fs::write(folder.join("log/LOCK"), "x").expect("a file");
        let whole = contents(&folder);
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let rot = Rot::strike(&folder, &mut random).expect("it works").expect("there are files");
            let harmed = contents(&folder);
            assert_ne!(harmed, whole, "{}", rot.describe(&folder));
            let log = fs::read(folder.join("log/000005.log")).expect("it is there");
            assert!(log[100_000 - 32_768..].iter().all(|byte| *byte == 7), "{}", rot.describe(&folder));
            let took_part = seed % 2 == 0;
            if !took_part {
                fs::remove_file(folder.join("log/000004.sst")).expect("it is there");
            }
            assert!(rot.undo(took_part).expect("it works"));
            assert_eq!(contents(&folder), whole);
            assert!(!folder.with_extension("whole").exists());
        }
        fs::remove_dir_all(&folder).expect("it was made above");
    }

    #[test]
    fn what_a_start_does_not_read_or_forgives_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("quorate-jepsen-unread-{}", std::process::id()));
        let read = [
            "identity",
            "log/000004.log",
            "log/000005.sst",
            "snapshots/snapshot-1.meta",
            "state/CURRENT",
            "state/gen-1/000006.sst",
            "state/gen-1/MANIFEST-1",
        ];
        let unread = ["snapshots/snapshot-1/CURRENT", "snapshots/snapshot-1/000006.sst", "state/gen-1/000007.log"];
        for name in read.into_iter().chain(unread) {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a folder");
            fs::write(file, vec![7_u8; 100_000]).expect("a file");
        }
        let mut found: Vec<PathBuf> = contents(&folder).into_iter().map(|(file, _)| file).collect();
        found.sort();
        assert_eq!(found, read.map(|name| folder.join(name)));
        fs::remove_dir_all(&folder).expect("it was made above");
    }
}
