//! `[raft]`: how fast a failed leader is noticed, and how much log is kept.

use super::section::section;
use super::{ConfigError, invalid};

/// Elections need several heartbeats to go missing; one lost packet is not a failed leader.
const HEARTBEATS_PER_ELECTION: u64 = 3;

section! {
    /// Timing of elections and retention of the log.
    #[derive(Debug)]
    RaftSection, RaftOverrides, "raft" {
        /// Time between two heartbeats of the leader, in milliseconds [default: 100]
        #[arg(value_name = "MS")]
        heartbeat_ms: u64 = 100, "heartbeat-ms", "QUORATE_HEARTBEAT_MS";
        /// Shortest silence of the leader before an election, in milliseconds [default: 1000]
        #[arg(value_name = "MS")]
        election_timeout_min_ms: u64 = 1000, "election-timeout-min-ms", "QUORATE_ELECTION_TIMEOUT_MIN_MS";
        /// Longest silence of the leader before an election, in milliseconds [default: 2000]
        #[arg(value_name = "MS")]
        election_timeout_max_ms: u64 = 2000, "election-timeout-max-ms", "QUORATE_ELECTION_TIMEOUT_MAX_MS";
        /// Log entries after which a node takes a snapshot [default: 50000]
        #[arg(value_name = "ENTRIES")]
        snapshot_after_entries: u64 = 50_000, "snapshot-after-entries", "QUORATE_SNAPSHOT_AFTER_ENTRIES";
        /// Log entries kept behind a snapshot, for nodes that lag a little [default: 10000]
        #[arg(value_name = "ENTRIES")]
        keep_entries: u64 = 10_000, "keep-entries", "QUORATE_KEEP_ENTRIES";
    }
}

impl RaftSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(10..=10_000).contains(&self.heartbeat_ms) {
            return Err(invalid("raft.heartbeat_ms", format!("is {}; use 10 to 10000", self.heartbeat_ms)));
        }
        let shortest = HEARTBEATS_PER_ELECTION * self.heartbeat_ms;
        if self.election_timeout_min_ms < shortest {
            let problem = format!(
                "is {}; use at least {shortest}, {HEARTBEATS_PER_ELECTION} times raft.heartbeat_ms, or one late heartbeat \
                 starts an election",
                self.election_timeout_min_ms
            );
            return Err(invalid("raft.election_timeout_min_ms", problem));
        }
        if self.election_timeout_max_ms <= self.election_timeout_min_ms || self.election_timeout_max_ms > 600_000 {
            let problem = format!(
                "is {}; use more than raft.election_timeout_min_ms ({}), so that nodes do not all stand for election at \
                 once, and at most 600000",
                self.election_timeout_max_ms, self.election_timeout_min_ms
            );
            return Err(invalid("raft.election_timeout_max_ms", problem));
        }
        if self.snapshot_after_entries == 0 {
            return Err(invalid("raft.snapshot_after_entries", "is 0; use at least 1"));
        }
        Ok(())
    }
}
