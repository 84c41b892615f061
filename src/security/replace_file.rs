//! A file that is replaced as a whole: after a crash it is the old one or the new one, and it never belongs to anybody else or
//! is open to more people than before.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// What a file that holds secrets, or their hashes, is open to: its owner.
const OWNER_ONLY: u32 = 0o600;

/// Puts what `edit` makes of the text of `path` in its place; the text is empty where there is no file.
pub(super) fn replace_file<E: From<io::Error>>(
    path: &Path,
    edit: impl FnOnce(&str) -> Result<String, E>,
) -> Result<(), E> {
    let (path, old) = match path.canonicalize() {
        Ok(path) => {
            let old = fs::metadata(&path)?;
            (path, Some(old))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => (path.to_owned(), None),
        Err(error) => return Err(error.into()),
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?,
        _ => File::open(".")?,
    };
    // Two who do this at once would each lose what the other added. Not every file system has such locks.
    let _ = folder.lock();
    let text = match old {
        Some(_) => fs::read_to_string(&path)?,
        None => String::new(),
    };
    let new = edit(&text)?;
    let beside = beside(&path)?;
    let written = write(&beside, &new, old.as_ref()).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        // The first error says what is wrong; what is left behind holds nothing that the file would not.
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    Ok(folder.sync_all()?)
}

/// A name in the same folder that nothing has.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}", rand::random::<u64>()));
    Ok(path.with_file_name(hidden))
}

fn write(path: &Path, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    if let Some(old) = old {
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid())).map_err(|error| {
                io::Error::new(error.kind(), format!("it cannot stay with its owner: {error}; run this as the owner"))
            })?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        let add = |path: &Path, word: &str| replace_file(path, |text| Ok::<_, io::Error>(format!("{text}{word}")));
        add(&path, "a").expect("a new file");
        assert_eq!((fs::read_to_string(&path).expect("text").as_str(), mode(&path)), ("a", 0o600));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("it is ours");
        std::os::unix::fs::symlink("file", &link).expect("linked");
        add(&link, "b").expect("a file that exists");
        assert!(link.is_symlink(), "what the link leads to is replaced");
        assert_eq!((fs::read_to_string(&path).expect("text").as_str(), mode(&path)), ("ab", 0o640));

        replace_file(&path, |_| Err(io::Error::other("no"))).expect_err("the edit fails");
        assert_eq!(fs::read_to_string(&path).expect("text"), "ab");
        fs::write(&path, b"\xff").expect("writable");
        add(&path, "c").expect_err("it cannot be read");
        assert_eq!(fs::read(&path).expect("bytes"), b"\xff");
        let names = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 2, "nothing is left beside it");
    }
}
