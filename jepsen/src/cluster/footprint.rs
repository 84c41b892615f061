//! What a process takes up, from the files that the kernel shows of it.

use std::fs;

/// Resident memory in KiB, and how many files are open. `None` when the process is gone.
pub(super) fn of(process: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
    Some((resident_kib(&status)?, files))
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_up_something_and_one_that_is_gone_nothing() {
        let (resident, files) = of(std::process::id()).unwrap();
        assert!(resident > 100 && files > 0);
        assert_eq!(of(u32::MAX), None);
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1234));
        assert_eq!(resident_kib("Name:\tx\n"), None);
    }
}
