//! Files that hold what the store holds: whoever reads one knows who may do what, so they are their owner's alone, whatever the
//! umask says.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

const OWNER_ONLY: u32 = 0o600;

/// Makes a file that is not there yet.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)
}

/// Makes a file in the place of whatever an earlier command left there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    // Opened again, it would stay open to those that it is open to.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => create_new(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nobody_else_can_read_them_even_where_one_was_left_that_all_can_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let mode = || fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        create(&path).expect("nothing is there");
        assert_eq!(mode(), OWNER_ONLY);
        create_new(&path).expect_err("it is there");
        fs::write(&path, "left").expect("writable");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("it is ours");
        create(&path).expect("it takes its place");
        assert_eq!((mode(), fs::read_to_string(&path).expect("text").as_str()), (OWNER_ONLY, ""));
    }
}
