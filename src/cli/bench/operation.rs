//! One operation, ready to be sent: its call, its request as bytes, and the right answer.

use std::sync::Arc;

use prost::Message;
use prost::bytes::Bytes;

use super::messages::{BulkChecked, Checked, Found, Healthy, Loaded, Ranged};
use crate::wire::authzed::v1::check_permission_response::Permissionship;

/// `SERVING` of the health protocol.
const SERVING: i32 = 1;

/// The call that an operation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Health,
    Check,
    BulkCheck,
    LookupResources,
    LookupSubjects,
    Write,
    Import,
    EtcdPut,
    EtcdTransaction,
    EtcdRange,
}

impl Call {
    /// Where the call is found.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Health => "/grpc.health.v1.Health/Check",
            Self::Check => "/authzed.api.v1.PermissionsService/CheckPermission",
            Self::BulkCheck => "/authzed.api.v1.PermissionsService/CheckBulkPermissions",
            Self::LookupResources => "/authzed.api.v1.PermissionsService/LookupResources",
            Self::LookupSubjects => "/authzed.api.v1.PermissionsService/LookupSubjects",
            Self::Write => "/authzed.api.v1.PermissionsService/WriteRelationships",
            Self::Import => "/authzed.api.v1.PermissionsService/ImportBulkRelationships",
            Self::EtcdPut => "/etcdserverpb.KV/Put",
            Self::EtcdTransaction => "/etcdserverpb.KV/Txn",
            Self::EtcdRange => "/etcdserverpb.KV/Range",
        }
    }
}

/// The right answer.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// That the server serves.
    Serving,
    /// Allowed, or denied.
    Decision(bool),
    /// The same for each item, in order.
    Decisions(Arc<[bool]>),
    /// Each of these ids once, in any order: `prefix` and a number below `count`.
    Ids { prefix: Arc<str>, count: u64 },
    /// That it was written.
    Done,
    /// That so many were loaded.
    Loaded(u64),
    /// One key with this value.
    Value(Bytes),
}

/// One operation. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) call: Call,
    pub(super) body: Bytes,
    pub(super) expected: Expected,
    /// Checks, relationships or results in it.
    pub(super) items: u64,
}

impl Operation {
    pub(super) fn new(call: Call, request: &impl Message, expected: Expected, items: u64) -> Self {
        Self { call, body: request.encode_to_vec().into(), expected, items }
    }
}

/// Whether a permissionship is an allow; a conditional one is no answer to a question without conditions.
fn decision(permissionship: i32) -> Option<bool> {
    match Permissionship::try_from(permissionship) {
        Ok(Permissionship::HasPermission) => Some(true),
        Ok(Permissionship::NoPermission) => Some(false),
        Ok(Permissionship::ConditionalPermission | Permissionship::Unspecified) | Err(_) => None,
    }
}

/// What is wrong with the answer about the server's health, if anything.
pub(super) fn judge_health(answer: &Healthy) -> Result<(), String> {
    if answer.status == SERVING { Ok(()) } else { Err(format!("the server has status {}", answer.status)) }
}

/// What is wrong with the answer to a check, if anything.
pub(super) fn judge_check(expected: &Expected, answer: &Checked) -> Result<(), String> {
    let Expected::Decision(allowed) = expected else { return Err("a decision was not expected".to_owned()) };
    match decision(answer.permissionship) {
        Some(said) if said == *allowed => Ok(()),
        said => Err(format!("said {}, which is wrong", words(said))),
    }
}

/// What is wrong with the answer to a bulk check, if anything.
pub(super) fn judge_bulk(expected: &Expected, answer: &BulkChecked) -> Result<(), String> {
    let Expected::Decisions(allowed) = expected else { return Err("decisions were not expected".to_owned()) };
    if answer.pairs.len() != allowed.len() {
        return Err(format!("answered {} of {} items", answer.pairs.len(), allowed.len()));
    }
    for (at, (pair, allowed)) in answer.pairs.iter().zip(allowed.iter()).enumerate() {
        let said = pair.item.as_ref().and_then(|item| decision(item.permissionship));
        if said != Some(*allowed) {
            return Err(format!("said {} to item {at}, which is wrong", words(said)));
        }
    }
    Ok(())
}

fn words(said: Option<bool>) -> &'static str {
    match said {
        Some(true) => "allowed",
        Some(false) => "denied",
        None => "neither allowed nor denied",
    }
}

