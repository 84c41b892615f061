//! The writing end of a stream of answers: a bounded queue, and a place in it that is kept for the last word.
//!
//! Invariant: a reader sees the end of a stream without an error only where its writer said that it is complete. A stream that
//! ends by an error, by its deadline, by a reader that takes nothing or by a panic ends with an error.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::model::{Error, ErrorCode};
use crate::raft::monotonic;

/// Where a task writes what it finds, for a reader that takes it or goes away.
#[derive(Debug)]
pub(super) struct Outlet<T> {
    items: mpsc::Sender<Result<T, Error>>,
    last_word: Option<mpsc::OwnedPermit<Result<T, Error>>>,
    terms: Terms,
}

/// How long a stream goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// When it must have ended; `None` where it may take as long as it is read.
    pub(super) deadline: Option<Instant>,
    /// A reader that takes nothing for so long is given up, since its stream holds on to old data.
    pub(super) patience: Duration,
    /// What a reader that was given up can do.
    pub(super) advice: &'static str,
}

/// Why a stream ends before it is complete; `None` when the reader has gone.
pub(super) type Ended = Option<Error>;

impl<T> Outlet<T> {
    /// Both ends of a stream in which `ahead` items wait for the reader at the most.
    pub(super) fn new(ahead: usize, terms: Terms) -> (Self, mpsc::Receiver<Result<T, Error>>) {
        let (items, reader) = mpsc::channel(ahead + 1);
        let last_word = Some(items.clone().try_reserve_owned().expect("a new channel has room"));
        (Self { items, last_word, terms }, reader)
    }

    /// Waits until there is room for one more item. What is found out after that is as fresh as it can be.
    pub(super) async fn room(&self) -> Result<Room<'_, T>, Ended> {
        let stalled_at = monotonic() + self.terms.patience;
        let until = self.terms.deadline.map_or(stalled_at, |deadline| deadline.min(stalled_at));
        match timeout_at(until.into(), self.items.reserve()).await {
            Ok(Ok(room)) => Ok(Room(room)),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(self.given_up(until < stalled_at))),
        }
    }

    /// Waits for `work`, but not longer than there is a reader.
    pub(super) async fn while_read<R>(&self, work: impl Future<Output = Result<R, Error>>) -> Result<R, Ended> {
        tokio::select! {
            done = work => done.map_err(Some),
            () = self.items.closed() => Err(None),
        }
    }

    /// Returns when the reader has gone or the deadline has passed.
    pub(super) async fn over(&self) -> Ended {
        let deadline = async {
            match self.terms.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = deadline => Some(self.given_up(true)),
            () = self.items.closed() => None,
        }
    }

    /// Until when a step that may take so long must be done.
    pub(super) fn step(&self, timeout: Duration) -> Instant {
        let end = monotonic() + timeout;
        self.terms.deadline.map_or(end, |deadline| deadline.min(end))
    }

    /// Ends the stream: complete, or with the reason why it is not.
    pub(super) fn end(mut self, ended: Result<(), Ended>) {
        if let (Some(last_word), Err(Some(error))) = (self.last_word.take(), ended) {
            last_word.send(Err(error));
        }
    }

    fn given_up(&self, late: bool) -> Error {
        let Terms { patience, advice, .. } = self.terms;
        if late {
            let message = format!("the stream ends before it is complete, because its deadline passed; {advice}");
            return Error::new(ErrorCode::DeadlineExceeded, message);
        }
        let message = format!(
            "the stream ends before it is complete, because nothing was read from it for {patience:?}; {advice}, and read \
             faster"
        );
        Error::new(ErrorCode::ResourceExhausted, message)
    }
}

impl<T> Drop for Outlet<T> {
    /// Where nobody said how the stream ended, the writer broke off.
    fn drop(&mut self) {
        if let Some(last_word) = self.last_word.take() {
            last_word.send(Err(Error::new(ErrorCode::Internal, "a stream broke off before it was complete")));
        }
    }
}

/// Room for one item.
pub(super) struct Room<'a, T>(mpsc::Permit<'a, Result<T, Error>>);

impl<T> Room<'_, T> {
    pub(super) fn send(self, item: T) {
        self.0.send(Ok(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    /// Writes `items`, the reader reading only when all is over.
    async fn read_late(items: usize, terms: Terms) -> Vec<Result<usize, ErrorCode>> {
        let (outlet, mut reader) = Outlet::new(2, terms);
        let write = async {
            for item in 0..items {
                outlet.room().await?.send(item);
            }
            Ok(())
        };
        let ended = write.await;
        outlet.end(ended);
        let mut read = Vec::new();
        while let Some(item) = reader.recv().await {
            read.push(item.map_err(|error| error.code));
        }
        read
    }

    #[tokio::test]
    async fn only_a_complete_stream_ends_without_an_error() {
        let now = Instant::now();
        let terms = |deadline: Option<Duration>, patience| Terms {
            deadline: deadline.map(|after| now + after),
            patience,
            advice: "ask again",
        };
        for (items, terms, last) in [
            (0, terms(None, SHORT), None),
            (2, terms(None, SHORT), None),
            (3, terms(None, SHORT), Some(ErrorCode::ResourceExhausted)),
            (3, terms(Some(LONG), SHORT), Some(ErrorCode::ResourceExhausted)),
            (3, terms(Some(SHORT), LONG), Some(ErrorCode::DeadlineExceeded)),
        ] {
            let mut expected: Vec<_> = (0..items.min(2)).map(Ok).collect();
            expected.extend(last.map(Err));
            assert_eq!(read_late(items, terms).await, expected);
        }
    }

    #[tokio::test]
    async fn a_writer_that_breaks_off_is_an_error() {
        let (outlet, mut reader) = Outlet::new(1, Terms { deadline: None, patience: LONG, advice: "" });
        outlet.room().await.expect("there is room").send(1);
        drop(outlet);
        assert_eq!(reader.recv().await, Some(Ok(1)));
        assert_eq!(reader.recv().await.expect("a last word").expect_err("broke off").code, ErrorCode::Internal);
        assert_eq!(reader.recv().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_goes_ends_what_is_under_way() {
        let (outlet, reader) = Outlet::<()>::new(1, Terms { deadline: None, patience: LONG, advice: "" });
        drop(reader);
        assert_eq!(outlet.room().await.err(), Some(None));
        assert_eq!(outlet.while_read(std::future::pending::<Result<(), Error>>()).await, Err(None));
        assert_eq!(outlet.over().await, None);
    }
}
