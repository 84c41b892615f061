//! How many files this process may have open, and how many of them may be connections: a node whose clients use up the files
//! could not open those of its database.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::peers;
use crate::security::ConnectionLimits;

/// The operator's machines: a scraper, probes, people.
pub(super) const METRICS_CONNECTIONS: ConnectionLimits = ConnectionLimits { most: 128, most_from_one: None };
/// Of all files, this part is for what is not a connection, and never less than so many.
const RESERVED_PART: u64 = 4;
const RESERVED_LEAST: u64 = 128;
/// A listener of clients has room for so many, whatever the system allows.
const LEAST_CONNECTIONS: usize = 16;

/// Asks the system for as many open files as it allows; how many there may be then.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where the system has no bound at all, none is asked for.
    let (Some(soft), Some(_)) = (current, maximum) else { return current.unwrap_or(u64::MAX) };
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(soft),
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files cannot be raised");
            soft
        }
    }
}

/// How many connections each of so many listeners of clients may have, where `wanted` are configured and `files` may be open.
pub(super) fn connections(wanted: usize, listeners: usize, files: u64) -> usize {
    let reserved = (files / RESERVED_PART).max(RESERVED_LEAST);
    let others = peers::CONNECTIONS.most.min(most_of(files)) + METRICS_CONNECTIONS.most.min(most_of(files));
    let left = files.saturating_sub(reserved).saturating_sub(others as u64);
    let each = usize::try_from(left).unwrap_or(usize::MAX) / listeners.max(1);
    let fits = wanted.min(each.max(LEAST_CONNECTIONS));
    if fits < wanted {
        tracing::warn!(
            files,
            wanted,
            fits,
            "limits.connections is more than the system's limit of open files has room for; the smaller number holds"
        );
    }
    fits
}

/// No listener is counted with more than a sixteenth of all files.
fn most_of(files: u64) -> usize {
    usize::try_from(files / 16).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_database() {
        assert_eq!(connections(10_000, 2, 1 << 20), 10_000);
        assert_eq!(connections(10_000, 1, u64::MAX), 10_000);
        let few = connections(10_000, 2, 1_024);
        assert!(few >= 200 && 2 * few <= 1_024 * 3 / 4, "{few}");
        assert_eq!(connections(10_000, 1, 64), LEAST_CONNECTIONS);
        assert_eq!(connections(5, 1, 64), 5);
    }
}
