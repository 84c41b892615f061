//! Folders as a whole: what an operator copies, puts aside and puts back.

use std::fs;
use std::path::Path;

/// Copies `from` with all that is in it to `to`, over what is there.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the test's folder is writable");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the test's folder is writable");
        }
    }
}

/// Puts `image` in the place of `folder`, and keeps it.
pub(crate) fn put_back(image: &Path, folder: &Path) {
    fs::remove_dir_all(folder).expect("the test's folder is writable");
    copy_folder(image, folder);
}
