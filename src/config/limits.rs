//! `[limits]`: what a node takes on at once.

use super::section::section;
use super::{ConfigError, invalid};

section! {
    /// Bounds on the work of one node.
    #[derive(Debug)]
    LimitsSection, LimitsOverrides, "limits" {
        /// Time for a request whose client sets no deadline, in milliseconds [default: 5000]
        #[arg(value_name = "MS")]
        request_timeout_ms: u64 = 5_000, "request-timeout-ms", "QUORATE_REQUEST_TIMEOUT_MS";
        /// Checks that are evaluated at the same time; more wait [default: 64]
        #[arg(value_name = "COUNT")]
        concurrent_evaluations: usize = 64, "concurrent-evaluations", "QUORATE_CONCURRENT_EVALUATIONS";
        /// Writes in flight on this node; more are refused [default: 10000]
        #[arg(value_name = "COUNT")]
        waiting_writes: usize = 10_000, "waiting-writes", "QUORATE_WAITING_WRITES";
    }
}

impl LimitsSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=3_600_000).contains(&self.request_timeout_ms) {
            let problem = format!("is {}; use 1 to 3600000 (an hour)", self.request_timeout_ms);
            return Err(invalid("limits.request_timeout_ms", problem));
        }
        for (key, value, most) in [
            ("limits.concurrent_evaluations", self.concurrent_evaluations, 1_024),
            ("limits.waiting_writes", self.waiting_writes, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(invalid(key, format!("is {value}; use 1 to {most}")));
            }
        }
        Ok(())
    }
}
