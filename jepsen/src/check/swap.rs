//! Atomicity without an oracle: items are moved between seats, each in one write, and whoever lists all seats sees every item
//! exactly once.

use std::collections::BTreeMap;

use super::{Property, Record, Verdict};
use crate::history::{Answer, Request, Update, Workload};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Atomic);
    let items: Vec<String> = record
        .operations
        .iter()
        .filter(|operation| operation.workload == Workload::Setup && operation.answer().is_some())
        .filter_map(|operation| if let Request::Write(write) = &operation.request { Some(write) } else { None })
        .flat_map(|write| &write.updates)
        .filter_map(|update| match update {
            Update::Touch(relationship) if relationship.kind == "seat" => Some(relationship.subject.id.clone()),
            Update::Touch(_) | Update::Delete(_) => None,
        })
        .collect();
    for operation in &record.operations {
        let (Request::List { kind, id: None, .. }, Some(Answer::Listed { relationships, .. })) =
            (&operation.request, operation.answer())
        else {
            continue;
        };
        if operation.workload != Workload::Swap || kind != "seat" {
            continue;
        }
        let mut seen: BTreeMap<&str, u32> = items.iter().map(|item| (item.as_str(), 0)).collect();
        for relationship in relationships {
            *seen.entry(&relationship.subject.id).or_default() += 1;
        }
        let odd: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).collect();
        verdict
            .expect(odd.is_empty(), &[operation.index], || format!("items that are not in exactly one seat: {odd:?}"));
    }
    verdict
}
