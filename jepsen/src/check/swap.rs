//! Atomicity without an oracle: things change places, each time two of them in one write, and whoever looks sees each of them
//! in exactly one place. It is looked at by listings, page by page, by bulk checks, and by lookups and expansions that go
//! through two exchanged relations.

use std::collections::{BTreeMap, BTreeSet};

use super::{Property, Record, Verdict};
use crate::history::{Answer, Relationship, Request, Update, Workload};
use crate::oracle::members;

/// What was set up of one type: its objects, and what is exchanged between them.
#[derive(Default)]
struct Places {
    ids: BTreeSet<String>,
    things: BTreeSet<String>,
}

/// Types whose things change places.
const EXCHANGED: [&str; 3] = ["seat", "team", "desk"];

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Atomic);
    let places = places(record);
    for operation in &record.operations {
        if !matches!(operation.workload, Workload::Swap | Workload::Lookup) {
            continue;
        }
        let Some(answer) = operation.answer() else { continue };
        let here = &[operation.index];
        match (&operation.request, answer) {
            (Request::List { kind, id: None, .. }, Answer::Listed { relationships, .. }) => {
                let Some(places) = places.get(kind.as_str()) else { continue };
                let seen = relationships.iter().map(|relationship| relationship.subject.id.as_str());
                let odd = not_once(places.things.iter().map(String::as_str), seen);
                verdict.expect(odd.is_empty(), here, || format!("of type {kind}, not in exactly one place: {odd:?}"));
            }
            (Request::Check { questions, .. }, Answer::Decided { allowed, .. }) => {
                for (subject, count) in in_places(&places, questions, allowed) {
                    verdict.expect(count == 1, here, || format!("{subject} is in {count} places"));
                }
            }
            (Request::Resources { kind, user, .. }, Answer::Found { ids, .. }) if kind == "desk" => {
                verdict.expect(ids.len() == 1, here, || format!("{user} has the desks {ids:?}"));
            }
            (Request::Subjects { kind, id, .. }, Answer::Found { ids, .. }) if kind == "desk" => {
                same_count(&mut verdict, here, &places, id, &ids.iter().cloned().collect());
            }
            (Request::Expand { kind, id, .. }, Answer::Expanded { tree, .. }) if kind == "desk" => {
                same_count(&mut verdict, here, &places, id, &members(tree));
            }
            (
                Request::Write(_)
                | Request::Schema { .. }
                | Request::Floors { .. }
                | Request::Check { .. }
                | Request::ContentCheck { .. }
                | Request::List { .. }
                | Request::Resources { .. }
                | Request::Subjects { .. }
                | Request::Expand { .. },
                _,
            ) => {}
        }
    }
    verdict
}

fn places(record: &Record) -> BTreeMap<&str, Places> {
    let setup = record.operations.iter().filter(|operation| operation.workload == Workload::Setup);
    let writes = setup.filter(|operation| operation.answer().is_some()).filter_map(|o| o.request.write());
    let mut places: BTreeMap<&str, Places> = BTreeMap::new();
    for update in writes.flat_map(|write| &write.updates) {
        let (Update::Touch(relationship) | Update::Delete(relationship)) = update;
        if EXCHANGED.contains(&relationship.kind.as_str()) {
            let of_kind = places.entry(&relationship.kind).or_default();
            of_kind.ids.insert(relationship.id.clone());
            of_kind.things.insert(relationship.subject.id.clone());
        }
    }
    places
}

/// Those of `all` that are not among `seen` exactly once, and strangers.
fn not_once<'a>(all: impl Iterator<Item = &'a str>, seen: impl Iterator<Item = &'a str>) -> Vec<(&'a str, u32)> {
    let mut counts: BTreeMap<&str, u32> = all.map(|thing| (thing, 0)).collect();
    seen.for_each(|thing| *counts.entry(thing).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count != 1).collect()
}

/// In how many places each subject is that was asked about in all of them.
fn in_places(places: &BTreeMap<&str, Places>, questions: &[Relationship], allowed: &[bool]) -> Vec<(String, usize)> {
    let mut asked: BTreeMap<(&str, &str), (BTreeSet<&str>, usize)> = BTreeMap::new();
    for (question, allowed) in questions.iter().zip(allowed) {
        let (ids, count) = asked.entry((&question.kind, &question.subject.id)).or_default();
        ids.insert(&question.id);
        *count += usize::from(*allowed);
    }
    let everywhere = |kind: &str, ids: usize| places.get(kind).is_some_and(|places| places.ids.len() == ids && ids > 0);
    asked
        .into_iter()
        .filter(|((kind, _), (ids, _))| everywhere(kind, ids.len()))
        .map(|((_, subject), (_, count))| (subject.to_owned(), count))
        .collect()
}

/// All teams have the same number of members, and each desk has one team: so each desk has as many users.
fn same_count(
    verdict: &mut Verdict,
    here: &[u64],
    places: &BTreeMap<&str, Places>,
    desk: &str,
    users: &BTreeSet<String>,
) {
    let Some(teams) = places.get("team").filter(|teams| !teams.ids.is_empty()) else { return };
    let expected = teams.things.len() / teams.ids.len();
    verdict.expect(users.len() == expected, here, || format!("desk {desk} has the users {users:?}, not {expected}"));
}
