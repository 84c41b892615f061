//! What this machine allows to be done.

use std::os::unix::fs::MetadataExt as _;

use super::command::{exists, run};

/// Where the nodes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Each in a network namespace and on a file system of its own.
    Namespaces,
    /// Plain processes on the loopback interface.
    Loopback {
        /// Why not better.
        because: String,
    },
}

/// Programs without which there are no namespaces and disks.
const NEEDED: [&str; 6] = ["ip", "nft", "mkfs.ext4", "mount", "umount", "fsfreeze"];

impl Ground {
    /// What this machine allows.
    #[must_use]
    pub fn find() -> Self {
        let loopback = |because: String| Self::Loopback { because };
        // Whoever owns this process's entry is who runs it.
        if std::fs::metadata("/proc/self").map_or(true, |process| process.uid() != 0) {
            return loopback("this is not root".to_owned());
        }
        let missing: Vec<&str> = NEEDED.into_iter().filter(|program| !exists(program)).collect();
        if !missing.is_empty() {
            return loopback(format!("missing programs: {}", missing.join(", ")));
        }
        if let Err(error) = run("ip netns list") {
            return loopback(error.to_string());
        }
        Self::Namespaces
    }

    /// What is not tested here, in words for a report.
    #[must_use]
    pub fn not_tested(&self) -> Vec<String> {
        match self {
            Self::Namespaces => Vec::new(),
            Self::Loopback { because } => {
                vec![format!("partitions, packet loss, power cuts and frozen disks: {because}")]
            }
        }
    }
}
