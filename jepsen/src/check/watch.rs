//! Watches: what a watcher was told from one index to another is the log between them, no more, no less, in order.

use std::collections::BTreeMap;

use super::reasons::is_expected_of_watch;
use super::{Property, Record, Verdict};
use crate::history::LogEntry;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Watch);
    failures(&mut verdict, record);
    let Some(log) = record.known_log() else { return verdict };
    ordered(&mut verdict, "the log", log.iter().map(|entry| entry.index));
    for session in &record.watches {
        let name = &session.watcher;
        ordered(&mut verdict, name, session.entries.iter().map(|entry| entry.index));
        let from = log.partition_point(|entry| entry.index <= session.after);
        let to = log.partition_point(|entry| entry.index <= session.through);
        let expected = &log[from..to.max(from)];
        let told: BTreeMap<u64, &LogEntry> = session.entries.iter().map(|entry| (entry.index, &**entry)).collect();
        for entry in expected {
            verdict.opportunities += 1;
            match told.get(&entry.index) {
                None => verdict.violation(&[], format!("{name} was not told of {}", entry.index)),
                Some(told) if *told != entry => {
                    verdict.violation(&[], format!("{name} was told otherwise of {}: {told:?}", entry.index));
                }
                Some(_) => {}
            }
        }
        for index in told.keys().filter(|index| expected.binary_search_by_key(index, |entry| &entry.index).is_err()) {
            verdict.violation(
                &[],
                format!("{name} was told of {index}, which is not in the log from {} on", session.after),
            );
        }
    }
    verdict
}

/// What a watch said that no watch may say.
fn failures(verdict: &mut Verdict, record: &Record) {
    for session in &record.watches {
        for failure in session.failures.iter().filter(|failure| !is_expected_of_watch(failure)) {
            verdict.violation(&[], format!("{}: {}: {}", session.watcher, failure.reason, failure.message));
        }
    }
}

fn ordered(verdict: &mut Verdict, name: &str, indexes: impl Iterator<Item = u64> + Clone) {
    for (before, after) in indexes.clone().zip(indexes.skip(1)) {
        verdict.expect(before < after, &[], || format!("{name} was told of {after} after {before}"));
    }
}
