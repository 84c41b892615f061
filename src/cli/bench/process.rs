//! What a process on this machine has used, from `/proc`: processor time of all its threads, and resident memory.

use std::fs;
use std::time::Duration;

use crate::cli::failure::Failure;

/// The unit of times in `/proc`, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// What some processes have used until now, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time, threads that ended included.
    pub(super) processor: Duration,
    /// Resident memory now, in bytes.
    pub(super) resident_bytes: u64,
}

impl Usage {
    /// Of the processes with these ids.
    pub(super) fn of(pids: &[u32]) -> Result<Self, Failure> {
        pids.iter().try_fold(Self::default(), |sum, pid| {
            let one = Self::of_one(&pid.to_string())?;
            Ok(Self {
                processor: sum.processor + one.processor,
                resident_bytes: sum.resident_bytes + one.resident_bytes,
            })
        })
    }

    /// Of this process.
    pub(super) fn own() -> Result<Self, Failure> {
        Self::of_one("self")
    }

    fn of_one(pid: &str) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).map_err(|error| Failure::new(format!("cannot read {path}: {error}")))
        };
        let usage = parse(&read("stat")?, &read("status")?);
        usage.ok_or_else(|| Failure::new(format!("/proc/{pid} is not as expected")))
    }
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
    Some(Usage { processor: TICK * ticks, resident_bytes: kilobytes * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_a_program_is_called() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1000 1 1";
        let usage = parse(stat, "Name:\tx\nVmRSS:\t    2048 kB\n").unwrap();
        assert_eq!(usage, Usage { processor: Duration::from_secs(2), resident_bytes: 2 << 20 });
        assert!(parse("42 (x) S", "").is_none());
        assert!(Usage::own().unwrap().resident_bytes > 0);
    }
}
