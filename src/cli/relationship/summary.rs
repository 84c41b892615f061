//! What an import did, in figures.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::retry::Sent;
use crate::cli::lines::Batch;
use crate::model::Tuple;

/// What takes longer counts as this.
const LONGEST_LATENCY_US: u64 = 3_600_000_000;

/// Figures of the batches that are in.
pub(super) struct Summary {
    relationships: u64,
    repeated: u64,
    batches: u64,
    retries: u64,
    /// Everything up to this line is in.
    last_line: u64,
    zookie: String,
    latency: Histogram<u64>,
}

impl Summary {
    /// Nothing is in yet; the first `skipped` lines are not looked at.
    pub(super) fn new(skipped: u64) -> Self {
        let latency =
            Histogram::new_with_bounds(1, LONGEST_LATENCY_US, 3).expect("1 to an hour, to 3 digits, is a histogram");
        Self {
            relationships: 0,
            repeated: 0,
            batches: 0,
            retries: 0,
            last_line: skipped,
            zookie: String::new(),
            latency,
        }
    }

    /// One more batch is in. Called in the order of the file.
    pub(super) fn add(&mut self, batch: &Batch<Tuple>, sent: Sent) {
        self.relationships += batch.items.len() as u64;
        self.repeated += batch.repeated;
        self.batches += 1;
        self.retries += u64::from(sent.retries);
        self.last_line = batch.last_line;
        self.zookie = sent.zookie.unwrap_or_default().token;
        self.latency.saturating_record(u64::try_from(sent.took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn relationships(&self) -> u64 {
        self.relationships
    }

    pub(super) fn last_line(&self) -> u64 {
        self.last_line
    }

    fn milliseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// For programs.
    pub(super) fn json(&self, took: Duration) -> Value {
        json!({
            "relationships": self.relationships,
            "repeated": self.repeated,
            "batches": self.batches,
            "retries": self.retries,
            "last_line": self.last_line,
            "seconds": took.as_secs_f64(),
            "batch_latency_ms": {
                "p50": self.milliseconds(0.5),
                "p99": self.milliseconds(0.99),
                "max": self.milliseconds(1.0),
            },
            "zookie": self.zookie,
        })
    }

    /// For people.
    pub(super) fn text(&self, took: Duration) -> impl fmt::Display {
        let rate = self.relationships as f64 / took.as_secs_f64().max(0.001);
        let mut text = format!(
            "{} relationships in {:.1} s ({rate:.0}/s), {} batches",
            self.relationships,
            took.as_secs_f64(),
            self.batches
        );
        if self.repeated > 0 {
            text += &format!(", {} repeated lines", self.repeated);
        }
        if self.retries > 0 {
            text += &format!(", {} retries", self.retries);
        }
        if self.batches > 0 {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| self.milliseconds(q));
            text += &format!(
                "\nlatency of a batch: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms\nzookie: {}",
                self.zookie
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lines::{Batches, Repeats};
    use crate::wire::authzed::v1::ZedToken;

    #[test]
    fn figures_are_of_all_batches_and_the_zookie_is_the_last() {
        let text = "document:1#viewer@user:a\ndocument:1#viewer@user:a\ndocument:2#viewer@user:a\n\n";
        let mut summary = Summary::new(7);
        assert_eq!(summary.last_line(), 7);
        for (number, batch) in Batches::<_, Tuple>::new(text.as_bytes(), 1, Repeats::Drop, 0).enumerate() {
            let zookie = Some(ZedToken { token: format!("z{number}") });
            let sent = Sent { zookie, took: Duration::from_millis(10), retries: 1 };
            summary.add(&batch.unwrap(), sent);
        }
        let json = summary.json(Duration::from_secs(2));
        assert_eq!((&json["relationships"], &json["retries"], &json["zookie"]), (&json!(3), &json!(3), &json!("z2")));
        let text = summary.text(Duration::from_secs(2)).to_string();
        assert!(text.contains("(2/s)") && text.contains("p99 10.0 ms"), "{text}");
    }

    #[test]
    fn an_empty_import_has_no_latency() {
        assert_eq!(Summary::new(0).text(Duration::ZERO).to_string(), "0 relationships in 0.0 s (0/s), 0 batches");
    }
}
