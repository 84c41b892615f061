//! Waiting for a condition within a bound, and saying things past the test runner's capture.

use std::fmt::Debug;
use std::io::Write;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives a value, which is returned. Panics after `limit` with what was seen last.
pub(crate) async fn eventually<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + limit;
    let mut seen = String::from("nothing: the first look took too long");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(last)) => seen = format!("{last:?}"),
            Err(_) => {}
        }
        // A probe that never waits is never interrupted either, so the time is looked at here too.
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}; seen last: {seen}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The future's value, which must be there within `limit`.
pub(crate) async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what}: not within {limit:?}"))
}

/// Prints a line that is seen even when the test passes: a skipped test that looks like a passed one proves nothing.
pub(crate) fn say(line: &str) {
    // The handle is written to directly, since the test runner captures only what the macros print.
    let _ = writeln!(std::io::stderr(), "{line}");
}
