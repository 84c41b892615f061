//! The log's index as a certificate: if indexes never contradict real time, and each answer is right for its index, then the
//! order of the log is the order in which everything happened. Linear in the history, where a search would be exponential.

use std::collections::BTreeMap;

use super::timeline::{Floor, changes};
use super::{Property, Record, Verdict};
use crate::history::{Mode, Operation, Request, Workload};

const NS_PER_MS: u64 = 1_000_000;

pub(super) fn check(record: &Record) -> Vec<Verdict> {
    let floor = Floor::of(&record.operations);
    vec![
        write_order(record, &floor),
        fully_consistent(record, &floor),
        content_tokens(record, &floor),
        freshness(record),
        staleness(record, &floor),
    ]
}

/// A write that began after an answer of index i stands behind i.
fn write_order(record: &Record, floor: &Floor) -> Verdict {
    let mut verdict = Verdict::new(Property::WriteOrder);
    let mut places: BTreeMap<u64, &str> = BTreeMap::new();
    for change in changes(record).values() {
        let (before, by) = floor.before(change.start());
        for index in change.indexes() {
            let operations = change.operations();
            verdict.expect(index > before, &[operations.as_slice(), &[by]].concat(), || {
                format!("{} stands at {index}, and {before} was answered before it began", change.op)
            });
            if let Some(other) = places.insert(index, change.op) {
                verdict.violation(&operations, format!("{} and {other} both stand at {index}", change.op));
            }
        }
    }
    verdict
}

fn at_least(verdict: &mut Verdict, operation: &Operation, (least, by): (u64, u64), why: &str) {
    let Some(index) = operation.answered_at() else { return };
    verdict.expect(index >= least, &[operation.index, by], || format!("answered at {index}, {why} {least}"));
}

fn fully_consistent(record: &Record, floor: &Floor) -> Verdict {
    let mut verdict = Verdict::new(Property::RealTime);
    for operation in record.operations.iter().filter(|o| o.request.mode() == Some(Mode::Full)) {
        at_least(&mut verdict, operation, floor.before(operation.start), "and before it began there was an answer of");
    }
    verdict
}

/// The token that content is stored with: it must be no older than what was known when it was asked for.
fn content_tokens(record: &Record, floor: &Floor) -> Verdict {
    let mut verdict = Verdict::new(Property::ContentTokens);
    let by_index: BTreeMap<u64, &Operation> = record.operations.iter().map(|o| (o.index, o)).collect();
    for reader in record.operations.iter().filter(|o| o.workload == Workload::EnemyB) {
        let Some(Mode::Fresh(token)) = reader.request.mode() else { continue };
        let Some(source) = by_index.get(&token.from) else {
            verdict
                .violation(&[reader.index], format!("its zookie is from operation {}, which is not there", token.from));
            continue;
        };
        // Minted by a content check: a fully consistent read, which says in which state the content was written.
        if source.request.mode() != Some(Mode::Full) {
            continue;
        }
        let (least, by) = floor.before(source.start);
        verdict.expect(token.index >= least, &[reader.index, source.index, by], || {
            format!(
                "content was stored with {}, and before the check for it began there was an answer of {least}",
                token.index
            )
        });
    }
    verdict
}

fn freshness(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Freshness);
    for operation in &record.operations {
        let Some(Mode::Fresh(token)) = operation.request.mode() else { continue };
        at_least(&mut verdict, operation, (token.index, token.from), "and it asked for at least");
    }
    verdict
}

fn staleness(record: &Record, floor: &Floor) -> Verdict {
    let mut verdict = Verdict::new(Property::Staleness);
    for operation in &record.operations {
        let bound_ms = match &operation.request {
            Request::Check { mode: Mode::Stale(ms), .. } | Request::List { mode: Mode::Stale(ms), .. } => *ms,
            Request::Check { mode: Mode::Minimal, .. } | Request::List { mode: Mode::Minimal, .. } => {
                record.settings.ceiling_ms
            }
            Request::Check { .. } | Request::List { .. } | Request::Write(_) | Request::Schema { .. } => continue,
        };
        let least = floor.before(operation.start.saturating_sub(bound_ms.saturating_mul(NS_PER_MS)));
        at_least(&mut verdict, operation, least, &format!("and {bound_ms} ms before it began there was an answer of"));
    }
    verdict
}
