//! Batches of an import that are on their way: several at a time, and answered in the order of the file.
//!
//! The cluster takes them in any order, and a batch may have to be sent again behind later ones. So a batch that names a
//! relationship which is on its way already is held back until that one is in: whatever the timing, the last line of a
//! relationship counts. Where no relationship comes twice, nothing ever waits.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;

use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt};

use crate::cli::lines::{Batch, LineError};
use crate::model::Tuple;

/// What became of a batch.
pub(super) type Answer<T, E> = (Batch<Tuple>, Result<T, E>);

/// The window over a file that slides as batches come back.
pub(super) struct Window<S, F, A: Future> {
    batches: S,
    send: F,
    size: usize,
    on_their_way: FuturesOrdered<A>,
    /// Hashes of what is on its way. Two relationships with the same one only wait for each other without need.
    busy: HashSet<u64>,
    hasher: RandomState,
    held: Option<Batch<Tuple>>,
    ended: bool,
    failed: Option<LineError>,
}

impl<S, F, A, T, E> Window<S, F, A>
where
    S: Stream<Item = Result<Batch<Tuple>, LineError>> + Unpin,
    F: Fn(Batch<Tuple>) -> A,
    A: Future<Output = Answer<T, E>>,
{
    /// At most `size` of `batches` at a time, each as `send` sends it.
    pub(super) fn new(batches: S, size: usize, send: F) -> Self {
        assert!(size > 0, "nothing would ever be sent");
        Self {
            batches,
            send,
            size,
            on_their_way: FuturesOrdered::new(),
            busy: HashSet::new(),
            hasher: RandomState::new(),
            held: None,
            ended: false,
            failed: None,
        }
    }

    /// The next answer, in the order of the file; `None` at the end. An error of the file comes after all that precedes it.
    pub(super) async fn next(&mut self) -> Option<Result<Answer<T, E>, LineError>> {
        loop {
            self.start_held();
            let may_read = self.held.is_none() && !self.ended && self.on_their_way.len() < self.size;
            tokio::select! {
                Some(answer) = self.on_their_way.next() => {
                    for hash in self.hashes(&answer.0) {
                        self.busy.remove(&hash);
                    }
                    return Some(Ok(answer));
                }
                batch = self.batches.next(), if may_read => match batch {
                    Some(Ok(batch)) => self.held = Some(batch),
                    Some(Err(error)) => (self.failed, self.ended) = (Some(error), true),
                    None => self.ended = true,
                },
                else => return self.failed.take().map(Err),
            }
        }
    }

    /// Sends what waits, if there is room and nothing that it names is on its way.
    fn start_held(&mut self) {
        let Some(batch) = self.held.take_if(|_| self.on_their_way.len() < self.size) else { return };
        let hashes = self.hashes(&batch);
        if hashes.iter().any(|hash| self.busy.contains(hash)) {
            self.held = Some(batch);
            return;
        }
        self.busy.extend(hashes);
        self.on_their_way.push_back((self.send)(batch));
    }

    fn hashes(&self, batch: &Batch<Tuple>) -> Vec<u64> {
        batch.items.iter().map(|tuple| self.hasher.hash_one(&tuple.key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::HashMap;

    use super::*;
    use crate::cli::lines::{Batches, Repeats};

    /// Sends the batches of `text`, each of which takes less time than the one before. Gives the caveat that each
    /// relationship ends with, how many batches were on their way at most, and the lines in the order of their answers.
    async fn send(text: &str, batch: usize, size: usize) -> (HashMap<String, String>, usize, Vec<u64>, Option<String>) {
        let state = RefCell::new(HashMap::new());
        let (busy, most, started) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let batches = futures::stream::iter(Batches::new(text.as_bytes(), batch, Repeats::Drop, 0));
        let mut window = Window::new(batches, size, |batch: Batch<Tuple>| {
            let (state, busy, most) = (&state, &busy, &most);
            started.set(started.get() + 1);
            let turns = 1000 - 10 * started.get();
            busy.set(busy.get() + 1);
            most.set(most.get().max(busy.get()));
            async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                for tuple in &batch.items {
                    let caveat = tuple.qualifiers.caveat.as_ref().map(|caveat| caveat.name.clone());
                    state.borrow_mut().insert(tuple.key.to_string(), caveat.unwrap_or_default());
                }
                busy.set(busy.get() - 1);
                (batch, Ok::<(), ()>(()))
            }
        });
        let (mut lines, mut failed) = (Vec::new(), None);
        while let Some(answer) = window.next().await {
            match answer {
                Ok((batch, _)) => lines.push(batch.last_line),
                Err(error) => failed = Some(error.to_string()),
            }
        }
        drop(window);
        (state.into_inner(), most.get(), lines, failed)
    }

    #[tokio::test]
    async fn the_last_line_of_a_relationship_counts_however_long_each_takes() {
        let lines = |limit: &str| (0..10).map(|n| format!("vault:{n}#keeper@user:zed{limit}\n")).collect::<String>();
        let text = ["[one]", "[two]", "[three]", ""].map(lines).concat();
        for (batch, size) in [(1, 64), (3, 8), (10, 2), (7, 1)] {
            let (state, _, answered, failed) = send(&text, batch, size).await;
            assert_eq!(state.len(), 10);
            assert!(state.values().all(String::is_empty), "{batch} {size}: {state:?}");
            assert!(answered.is_sorted() && answered.last() == Some(&40), "{answered:?}");
            assert_eq!(failed, None);
        }
    }

    #[tokio::test]
    async fn what_names_no_relationship_twice_goes_out_at_once() {
        let text: String = (0..40).map(|n| format!("vault:{n}#keeper@user:zed\n")).collect();
        let (state, most, answered, _) = send(&text, 4, 8).await;
        assert_eq!((state.len(), most, answered.len()), (40, 8, 10));
    }

    #[tokio::test]
    async fn a_bad_line_is_told_after_all_that_precedes_it() {
        let text = "vault:1#keeper@user:zed\nvault:2#keeper@user:zed\nnonsense\nvault:3#keeper@user:zed\n";
        let (state, _, answered, failed) = send(text, 1, 8).await;
        assert_eq!((state.len(), answered), (2, vec![1, 2]));
        assert!(failed.expect("told").starts_with("line 3:"));
    }
}
