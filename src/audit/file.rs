//! Where lines go: a file that is kept within a bound and can be moved away by others, or standard output.
//!
//! Invariant: a line is in the file as a whole or not at all, unless the system fails twice in a row; then the next line begins
//! on a line of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Others than the owner's group have no business with it.
const MODE: u32 = 0o640;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    /// To the standard output of the process.
    Stdout,
    /// To a file.
    File {
        /// Which.
        path: PathBuf,
        /// A file of so many bytes makes place for a new one; 0: it grows until somebody else moves it away.
        most_bytes: u64,
        /// So many older files are kept, as `PATH.1` (the youngest) and so on.
        keep: u32,
    },
}

/// An open target.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    File(LineFile),
}

impl Sink {
    pub(super) fn open(target: AuditTarget) -> io::Result<Self> {
        match target {
            AuditTarget::Stdout => Ok(Self::Stdout),
            AuditTarget::File { path, most_bytes, keep } => LineFile::open(path, most_bytes, keep).map(Self::File),
        }
    }

    /// Hands whole lines to the system.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(file) => file.append(lines),
        }
    }

    /// Goes on in a file of the old name: somebody may have moved the one that is open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(file) => file.reopen(),
        }
    }
}

/// A file of lines.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    most_bytes: u64,
    keep: u32,
    file: File,
    /// Whether the end of the file may be half a line.
    torn: bool,
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for its reader, and everybody for that.
    if let Ok(there) = fs::metadata(path)
        && (there.is_dir() || there.file_type().is_fifo() || there.file_type().is_socket())
    {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

impl LineFile {
    fn open(path: PathBuf, most_bytes: u64, keep: u32) -> io::Result<Self> {
        let file = open(&path)?;
        // Who was killed half way through a line left that behind.
        let torn = ends_within_a_line(&path);
        Ok(Self { path, most_bytes, keep, file, torn })
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let grown = before.saturating_add(lines.len() as u64);
        if self.most_bytes > 0 && before > 0 && grown > self.most_bytes {
            self.make_place()?;
            return self.write(lines, 0);
        }
        self.write(lines, before)
    }

    fn write(&mut self, lines: &[u8], before: u64) -> io::Result<()> {
        let torn = std::mem::take(&mut self.torn) && before > 0;
        let written =
            if torn { self.file.write_all(&[b"\n".as_slice(), lines].concat()) } else { self.file.write_all(lines) };
        written.inspect_err(|_| {
            // The same lines come again: what is there of them must go.
            self.torn = self.file.set_len(before).is_err() || torn;
        })
    }

    /// Renames the file and those before it, and begins a new one.
    fn make_place(&mut self) -> io::Result<()> {
        let aged = |age: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{age}"));
            PathBuf::from(name)
        };
        for age in (1..self.keep).rev() {
            match fs::rename(aged(age), aged(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match self.keep {
            0 => fs::remove_file(&self.path)?,
            _ => fs::rename(&self.path, aged(1))?,
        }
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.torn = ends_within_a_line(&self.path);
        Ok(())
    }
}

/// Where that cannot be seen, a line too many does no harm.
fn ends_within_a_line(path: &Path) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let last = || -> io::Result<Option<u8>> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(Some(last[0]))
    };
    !matches!(last(), Ok(None | Some(b'\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path, most_bytes: u64, keep: u32) -> LineFile {
        LineFile::open(path.to_owned(), most_bytes, keep).expect("the folder is writable")
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn others_cannot_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        file(&path, 0, 0).append(b"line\n").expect("room");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }

    #[test]
    fn old_files_make_place_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let mut lines = file(&path, 8, 2);
        for number in 0..5 {
            lines.append(format!("line{number}\n").as_bytes()).expect("room");
        }
        let aged = |age: u32| text(&folder.path().join(format!("audit.log.{age}")));
        assert_eq!(
            (text(&path), aged(1), aged(2), aged(3)),
            ("line4\n".into(), "line3\n".into(), "line2\n".into(), "".into())
        );
        let mut alone = file(&path, 8, 0);
        alone.append(b"another line\n").expect("room");
        assert_eq!((text(&path), aged(1)), ("another line\n".into(), "line3\n".into()));
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_and_half_a_line_stays_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("moved"));
        fs::write(&path, "whole\nhal").expect("writable");
        let mut lines = file(&path, 0, 0);
        lines.append(b"next\n").expect("room");
        fs::rename(&path, &moved).expect("writable");
        lines.append(b"still there\n").expect("room");
        lines.reopen().expect("writable");
        lines.append(b"new\n").expect("room");
        assert_eq!((text(&moved), text(&path)), ("whole\nhal\nnext\nstill there\n".into(), "new\n".into()));
        open(folder.path()).expect_err("a folder is no file");
    }
}
