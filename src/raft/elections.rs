//! What openraft is told: when to stand for election, when to make a snapshot, how much log to keep.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use super::replica::{ReplicaError, ReplicaOptions};

/// What openraft calls the shortest and the longest election timeout, in milliseconds, for a node that stands for election
/// after a silence of `shortest` to `longest`. Openraft waits twice: for its longest, in which everybody holds to the leader,
/// and then for something between the two. So it is told halves. The shortest is also the time that it gives a voter to answer.
///
/// A node outside of the home region begins when those inside have had their turn, and holds to the leader no longer than until
/// the first of them begins, so that it has a vote for him. With 1000 and 2000 ms, openraft's are 500 and 1000, and they begin
/// 1500 to 2000 ms after the last that was heard of the leader; abroad its are 1000 and 1500: such a node holds to the leader
/// for 1500 ms and begins after 2500 to 3000.
fn election_timeout((shortest, longest): (Duration, Duration), abroad: bool) -> (u64, u64) {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
    // Rounded so that they differ where the silences do, and no wait is shorter than the shortest.
    let (shortest, longest) = (millis(shortest) / 2, millis(longest).div_ceil(2));
    if abroad { (longest, longest + shortest) } else { (shortest, longest) }
}

/// openraft's settings, for a node that is outside of the home region or not.
pub(super) fn raft_config(options: &ReplicaOptions, abroad: bool) -> Result<Config, ReplicaError> {
    let (shortest, longest) = election_timeout(options.election_timeout, abroad);
    let config = Config {
        cluster_name: format!("{:016x}", options.membership.lineage),
        heartbeat_interval: u64::try_from(options.heartbeat.as_millis()).unwrap_or(u64::MAX),
        election_timeout_min: shortest,
        election_timeout_max: longest,
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

    const SILENCES: [(u64, u64); 6] = [(1000, 2000), (500, 1000), (300, 301), (301, 302), (30, 31), (100, 600_000)];

    fn timeout((shortest, longest): (u64, u64), abroad: bool) -> (u64, u64) {
        election_timeout((Duration::from_millis(shortest), Duration::from_millis(longest)), abroad)
    }

    #[test]
    fn a_node_stands_for_election_within_the_silence_that_was_asked_for() {
        for (shortest, longest) in SILENCES {
            let (wait, lease) = timeout((shortest, longest), false);
            assert!(wait < lease, "openraft wants some time between the two");
            assert!(wait + lease >= shortest, "{shortest}: {}", wait + lease);
            // What it draws lies below the end of its range.
            assert!(lease + lease - 1 <= longest, "{longest}: {}", lease + lease - 1);
        }
    }

    #[test]
    fn who_is_abroad_stands_for_election_after_those_at_home_and_votes_for_them_at_once() {
        for silence in SILENCES {
            let (home_wait, home_lease) = timeout(silence, false);
            let (home_first, home_last) = (home_lease + home_wait, home_lease + home_lease);
            let (wait, lease) = timeout(silence, true);
            assert!(wait < lease, "openraft wants some time between the two");
            assert!(
                lease <= home_first,
                "it holds to the leader until somebody at home stands for election, and no longer"
            );
            assert!(lease + wait > home_last, "those at home come first");
        }
    }
}
