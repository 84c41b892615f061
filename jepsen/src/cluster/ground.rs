//! What this machine allows to be done.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::command::{exists, run};

/// Where the nodes stand, and what can be done to them there. What cannot be done says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// Each node is in a network namespace and on a file system of its own; else plain processes on the loopback interface.
    pub namespaces: Result<(), String>,
    /// Packets can be held back by this program.
    pub queues: Result<(), String>,
    /// A process can be told another time, by this library.
    pub clocks: Result<PathBuf, String>,
}

/// Programs without which there are no namespaces and disks.
const NEEDED: [&str; 6] = ["ip", "nft", "mkfs.ext4", "mount", "umount", "fsfreeze"];

/// Where distributions put libfaketime, in the form for programs with threads.
const FAKETIME: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

impl Ground {
    /// What this machine allows.
    #[must_use]
    pub fn find() -> Self {
        let namespaces = namespaces();
        let queues = namespaces.clone().and_then(|()| queues());
        let library = FAKETIME.into_iter().map(Path::new).find(|path| path.is_file());
        let clocks = library.map(Path::to_owned).ok_or_else(|| "libfaketime is not there".to_owned());
        Self { namespaces, queues, clocks }
    }

    /// What is not tested here, in words for a report.
    #[must_use]
    pub fn not_tested(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Err(why) = &self.namespaces {
            words.push(format!("partitions, packet loss and delay, power cuts, frozen and full disks: {why}"));
        } else if let Err(why) = &self.queues {
            words.push(format!("delayed and reordered packets: {why}"));
        }
        if let Err(why) = &self.clocks {
            words.push(format!("wall clocks that jump or drift: {why}"));
        }
        words
    }

    /// Where everything is possible.
    #[must_use]
    pub fn firm() -> Self {
        Self { namespaces: Ok(()), queues: Ok(()), clocks: Ok(PathBuf::new()) }
    }

    #[cfg(test)]
    pub(crate) fn bare() -> Self {
        let no = || "nothing is there".to_owned();
        Self { namespaces: Err(no()), queues: Err(no()), clocks: Err(no()) }
    }
}

fn namespaces() -> Result<(), String> {
    // Whoever owns this process's entry is who runs it.
    if std::fs::metadata("/proc/self").map_or(true, |process| process.uid() != 0) {
        return Err("this is not root".to_owned());
    }
    let missing: Vec<&str> = NEEDED.into_iter().filter(|program| !exists(program)).collect();
    if !missing.is_empty() {
        return Err(format!("missing programs: {}", missing.join(", ")));
    }
    run("ip netns list").map(drop).map_err(|error| error.to_string())
}

/// Tried in a namespace that ends with the trial: whether the kernel can hand packets over is not known before.
fn queues() -> Result<(), String> {
    if !exists("iptables") {
        return Err("missing programs: iptables".to_owned());
    }
    let trial = "unshare --net iptables -w -A INPUT -j NFQUEUE --queue-num 0 --queue-bypass";
    run(trial).map(drop).map_err(|error| error.to_string())
}
