//! What was measured, as a table for people and as JSON for programs.

use std::time::Duration;

use comfy_table::Table;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::drive::{Load, Measured};
use super::load::Loaded;
use crate::cli::output::table;

/// The part of the operations, and what it is called.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// What was run, in words and as it was asked for.
#[derive(Debug)]
pub(super) struct Setting {
    /// The workload and those of its parameters that it heeds.
    pub(super) workload: String,
    pub(super) consistency: String,
    pub(super) relationships: u64,
    pub(super) seed: u64,
    pub(super) endpoints: usize,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) warm_up: Duration,
    pub(super) seconds: Duration,
    pub(super) loaded: Option<Loaded>,
}

impl Setting {
    /// In a line.
    pub(super) fn line(&self) -> String {
        format!(
            "{}, {}: {} relationships, {} endpoints, {} connections, {:.0} s after {:.0} s",
            self.workload,
            self.consistency,
            self.relationships,
            self.endpoints,
            self.connections,
            self.seconds.as_secs_f64(),
            self.warm_up.as_secs_f64()
        )
    }
}

impl Measured {
    /// Right answers a second.
    pub(super) fn throughput(&self) -> f64 {
        self.tally.completed as f64 / self.span.as_secs_f64()
    }

    /// Of the processor time `used` in the span, what falls on each operation that was answered in it, in microseconds.
    fn each(&self, used: Duration) -> f64 {
        used.as_secs_f64() * 1e6 / (self.tally.completed.max(1) as f64)
    }

    /// Whether the load was more than the servers, or the generator, could carry.
    pub(super) fn is_saturated(&self) -> bool {
        let wanted = self.load.rate().unwrap_or_default();
        self.throughput() < 0.95 * wanted || self.tally.quantile(0.99) > Duration::from_secs(1)
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let tally = &self.tally;
        json!({
            "clients": self.load.clients(),
            "rate": self.load.rate(),
            "server_cpu_us_per_operation": self.server.map(|server| self.each(server.processor)),
            "server_resident_bytes": self.server.map(|server| server.resident_bytes),
            "generator_cpu_us_per_operation": self.each(self.generator),
            "seconds": self.span.as_secs_f64(),
            "operations": tally.completed,
            "operations_per_second": self.throughput(),
            "items_per_second": tally.items as f64 / self.span.as_secs_f64(),
            "latency_us": quantiles(&tally.latencies),
            "answer_us": quantiles(&tally.answers),
            "failure_us": quantiles(&tally.failures),
            "never_begun": tally.missed,
            "errors": tally.errors,
            "error_messages": tally.messages,
            "wrong_answers": tally.wrong,
        })
    }
}

/// Of times in microseconds.
fn quantiles(times: &Histogram<u64>) -> Value {
    let parts = QUANTILES.iter().map(|(part, name)| ((*name).to_owned(), json!(times.value_at_quantile(*part))));
    let ends = [("max".to_owned(), json!(times.max())), ("mean".to_owned(), json!(times.mean()))];
    Value::Object(parts.chain(ends).collect())
}

/// Everything, as one document.
pub(super) fn document(setting: &Setting, levels: &[Measured]) -> Value {
    json!({
        "workload": setting.workload,
        "consistency": setting.consistency,
        "relationships": setting.relationships,
        "seed": setting.seed,
        "endpoints": setting.endpoints,
        "connections": setting.connections,
        "threads": setting.threads,
        "warm_up_seconds": setting.warm_up.as_secs_f64(),
        "loaded": setting.loaded.map(|loaded| json!({
            "relationships": loaded.relationships,
            "seconds": loaded.took.as_secs_f64(),
        })),
        "levels": levels.iter().map(Measured::json).collect::<Vec<_>>(),
    })
}

/// Everything, as a table. What it costs the servers comes first: on a machine that is shared, the rest misleads.
pub(super) fn rows(levels: &[Measured]) -> Table {
    let with_items = levels.iter().any(|level| level.tally.items != level.tally.completed);
    let mut headings = vec!["CPU/OP", "LOAD", "OPS/S"];
    headings.extend(with_items.then_some("ITEMS/S"));
    headings.extend(["P50", "P90", "P99", "P99.9", "MAX", "ERRORS", "MEMORY", "OWN CPU/OP"]);
    let mut table = table(&headings);
    for level in levels {
        let tally = &level.tally;
        let unknown = || "-".to_owned();
        let load = match level.load {
            Load::Closed { clients } => format!("{clients} clients"),
            Load::Open { rate, .. } => format!("{rate}/s"),
        };
        let mut cells = vec![
            level.server.map_or_else(unknown, |server| format!("{:.1} us", level.each(server.processor))),
            load,
            format!("{:.0}", level.throughput()),
        ];
        cells.extend(with_items.then(|| format!("{:.0}", tally.items as f64 / level.span.as_secs_f64())));
        cells.extend(QUANTILES.iter().map(|(part, _)| time(tally.quantile(*part))));
        cells.push(time(tally.longest()));
        cells.push(errors(level));
        cells.push(level.server.map_or_else(unknown, |server| format!("{} MiB", server.resident_bytes >> 20)));
        cells.push(format!("{:.1} us", level.each(level.generator)));
        table.add_row(cells);
    }
    table
}

fn errors(level: &Measured) -> String {
    let mut parts: Vec<String> = level.tally.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
    if level.tally.missed > 0 {
        parts.push(format!("never begun {}", level.tally.missed));
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(", ") }
}

/// `850 us`, `3.21 ms`, `1.50 s`.
pub(super) fn time(time: Duration) -> String {
    match time.as_micros() {
        us @ ..1000 => format!("{us} us"),
        us @ ..1_000_000 => format!("{:.2} ms", us as f64 / 1e3),
        us => format!("{:.2} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::bench::process::Usage;
    use crate::cli::bench::tally::Tally;

    pub(in crate::cli::bench) fn level(rate: f64, completed: u64, us: u64) -> Measured {
        let mut tally = Tally::new();
        tally.completed = completed;
        tally.items = completed;
        tally.latencies.record_n(us, completed).unwrap();
        Measured {
            load: Load::Open { rate, clients: 8 },
            span: Duration::from_secs(10),
            tally,
            server: Some(Usage { processor: Duration::from_secs(1), resident_bytes: 3 << 20 }),
            generator: Duration::from_millis(500),
            written: Vec::new(),
        }
    }

    #[test]
    fn costs_are_told_for_each_operation() {
        let level = level(1000.0, 10_000, 250);
        let json = level.json();
        assert_eq!(json["server_cpu_us_per_operation"], 100.0);
        assert_eq!(json["generator_cpu_us_per_operation"], 50.0);
        assert_eq!(json["operations_per_second"], 1000.0);
        assert_eq!(json["latency_us"]["p99"], 250);
        let text = rows(&[level]).to_string();
        assert!(
            text.trim_start().starts_with("CPU/OP") && text.contains("100.0 us") && text.contains("3 MiB"),
            "{text}"
        );
    }

    #[test]
    fn a_rate_that_is_not_reached_is_too_much() {
        assert!(!level(1000.0, 9_900, 250).is_saturated());
        assert!(level(1000.0, 9_000, 250).is_saturated());
        assert!(level(1000.0, 10_000, 2_000_000).is_saturated());
    }

    #[test]
    fn times_have_three_digits_or_so() {
        for (us, text) in [(7, "7 us"), (999, "999 us"), (3_214, "3.21 ms"), (1_500_000, "1.50 s")] {
            assert_eq!(time(Duration::from_micros(us)), text);
        }
    }
}
