//! A node's wall clock, as libfaketime shows it to the process. Its monotonic clocks stay as they are, and so do its timers:
//! only offsets are ever set, never rates, which would stretch sleeps as well.

use std::fs;
use std::path::{Path, PathBuf};

/// One node's wall clock.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// One that is right so far. `file` is read by the process again and again.
    pub(super) fn create(library: PathBuf, file: PathBuf) -> std::io::Result<Self> {
        let clock = Self { library, file };
        clock.set(0.0)?;
        Ok(clock)
    }

    /// From within a second on it is off by so many seconds.
    pub fn set(&self, seconds: f64) -> std::io::Result<()> {
        // By rename, so that nobody reads half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+.3}\n"))?;
        fs::rename(new, &self.file)
    }

    /// What a process must find in its environment to go by this clock.
    pub(super) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            // Reading the file for each look at the clock costs a hundred times as much.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

/// Where the library keeps what a process and its children share: it outlives a process that is killed.
const SHARED: &str = "/dev/shm";
const PREFIXES: [&str; 2] = ["faketime_shm_", "sem.faketime_sem_"];

/// Removes what the library left behind of a process that has ended.
pub(super) fn forget(process: u32) {
    for prefix in PREFIXES {
        // A process that ended in order has removed it.
        let _ = fs::remove_file(Path::new(SHARED).join(format!("{prefix}{process}")));
    }
}

/// Removes what it left behind of all processes that are no more. Returns what was removed.
pub(super) fn sweep_shared() -> Vec<String> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(SHARED).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process =
            PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).and_then(|id| id.parse::<u32>().ok());
        let left = process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists());
        if left && fs::remove_file(entry.path()).is_ok() {
            removed.push(format!("shared memory {name}"));
        }
    }
    removed
}
