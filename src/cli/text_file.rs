//! Files that are read whole, as text: regular ones, no longer than a bound, and where a file is named by another one, below
//! that one's folder. Errors say why, not which file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path};

/// The text of a regular file of at most `most` bytes.
pub(super) fn read(file: &Path, most: usize) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    // The length that the system tells is not what a file gives everywhere, so what is read is bounded.
    let mut text = String::new();
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(file).and_then(|file| file.take(bound).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes > most => Err(too_long(most)),
        Ok(_) => Ok(text),
        // Cut off in the middle of a character.
        Err(_) if fs::metadata(file).is_ok_and(|about| about.len() >= bound) => Err(too_long(most)),
        Err(error) => Err(unreadable(error)),
    }
}

fn too_long(most: usize) -> String {
    format!("it is longer than the {most} bytes that are read")
}

/// The same for `path`, which a file in `folder` names: it must be below `folder` also when links are followed.
pub(super) fn read_below(folder: &Path, path: &str, most: usize) -> Result<String, String> {
    let relative = Path::new(path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err("it is not below the folder of the file that names it".to_owned());
    }
    let root = folder.canonicalize().map_err(|error| error.to_string())?;
    let file = root.join(relative).canonicalize().map_err(|error| error.to_string())?;
    if !file.starts_with(&root) {
        return Err("it is a link that leads out of the folder of the file that names it".to_owned());
    }
    read(&file, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_regular_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("text"), "twelve bytes").expect("writable");
        fs::write(path("umlaut"), "ää").expect("writable");
        fs::write(path("bytes"), b"\xff\xfe").expect("writable");
        assert_eq!(read(&path("text"), 12).expect("short"), "twelve bytes");
        for (name, most, expected) in [
            ("text", 11, "longer"),
            ("umlaut", 2, "longer"),
            ("bytes", 100, "cannot be read"),
            ("absent", 100, "cannot be read"),
            ("", 100, "not a regular file"),
        ] {
            let error = read(&path(name), most).expect_err(name);
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert!(read(Path::new("/dev/zero"), 100).expect_err("a device").contains("not a regular file"));
    }

    #[test]
    fn what_a_file_names_is_below_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir_all(inner.join("sub")).expect("writable");
        fs::write(folder.path().join("secret"), "secret").expect("writable");
        fs::write(inner.join("sub/there"), "there").expect("writable");
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("link")).expect("linked");
        assert_eq!(read_below(&inner, "sub/there", 100).expect("below"), "there");
        assert_eq!(read_below(&inner, "./sub/there", 100).expect("below"), "there");
        let absolute = folder.path().join("secret").display().to_string();
        for (path, expected) in [
            ("../secret", "not below"),
            ("sub/../../secret", "not below"),
            (absolute.as_str(), "not below"),
            ("link", "leads out"),
            ("sub", "not a regular file"),
        ] {
            let error = read_below(&inner, path, 100).expect_err(path);
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}
