//! What is counted while operations run: how long they took, what failed, what was answered wrongly.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tonic::Status;

use super::lane::Answer;
use super::operation::Operation;

/// Wrong answers that are told in full.
const TOLD: usize = 5;
/// Longest latency that is told apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// From when until when operations count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

impl Span {
    fn contains(&self, at: Instant) -> bool {
        at >= self.from && at < self.until
    }

    pub(super) fn length(&self) -> Duration {
        self.until - self.from
    }
}

/// The times of one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it ought to have begun: in an open loop perhaps before a client was free for it.
    pub(super) begun: Instant,
    pub(super) sent: Instant,
    pub(super) ended: Instant,
}

/// The counts of a load, or of a part of it.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// Microseconds from the beginning to the answer, of operations that ought to begin in the span and were answered.
    pub(super) latencies: Histogram<u64>,
    /// The same from when they were sent: what the servers are to blame for, where the generator itself was late.
    pub(super) answers: Histogram<u64>,
    /// Microseconds from when an operation was sent to its failure.
    pub(super) failures: Histogram<u64>,
    /// Operations that were answered rightly within the span.
    pub(super) completed: u64,
    /// What was in them.
    pub(super) items: u64,
    /// Failures of operations that began in the span, by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// What the first failure of each code said.
    pub(super) messages: BTreeMap<String, String>,
    /// Wrong answers, at any time.
    pub(super) wrong: u64,
    /// The first of them.
    pub(super) wrong_ones: Vec<String>,
    /// Operations that ought to have begun in the span and never did.
    pub(super) missed: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are constants");
        Self {
            latencies: empty(),
            answers: empty(),
            failures: empty(),
            completed: 0,
            items: 0,
            errors: BTreeMap::new(),
            messages: BTreeMap::new(),
            wrong: 0,
            wrong_ones: Vec::new(),
            missed: 0,
        }
    }

    /// One operation has come to its end.
    pub(super) fn add(
        &mut self,
        span: Span,
        Times { begun, sent, ended }: Times,
        operation: &Operation,
        outcome: &Result<Answer, Status>,
    ) {
        let since_sent = micros(ended.saturating_duration_since(sent));
        match outcome {
            Ok(Answer::Right(_)) => {
                if span.contains(begun) {
                    self.latencies.saturating_record(micros(ended.saturating_duration_since(begun)));
                    self.answers.saturating_record(since_sent);
                }
                if span.contains(ended) {
                    self.completed += 1;
                    self.items += operation.items;
                }
            }
            Ok(Answer::Wrong(why)) => {
                self.wrong += 1;
                if self.wrong_ones.len() < TOLD {
                    self.wrong_ones.push(format!("{why} (request {})", readable(&operation.body)));
                }
            }
            Err(status) if span.contains(begun) => {
                self.failures.saturating_record(since_sent);
                let code = format!("{:?}", status.code());
                *self.errors.entry(code.clone()).or_default() += 1;
                self.messages.entry(code).or_insert_with(|| status.message().to_owned());
            }
            Err(_) => {}
        }
    }

    /// An operation that never began has waited at least until the end of the span.
    pub(super) fn miss(&mut self, span: Span, begun: Instant) {
        if span.contains(begun) {
            self.missed += 1;
            self.latencies.saturating_record(micros(span.until - begun));
        }
    }

    /// All of it together.
    pub(super) fn merge(&mut self, other: Self) {
        for (mine, other) in [
            (&mut self.latencies, &other.latencies),
            (&mut self.answers, &other.answers),
            (&mut self.failures, &other.failures),
        ] {
            mine.add(other).expect("histograms with the same bounds");
        }
        self.completed += other.completed;
        self.items += other.items;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        for (code, message) in other.messages {
            self.messages.entry(code).or_insert(message);
        }
        self.wrong += other.wrong;
        self.wrong_ones.extend(other.wrong_ones);
        self.wrong_ones.truncate(TOLD);
        self.missed += other.missed;
    }

    /// The latency that this part of the operations stayed below.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(part))
    }

    /// The longest latency.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(self.latencies.max())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).max(1)
}

/// The names in a request: what of its bytes can be read.
fn readable(body: &[u8]) -> String {
    let words = body.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').filter(|word| word.len() > 1);
    words.take(12).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::operation::{Call, Expected};
    use crate::cli::bench::world::Question;
    use crate::wire::authzed::v1::Consistency;

    #[test]
    fn what_lies_outside_of_the_span_does_not_count_but_a_wrong_answer_does() {
        let from = Instant::now();
        let span = Span { from, until: from + Duration::from_secs(10) };
        let at = |second: u64| from + Duration::from_secs(second) - Duration::from_secs(5);
        // Sent a second after it ought to have begun.
        let times = |begun: u64, ended: u64| Times { begun: at(begun), sent: at(begun + 1), ended: at(ended) };
        let question = Question::new("d".to_owned(), "view", "somebody", true);
        let request = question.to_check(Consistency::default());
        let operation = Operation::new(Call::Check, &request, Expected::Decision(true), 3);
        let right = Ok(Answer::Right(None));
        let mut tally = Tally::new();
        tally.add(span, times(6, 8), &operation, &right);
        tally.add(span, times(4, 8), &operation, &right);
        tally.add(span, times(14, 17), &operation, &right);
        assert_eq!((tally.latencies.len(), tally.completed, tally.items), (2, 2, 6));
        assert_eq!((tally.latencies.max() / 1_000_000, tally.answers.max() / 1_000_000), (3, 2));
        tally.add(span, times(1, 2), &operation, &Ok(Answer::Wrong("no".to_owned())));
        assert!(tally.wrong == 1 && tally.wrong_ones[0].contains("somebody"), "{tally:?}");
        tally.add(span, times(1, 2), &operation, &Err(Status::unavailable("early")));
        tally.add(span, times(7, 9), &operation, &Err(Status::unavailable("late")));
        assert_eq!((tally.errors["Unavailable"], tally.messages["Unavailable"].as_str()), (1, "late"));
        assert_eq!((tally.failures.len(), tally.failures.max() / 1_000_000), (1, 1));
        tally.miss(span, at(7));
        tally.miss(span, at(1));
        assert_eq!((tally.missed, tally.longest().as_secs()), (1, 8));
        let mut both = Tally::new();
        both.merge(tally.clone());
        both.merge(tally);
        assert_eq!((both.completed, both.wrong, both.errors["Unavailable"], both.missed), (4, 2, 2, 2));
    }
}
