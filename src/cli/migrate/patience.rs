//! How long to go on trying what may work again in a while, and how long to wait in between.

use std::time::{Duration, Instant};

use super::super::call_error::CallError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Of one thing that is tried again and again. It ends a bounded time after the last success.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    failing_since: Option<Instant>,
    pause: Duration,
    /// Attempts that failed.
    pub(super) retries: u64,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, failing_since: None, pause: FIRST_PAUSE, retries: 0 }
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        self.failing_since = None;
        self.pause = FIRST_PAUSE;
    }

    /// Waits before the next attempt, or gives the error back where none makes sense any more.
    pub(super) async fn wait(&mut self, error: CallError) -> Result<(), CallError> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if !error.is_transient() || since.elapsed() + self.pause > self.limit {
            return Err(error);
        }
        self.retries += 1;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn error(status: Status) -> CallError {
        CallError::in_stream(status)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_what_does_not_is_not() {
        let mut patience = Patience::new(Duration::from_secs(60));
        patience.wait(error(Status::unavailable("away"))).await.expect("it may come back");
        patience.wait(error(Status::resource_exhausted("busy"))).await.expect("it may be free again");
        patience.wait(error(Status::out_of_range("gone"))).await.expect_err("gone for good");
        assert_eq!(patience.retries, 2);
        let mut impatient = Patience::new(Duration::ZERO);
        impatient.wait(error(Status::unavailable("away"))).await.expect_err("no time is left");
    }
}
