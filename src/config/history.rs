//! `[history]`: how long old states stay readable.

use super::section::section;
use super::{ConfigError, invalid};

section! {
    /// Retention of history. What either of the two demands is kept.
    #[derive(Debug)]
    HistorySection, HistoryOverrides, "history" {
        /// Time, in milliseconds, for which a state stays readable after it was the newest [default: 86400000]
        #[arg(value_name = "MS")]
        retain_ms: u64 = 86_400_000, "history-retain-ms", "QUORATE_HISTORY_RETAIN_MS";
        /// Newest states that stay readable however old they are [default: 100000]
        #[arg(value_name = "ENTRIES")]
        retain_entries: u64 = 100_000, "history-retain-entries", "QUORATE_HISTORY_RETAIN_ENTRIES";
    }
}

impl HistorySection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1_000..=31_622_400_000).contains(&self.retain_ms) {
            let problem = format!("is {}; use 1000 (a second) to 31622400000 (a year)", self.retain_ms);
            return Err(invalid("history.retain_ms", problem));
        }
        if !(1..=1_000_000_000_000).contains(&self.retain_entries) {
            return Err(invalid(
                "history.retain_entries",
                format!("is {}; use 1 to 1000000000000", self.retain_entries),
            ));
        }
        Ok(())
    }
}
