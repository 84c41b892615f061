//! A power cut: what was not flushed to the disk is gone, and every acknowledged write is there all the same.
//!
//! `kill -9` cannot show a missing flush, because the kernel keeps what a dead process wrote. Here the nodes' data lies on a
//! file system inside an image file. The image is copied while the file system is still mounted: what the kernel holds back
//! is not in the copy. The nodes go on from the copy. Needs root and loop devices; says so where it cannot run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Cluster, Load, say};

const IMAGE_BYTES: u64 = 3 << 30; // Sparse: only what is written takes room.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_no_acknowledged_write() {
    let home = TempDir::with_prefix_in("power-", env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable");
    let mut disk = match Disk::create(home.path()) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("SKIPPED a_power_cut_loses_no_acknowledged_write: {why}")),
    };
    let mut cluster = Cluster::form_in(&disk.mount, 3).await;
    let clients = cluster.clients();
    let mut load = Load::start(&clients, 2);
    load.progress(300).await;

    for node in &mut cluster.nodes {
        node.kill();
    }
    // The control: written, not flushed. If it outlives the cut, the cut cut nothing.
    let control = disk.mount.join("control");
    fs::write(&control, vec![7; 100_000]).expect("the image has room");
    disk.cut();
    let survived = fs::read(&control).unwrap_or_default();
    assert!(survived.iter().all(|byte| *byte == 0), "data that was never flushed outlived the power cut");

    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        assert_eq!(node.ready().await, "member");
    }
    load.progress(100).await;
    load.stop().await;
    cluster.assert_same_state().await;
    for client in &clients {
        load.verify_exactly(client).await;
    }
    say(&format!("power cut: {}", load.summary()));
    drop(cluster); // Before its disk goes.
}

/// A file system in an image file, mounted by way of a loop device.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    fn create(home: &Path) -> Result<Self, String> {
        if fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid() != 0 {
            return Err("mounting a disk image needs root".to_owned());
        }
        let disk = Self { image: home.join("image"), mount: home.join("disk") };
        fs::create_dir(&disk.mount).map_err(|error| error.to_string())?;
        let file = fs::File::create(&disk.image).map_err(|error| error.to_string())?;
        file.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    /// Puts the disk into the state that it would have after a power cut now.
    fn cut(&mut self) {
        let copy = self.image.with_extension("copy");
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&copy)).expect("the image can be copied");
        run(Command::new("umount").arg(&self.mount)).expect("nothing uses the disk any more");
        fs::rename(&copy, &self.image).expect("both are in one folder");
        self.mount().expect("the file system mends itself from its journal");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a failed test a process may still use it for a moment.
        if let Err(why) = run(Command::new("umount").arg("--lazy").arg(&self.mount)) {
            say(&format!("{}: {why}", self.mount.display()));
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
