//! What the system says of this process, from `/proc`. Zero where it says nothing.

use std::fs;
use std::time::Duration;

/// What `/proc` counts processor time in, on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// One look.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: i64,
    pub(super) open_files: i64,
    pub(super) time: Duration,
}

pub(super) fn observe() -> Process {
    let resident = fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_kilobytes(&text));
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let time = fs::read_to_string("/proc/self/stat").ok().and_then(|text| ticks(&text));
    Process {
        resident_bytes: resident.unwrap_or(0).saturating_mul(1024),
        open_files: i64::try_from(files).unwrap_or(i64::MAX),
        time: TICK * time.unwrap_or(0),
    }
}

fn resident_kilobytes(status: &str) -> Option<i64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn ticks(stat: &str) -> Option<u32> {
    // The name may have spaces and parentheses in it; nothing after it has.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u32>().ok();
    field(11)?.checked_add(field(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let seen = observe();
        assert!(seen.resident_bytes > 1 << 20 && seen.open_files > 2, "{seen:?}");
        assert_eq!(ticks("12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 20 5 0"), Some(25));
        assert_eq!(ticks("nonsense"), None);
    }
}
