//! Exactly once: an acknowledged change stands in the log once and where its answer says; one that certainly failed does not;
//! nobody else's is there.
//!
//! An acknowledged write that changed nothing is in no log of changes; whether it had nothing to change is for the replay.

use super::timeline::changes;
use super::{Property, Record, Verdict};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::ExactlyOnce);
    let Some(log) = record.known_log() else { return verdict };
    let changes = changes(record);
    for change in changes.values() {
        let (op, operations) = (change.op, change.operations());
        verdict.expect(change.logged.len() <= 1, &operations, || format!("{op} is in the log at {:?}", change.logged));
        verdict.expect(change.acknowledged.len() <= 1, &operations, || {
            format!("{op} was acknowledged at {:?}", change.acknowledged)
        });
        if let (Some(acknowledged), [logged, ..]) = (change.acknowledged.first(), change.logged.as_slice()) {
            verdict.expect(acknowledged == logged, &operations, || {
                format!("{op} was acknowledged at {acknowledged} and stands at {logged}")
            });
        }
        if change.failed() {
            verdict.expect(change.logged.is_empty(), &operations, || {
                format!("{op} failed for certain and stands at {:?}", change.logged)
            });
        }
    }
    for entry in log {
        // An entry without relationships is a schema, which carries no name.
        let Some(op) = entry.op.as_deref() else {
            verdict.expect(entry.schema, &[], || format!("the entry at {} names no operation", entry.index));
            continue;
        };
        verdict.expect(changes.contains_key(op), &[], || {
            format!("the entry at {} names {op}, which nobody asked for", entry.index)
        });
    }
    verdict
}
