//! What openraft is told: when to stand for election, when to make a snapshot, how much log to keep.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use super::replica::{ReplicaError, ReplicaOptions};

/// When a node stands for election that has not heard of the leader: the shortest and the longest wait, after the longest has
/// passed once, for so long everybody holds to the leader.
///
/// A node outside of the home region begins when those inside have had their turn, and holds to the leader no longer than until
/// the first of them begins, so that it has a vote for him. With 500 and 1000 ms they begin 1500 to 2000 ms after the last that
/// was heard of the leader; with 1000 and 1500 ms it holds to the leader for 1500 ms and begins after 2500 to 3000.
fn election_timeout((shortest, longest): (Duration, Duration), abroad: bool) -> (Duration, Duration) {
    if abroad { (longest, longest + shortest) } else { (shortest, longest) }
}

/// openraft's settings, for a node that is outside of the home region or not.
pub(super) fn raft_config(options: &ReplicaOptions, abroad: bool) -> Result<Config, ReplicaError> {
    let (shortest, longest) = election_timeout(options.election_timeout, abroad);
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: format!("{:016x}", options.membership.lineage),
        heartbeat_interval: millis(options.heartbeat),
        election_timeout_min: millis(shortest),
        election_timeout_max: millis(longest),
        // A node that was cut off must not depose a healthy leader when it comes back (Raft dissertation, section 9.6).
        enable_pre_vote: Some(true),
        // A leader that was killed may have lost entries that followers already have. It must not go on in the same term: it
        // would give the same log ids to other entries.
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_after_entries),
        max_in_snapshot_log_to_keep: options.keep_entries,
        // A snapshot is one stream; this bounds all of it.
        install_snapshot_timeout: 600_000,
        max_payload_entries: 1024,
        ..Config::default()
    };
    config.validate().map_err(|error| ReplicaError::Settings(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_abroad_stands_for_election_after_those_at_home_and_votes_for_them_at_once() {
        for (shortest, longest) in [(500, 1000), (300, 301), (100, 600_000)] {
            let (shortest, longest) = (Duration::from_millis(shortest), Duration::from_millis(longest));
            let (home_first, home_last) = (longest + shortest, longest + longest);
            let (wait, lease) = election_timeout((shortest, longest), true);
            assert!(wait < lease, "openraft wants some time between the two");
            assert!(
                lease <= home_first,
                "it holds to the leader until somebody at home stands for election, and no longer"
            );
            assert!(lease + wait > home_last, "those at home come first");
            assert_eq!(election_timeout((shortest, longest), false), (shortest, longest));
        }
    }
}
