//! The log's index as a certificate: if indexes never contradict real time, and each answer is right for its index, then the
//! order of the log is the order in which everything happened. Linear in the history, where a search would be exponential.

use std::collections::BTreeMap;

use super::timeline::{Timeline, changes};
use super::{Property, Record, Verdict};
use crate::history::{Mode, Operation, Request, Workload};

const NS_PER_MS: u64 = 1_000_000;

pub(super) fn check(record: &Record) -> Vec<Verdict> {
    let timeline = Timeline::of(&record.operations);
    vec![
        write_order(record, &timeline),
        fully_consistent(record, &timeline),
        content_tokens(record, &timeline),
        freshness(record),
        staleness(record, &timeline),
    ]
}

/// A write that began after an answer of index i stands behind i.
fn write_order(record: &Record, timeline: &Timeline) -> Verdict {
    let mut verdict = Verdict::new(Property::WriteOrder);
    let mut places: BTreeMap<u64, &str> = BTreeMap::new();
    for change in changes(record).values() {
        let (before, by) = timeline.before(change.start());
        for index in change.indexes() {
            let operations = change.operations();
            if before > 0 {
                verdict.expect(index > before, &[operations.as_slice(), &[by]].concat(), || {
                    format!("{} stands at {index}, and {before} was answered before it began", change.op)
                });
            }
            if let Some(other) = places.insert(index, change.op) {
                verdict.violation(&operations, format!("{} and {other} both stand at {index}", change.op));
            }
        }
    }
    verdict
}

/// Holds an index against the least that it may be, if there was anything to be older than.
pub(super) fn at_least(verdict: &mut Verdict, operation: &Operation, (least, by): (u64, u64), why: &str) {
    let Some(index) = operation.answered_at().filter(|_| least > 0) else { return };
    verdict.expect(index >= least, &[operation.index, by], || format!("answered at {index}, {why} {least}"));
}

fn fully_consistent(record: &Record, timeline: &Timeline) -> Verdict {
    let mut verdict = Verdict::new(Property::RealTime);
    for operation in record.operations.iter().filter(|o| o.request.mode() == Some(Mode::Full)) {
        at_least(
            &mut verdict,
            operation,
            timeline.before(operation.start),
            "and before it began there was an answer of",
        );
    }
    verdict
}

/// The token that content is stored with: it must be no older than what was known when it was asked for.
fn content_tokens(record: &Record, timeline: &Timeline) -> Verdict {
    let mut verdict = Verdict::new(Property::ContentTokens);
    let by_index: BTreeMap<u64, &Operation> = record.operations.iter().map(|o| (o.index, o)).collect();
    for reader in record.operations.iter().filter(|o| o.workload == Workload::EnemyB) {
        let Some(Mode::Fresh(token)) = reader.request.mode() else { continue };
        let Some(source) = by_index.get(&token.from) else {
            verdict
                .violation(&[reader.index], format!("its zookie is from operation {}, which is not there", token.from));
            continue;
        };
        // Of a content check, which says in which state the content was written.
        if !matches!(source.request, Request::ContentCheck { .. }) {
            continue;
        }
        let (least, by) = timeline.before(source.start);
        if least == 0 {
            continue;
        }
        verdict.expect(token.index >= least, &[reader.index, source.index, by], || {
            format!(
                "content was stored with {}, and before the check for it began there was an answer of {least}",
                token.index
            )
        });
    }
    verdict
}

/// So many milliseconds before.
pub(super) fn older(time: u64, ms: u64) -> u64 {
    time.saturating_sub(ms.saturating_mul(NS_PER_MS))
}

fn freshness(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Freshness);
    for operation in &record.operations {
        let Some(Mode::Fresh(token)) = operation.request.mode() else { continue };
        at_least(&mut verdict, operation, (token.index, token.from), "and it asked for at least");
    }
    verdict
}

fn staleness(record: &Record, timeline: &Timeline) -> Verdict {
    let mut verdict = Verdict::new(Property::Staleness);
    for operation in &record.operations {
        // The node's ceiling holds for whatever a client asks, except for one state that it names.
        let ceiling_ms = record.settings.ceiling_ms;
        let bound_ms = match operation.request.mode() {
            Some(Mode::Stale(ms)) => ms.min(ceiling_ms),
            Some(Mode::Minimal | Mode::Fresh(_)) => ceiling_ms,
            Some(Mode::Lag(entries)) => {
                // What was committed when it began is no less than what was answered before.
                let (known, by) = timeline.before(operation.start);
                let why =
                    format!("and asked for at most {entries} less than what was answered before it began, so for");
                at_least(&mut verdict, operation, (known.saturating_sub(entries), by), &why);
                ceiling_ms
            }
            Some(Mode::Full | Mode::Exact(_)) | None => continue,
        };
        let least = timeline.before(older(operation.start, bound_ms));
        at_least(&mut verdict, operation, least, &format!("and {bound_ms} ms before it began there was an answer of"));
    }
    verdict
}
