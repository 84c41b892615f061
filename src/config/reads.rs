//! `[reads]`: how old a state reads may be answered from.

use super::section::section;
use super::{ConfigError, invalid};

section! {
    /// Freshness of a node's own state.
    #[derive(Debug)]
    ReadsSection, ReadsOverrides, "reads" {
        /// Age, in milliseconds, of the oldest state that a read without any demand is answered from [default: 10000]
        #[arg(value_name = "MS")]
        max_staleness_ms: u64 = 10_000, "max-staleness-ms", "QUORATE_MAX_STALENESS_MS";
        /// How often a node makes certain how old its state is, in milliseconds [default: 200]
        #[arg(value_name = "MS")]
        freshness_poll_ms: u64 = 200, "freshness-poll-ms", "QUORATE_FRESHNESS_POLL_MS";
    }
}

impl ReadsSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(10..=60_000).contains(&self.freshness_poll_ms) {
            let problem = format!("is {}; use 10 to 60000 (a minute)", self.freshness_poll_ms);
            return Err(invalid("reads.freshness_poll_ms", problem));
        }
        if self.max_staleness_ms < self.freshness_poll_ms || self.max_staleness_ms > 86_400_000 {
            let problem = format!(
                "is {}; use at least reads.freshness_poll_ms ({}), or every read asks the leader, and at most 86400000 (a \
                 day)",
                self.max_staleness_ms, self.freshness_poll_ms
            );
            return Err(invalid("reads.max_staleness_ms", problem));
        }
        Ok(())
    }
}