/// What is wrong with the answer to an import, if anything.
pub(super) fn judge_import(expected: &Expected, answer: &Loaded) -> Result<(), String> {
    let Expected::Loaded(count) = expected else { return Err("a count was not expected".to_owned()) };
    if answer.count == *count { Ok(()) } else { Err(format!("loaded {} of {count}", answer.count)) }
}

/// What is wrong with the answer of etcd, if anything.
pub(super) fn judge_range(expected: &Expected, answer: &Ranged) -> Result<(), String> {
    let Expected::Value(value) = expected else { return Err("a value was not expected".to_owned()) };
    match answer.found.as_slice() {
        [one] if one.value == value => Ok(()),
        found => Err(format!("{} values where one was expected, or another one", found.len())),
    }
}

/// Ticks off the ids of a listing as they come in.
pub(super) struct Listing<'a> {
    prefix: &'a str,
    seen: Vec<bool>,
    found: u64,
}

impl<'a> Listing<'a> {
    /// For an operation that expects ids.
    pub(super) fn new(expected: &'a Expected) -> Result<Self, String> {
        let Expected::Ids { prefix, count } = expected else { return Err("ids were not expected".to_owned()) };
        let count = usize::try_from(*count).map_err(|_| "more ids than there can be".to_owned())?;
        Ok(Self { prefix, seen: vec![false; count], found: 0 })
    }

    /// One more result.
    pub(super) fn add(&mut self, found: &Found) -> Result<(), String> {
        let id = found.subject.as_ref().map_or(found.resource.as_str(), |subject| subject.id.as_str());
        let number = id.strip_prefix(self.prefix).and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| self.seen.get_mut(number)) {
            None => Err(format!("found {id:?}, which is wrong")),
            Some(seen) if *seen => Err(format!("found {id:?} twice")),
            Some(seen) => {
                *seen = true;
                self.found += 1;
                Ok(())
            }
        }
    }

    /// At the end.
    pub(super) fn finish(self) -> Result<(), String> {
        let all = self.seen.len() as u64;
        if self.found == all { Ok(()) } else { Err(format!("found {} of {all}", self.found)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{FoundSubject, Item, KeyValue, Pair};
    use super::*;

    #[test]
    fn a_wrong_decision_is_told() {
        for (said, allowed, is_right) in [
            (2, true, true),
            (1, false, true),
            (2, false, false),
            (1, true, false),
            (3, true, false),
            (0, false, false),
        ] {
            let judged = judge_check(&Expected::Decision(allowed), &Checked { permissionship: said });
            assert_eq!(judged.is_ok(), is_right, "{said} {allowed}");
            let pairs = vec![Pair { item: Some(Item { permissionship: said }) }];
            let judged = judge_bulk(&Expected::Decisions([allowed].into()), &BulkChecked { pairs });
            assert_eq!(judged.is_ok(), is_right, "{said} {allowed}");
        }
        let missing = BulkChecked { pairs: vec![Pair { item: None }] };
        judge_bulk(&Expected::Decisions([false].into()), &missing).unwrap_err();
        judge_bulk(&Expected::Decisions([false, true].into()), &missing).unwrap_err();
        judge_import(&Expected::Loaded(2), &Loaded { count: 1 }).unwrap_err();
        judge_range(&Expected::Value("v".into()), &Ranged { found: vec![] }).unwrap_err();
        judge_range(&Expected::Value("v".into()), &Ranged { found: vec![KeyValue { value: "w".into() }] }).unwrap_err();
        judge_range(&Expected::Value("v".into()), &Ranged { found: vec![KeyValue { value: "v".into() }] }).unwrap();
    }

    #[test]
    fn a_listing_must_be_whole_and_hold_nothing_else() {
        let expected = Expected::Ids { prefix: "d-".into(), count: 2 };
        let list = |ids: &[&str]| {
            let mut listing = Listing::new(&expected).unwrap();
            for id in ids {
                listing.add(&Found { resource: (*id).to_owned(), subject: None })?;
            }
            listing.finish()
        };
        list(&["d-1", "d-0"]).unwrap();
        for wrong in [&["d-0"][..], &["d-0", "d-0"], &["d-0", "d-2"], &["d-0", "e-1"], &["d-0", "d-1", "x"]] {
            list(wrong).unwrap_err();
        }
        let mut listing = Listing::new(&expected).unwrap();
        let subject = Some(FoundSubject { id: "d-1".to_owned() });
        listing.add(&Found { resource: String::new(), subject }).unwrap();
    }
}
