//! `[limits]`: what a node takes on at once.

use std::num::{NonZeroU32, NonZeroUsize};

use super::section::section;
use super::{ConfigError, invalid};
use crate::security::Allowance;

section! {
    /// Bounds on the work of one node.
    #[derive(Debug)]
    LimitsSection, LimitsOverrides, "limits" {
        /// Time for a request whose client sets no deadline, in milliseconds [default: 5000]
        #[arg(value_name = "MS")]
        request_timeout_ms: u64 = 5_000, "request-timeout-ms", "QUORATE_REQUEST_TIMEOUT_MS";
        /// Checks that are evaluated at the same time; more wait [default: 4 for each processor, 8 to 256]
        #[arg(value_name = "COUNT")]
        concurrent_evaluations: usize = default_evaluations(), "concurrent-evaluations", "QUORATE_CONCURRENT_EVALUATIONS";
        /// How long a check may wait for its turn in a burst, in milliseconds; while it does not stop, a tenth [default: 1000]
        #[arg(value_name = "MS")]
        evaluation_wait_ms: u64 = 1_000, "evaluation-wait-ms", "QUORATE_EVALUATION_WAIT_MS";
        /// Writes in flight on this node; more are refused [default: 10000]
        #[arg(value_name = "COUNT")]
        waiting_writes: usize = 10_000, "waiting-writes", "QUORATE_WAITING_WRITES";
        /// Connections of clients, by gRPC and at the gateway each; beyond, those without a key give way [default: 10000]
        #[arg(value_name = "COUNT")]
        connections: usize = 10_000, "connections", "QUORATE_CONNECTIONS";
        /// Of these, from one address; 0: as many as there are [default: 0]
        #[arg(value_name = "COUNT")]
        connections_per_address: usize = 0, "connections-per-address", "QUORATE_CONNECTIONS_PER_ADDRESS";
        /// Requests of clients at the same time, watches aside; 0: as many as come [default: 4096]
        #[arg(value_name = "COUNT")]
        concurrent_requests: u32 = 4_096, "concurrent-requests", "QUORATE_CONCURRENT_REQUESTS";
        /// The same for each key that has no bound of its own in the key file [default: 0]
        #[arg(value_name = "COUNT")]
        concurrent_requests_per_key: u32 = 0, "concurrent-requests-per-key", "QUORATE_CONCURRENT_REQUESTS_PER_KEY";
        /// Requests of clients a second; 0: as many as come [default: 0]
        #[arg(value_name = "COUNT")]
        rate: u32 = 0, "rate", "QUORATE_RATE";
        /// The same for each key that has no rate of its own in the key file [default: 0]
        #[arg(value_name = "COUNT")]
        rate_per_key: u32 = 0, "rate-per-key", "QUORATE_RATE_PER_KEY";
        /// Watches that are open at the same time [default: 10000]
        #[arg(value_name = "COUNT")]
        watches: usize = 10_000, "watches", "QUORATE_WATCHES";
    }
}

/// More evaluations at the same time than there are processors help where the disk is waited for. Many more only make each of
/// them later: when all of them are too late for their clients, all of the work was in vain.
fn default_evaluations() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (4 * processors).clamp(8, 256)
}

impl LimitsSection {
    /// What all clients of the node may use together.
    #[must_use]
    pub fn of_node(&self) -> Allowance {
        allowance(self.rate, self.concurrent_requests)
    }

    /// What the bearer of one key may use, where the key file says nothing else.
    #[must_use]
    pub fn of_key(&self) -> Allowance {
        allowance(self.rate_per_key, self.concurrent_requests_per_key)
    }

    /// Connections of clients from one address.
    #[must_use]
    pub fn connections_per_address(&self) -> Option<usize> {
        (self.connections_per_address > 0).then_some(self.connections_per_address)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=3_600_000).contains(&self.request_timeout_ms) {
            let problem = format!("is {}; use 1 to 3600000 (an hour)", self.request_timeout_ms);
            return Err(invalid("limits.request_timeout_ms", problem));
        }
        if !(10..=60_000).contains(&self.evaluation_wait_ms) {
            let problem = format!("is {}; use 10 to 60000 (a minute)", self.evaluation_wait_ms);
            return Err(invalid("limits.evaluation_wait_ms", problem));
        }
        for (key, rate) in [("limits.rate", self.rate), ("limits.rate_per_key", self.rate_per_key)] {
            if rate > 1_000_000 {
                return Err(invalid(key, format!("is {rate}; use 0 to 1000000")));
            }
        }
        for (key, value, most) in [
            ("limits.concurrent_evaluations", self.concurrent_evaluations, 1_024),
            ("limits.waiting_writes", self.waiting_writes, 1_000_000),
            ("limits.connections", self.connections, 1_000_000),
            ("limits.watches", self.watches, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(invalid(key, format!("is {value}; use 1 to {most}")));
            }
        }
        Ok(())
    }
}

/// 0 stands for no bound.
fn allowance(rate: u32, concurrent: u32) -> Allowance {
    Allowance { rate: NonZeroU32::new(rate), burst: None, concurrent: NonZeroU32::new(concurrent) }
}
