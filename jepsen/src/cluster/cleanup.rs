//! Names of everything that a run makes outside of its own folders, and the removal of what a run that was killed left behind.
//!
//! Every name begins with the process id of the run, so that runs do not meet and leftovers can be told from what is in use.

use std::fs;
use std::path::PathBuf;

use super::clock::sweep_shared;
use super::command::run;

const PREFIX: &str = "qj";
const PROGRAM: &str = "quorate-jepsen";

/// The names of one run.
#[derive(Debug, Clone)]
pub(super) struct Names {
    id: u32,
}

impl Names {
    /// Those of this process.
    pub(super) fn own() -> Self {
        Self { id: std::process::id() }
    }

    /// The namespace of a node.
    pub(super) fn namespace(&self, node: usize) -> String {
        format!("{PREFIX}{}-{node}", self.id)
    }

    /// The bridge. Names of interfaces have at most 15 characters; process ids have at most 7.
    pub(super) fn bridge(&self) -> String {
        format!("{PREFIX}{}b", self.id)
    }

    /// This side of a node's cable.
    pub(super) fn cable(&self, node: usize) -> String {
        format!("{PREFIX}{}v{node}", self.id)
    }

    /// The first three bytes of the addresses.
    pub(super) fn subnet(&self) -> String {
        format!("10.{}.{}", 64 + (self.id >> 8) % 64, self.id % 256)
    }

    /// The folder for disks.
    pub(super) fn folder(&self) -> PathBuf {
        PathBuf::from("/var/tmp").join(format!("{PROGRAM}-{}", self.id))
    }
}

/// The run that a name belongs to, if it is one of ours.
fn owner(name: &str, prefix: &str) -> Option<u32> {
    let digits: String = name.strip_prefix(prefix)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn is_alive(id: u32) -> bool {
    id == std::process::id()
        || fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| PROGRAM.starts_with(name.trim()))
}

/// Removes what runs left behind that are no more. Returns what was removed.
#[must_use]
pub fn sweep() -> Vec<String> {
    let mut removed = Vec::new();
    let is_left = |name: &str, prefix: &str| owner(name, prefix).is_some_and(|id| !is_alive(id));
    // What is gone meanwhile is no error, here and below.
    for line in run("ip netns list").unwrap_or_default().lines() {
        let Some(name) = line.split_whitespace().next().filter(|name| is_left(name, PREFIX)) else { continue };
        for process in run(&format!("ip netns pids {name}")).unwrap_or_default().split_whitespace() {
            let _ = run(&format!("kill -9 {process}"));
        }
        if run(&format!("ip netns delete {name}")).is_ok() {
            removed.push(format!("namespace {name}"));
        }
    }
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_left(&name, PREFIX) && run(&format!("ip link delete {name}")).is_ok() {
            removed.push(format!("interface {name}"));
        }
    }
    for entry in fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_left(&name, &format!("{PROGRAM}-")) {
            remove_disks(&entry.path());
            if entry.path().exists() {
                continue;
            }
            removed.push(format!("folder {}", entry.path().display()));
        }
    }
    removed.extend(sweep_shared());
    removed
}

/// Unmounts everything below a folder and removes it.
pub(super) fn remove_disks(folder: &std::path::Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let inside = mounts
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|at| std::path::Path::new(at).starts_with(folder));
    for mount in inside {
        // Only a frozen one can be thawed, and only a thawed one unmounted.
        let _ = run(&format!("fsfreeze --unfreeze {mount}"));
        let _ = run(&format!("umount --lazy {mount}"));
    }
    let _ = fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_are_recognized() {
        let names = Names { id: 4_194_304 };
        for name in [names.bridge(), names.cable(9)] {
            assert!(name.len() <= 15, "{name}");
            assert_eq!(owner(&name, PREFIX), Some(4_194_304));
        }
        assert_eq!(owner(&names.namespace(3), PREFIX), Some(4_194_304));
        assert_eq!(owner("qjx", PREFIX), None);
        assert_eq!(owner("eth0", PREFIX), None);
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(1), "the first process is no run");
    }
}
