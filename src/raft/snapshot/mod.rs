//! Snapshots: a checkpoint of the state store as a folder of files, what the log says of it, and where it is kept.

mod files;
mod folder;

pub(super) use files::SnapshotFiles;
pub(super) use folder::SnapshotFolder;
