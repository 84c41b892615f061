//! One batch of an import, sent until it is in or there is no more hope.
//!
//! A batch has a key of its own, under which it takes effect once. So even one whose outcome is not known is simply sent again,
//! and brings nothing back that somebody deleted in between.

use std::time::{Duration, Instant};

use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::cli::write_key::WriteKey;
use crate::wire::authzed::v1::{WriteRelationshipsRequest, ZedToken};

/// With the pauses below: long enough for an election and a restart, not for ever.
const MOST_ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A batch that is in.
pub(super) struct Sent {
    /// Its zookie.
    pub(super) zookie: Option<ZedToken>,
    /// From the first attempt to the answer.
    pub(super) took: Duration,
    /// Attempts beyond the first.
    pub(super) retries: u32,
}

/// Sends `request` under a new key.
pub(super) async fn send(cluster: &Connection, request: WriteRelationshipsRequest) -> Result<Sent, Failure> {
    let started = Instant::now();
    let key = WriteKey::random();
    let mut retries = 0;
    loop {
        let attempt = cluster
            .write_once(&key, |node| {
                let request = request.clone();
                async move { node.permissions().write_relationships(request).await }
            })
            .await;
        match attempt {
            Ok(answer) => return Ok(Sent { zookie: answer.written_at, took: started.elapsed(), retries }),
            Err(error) if error.is_transient() && retries + 1 < MOST_ATTEMPTS => {
                tokio::time::sleep(pause(retries)).await;
                retries += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn pause(retries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << retries.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(3), Duration::from_millis(800));
        assert_eq!(pause(6), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
