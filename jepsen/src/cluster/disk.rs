//! A node's disk: a file system inside an image file, which can lose what was not flushed, stand still, and be full.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::{SystemError, run};

const IMAGE_BYTES: u64 = 1 << 30; // Sparse: only what is written takes room.

/// Journal commits far apart: what nobody flushes stays in memory for long, so that a power cut has something to take.
const OPTIONS: &str = "loop,commit=300,noauto_da_alloc";

/// A mounted image. Dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes and mounts one in `folder`.
    pub(super) fn create(folder: &Path, node: usize) -> Result<Self, SystemError> {
        let disk = Self { image: folder.join(format!("disk-{node}")), mount: folder.join(format!("node-{node}")) };
        let failed = |what: &Path, error: std::io::Error| SystemError {
            command: format!("making {}", what.display()),
            complaint: error.to_string(),
        };
        fs::create_dir_all(&disk.mount).map_err(|error| failed(&disk.mount, error))?;
        let file = fs::File::create(&disk.image).map_err(|error| failed(&disk.image, error))?;
        file.set_len(IMAGE_BYTES).map_err(|error| failed(&disk.image, error))?;
        run(&format!("mkfs.ext4 -q -F {}", disk.image.display()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> Result<(), SystemError> {
        run(&format!("mount -o {OPTIONS} {} {}", self.image.display(), self.mount.display())).map(drop)
    }

    /// Puts the disk into the state that it has after a power cut now; its node must be dead. The copy is made while the file
    /// system is mounted, so what the kernel holds back is not in it. Whether anything was lost.
    pub fn cut(&self) -> Result<bool, SystemError> {
        // The control: written and not flushed. If it survives, the cut took nothing.
        let control = self.mount.join("control");
        let written = fs::write(&control, vec![7_u8; 100_000]).is_ok();
        let copy = self.image.with_extension("copy");
        run(&format!("cp --sparse=always {} {}", self.image.display(), copy.display()))?;
        run(&format!("umount {}", self.mount.display()))?;
        fs::rename(&copy, &self.image)
            .map_err(|error| SystemError { command: "rename".to_owned(), complaint: error.to_string() })?;
        self.mount()?;
        let survived = fs::read(&control).unwrap_or_default();
        Ok(written && survived.iter().all(|byte| *byte == 0))
    }

    /// Nothing is flushed any more; whoever writes waits.
    pub fn freeze(&self) -> Result<(), SystemError> {
        run(&format!("fsfreeze --freeze {}", self.mount.display())).map(drop)
    }

    /// It goes on.
    pub fn thaw(&self) -> Result<(), SystemError> {
        run(&format!("fsfreeze --unfreeze {}", self.mount.display())).map(drop)
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> Result<(), SystemError> {
        // Blocks are reserved and not written: the other disks share the machine's real one.
        let filler = self.mount.join("filler");
        let free = run(&format!("df --block-size=1K --output=avail {}", self.mount.display()))?;
        let free = free.split_whitespace().next_back().unwrap_or_default();
        run(&format!("fallocate --length {free}KiB {}", filler.display())).map(drop)
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        // There may be none to remove.
        let _ = fs::remove_file(self.mount.join("filler"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(&format!("fsfreeze --unfreeze {}", self.mount.display()));
        // Lazily: a process that was just killed may still use it for a moment.
        let _ = run(&format!("umount --lazy {}", self.mount.display()));
    }
}
