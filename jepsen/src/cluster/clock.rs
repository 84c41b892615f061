//! A node's wall clock, as libfaketime shows it to the process. Its monotonic clocks stay as they are, and so do its timers:
//! only offsets are ever set, never rates, which would stretch sleeps as well.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::SystemTime;

use prost_types::Timestamp;

/// One node's wall clock.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    log: PathBuf,
}

impl Clock {
    /// One that is right so far, of the node that has its logs in this folder. Its file is read by the process again and again.
    pub(super) fn create(library: PathBuf, logs: &Path) -> std::io::Result<Self> {
        let clock = Self { library, file: logs.join("clock"), log: logs.join("log") };
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

    /// How much the node has logged so far, in bytes.
    #[must_use]
    pub fn logged(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// By how many seconds the node's clock is ahead of this program's, as far as what it logged just now after `from` bytes
    /// says.
    #[must_use]
    pub fn ahead(&self, from: u64) -> Option<f64> {
        let mut log = fs::File::open(&self.log).ok()?;
        log.seek(SeekFrom::Start(from)).ok()?;
        let mut new = Vec::new();
        log.read_to_end(&mut new).ok()?;
        seconds_ahead(&String::from_utf8_lossy(&new), SystemTime::now())
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

/// By how much the newest line that begins with a time is ahead of `now`.
fn seconds_ahead(lines: &str, now: SystemTime) -> Option<f64> {
    let times = lines.lines().rev().filter_map(|line| Timestamp::from_str(line.split_whitespace().next()?).ok());
    let there = SystemTime::try_from(times.into_iter().next()?).ok()?;
    Some(match there.duration_since(now) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    })
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_log_tells_how_far_a_clock_is_off() {
        let now = UNIX_EPOCH + Duration::from_secs(86_400);
        let lines = "1970-01-01T23:58:00.500000Z  INFO first\n1970-01-02T00:01:30.000000Z  INFO last\n  a line without a time\n";
        assert_eq!(seconds_ahead(lines, now), Some(90.0));
        assert_eq!(seconds_ahead("1970-01-01T23:58:00Z INFO x", now), Some(-120.0));
        assert_eq!(seconds_ahead("no time\n", now), None);
    }
}
