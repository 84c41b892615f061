//! Floors: an answer about a type that has one is as fresh as it demands, whatever was asked for, and says so where it was
//! raised. What cannot be raised is refused.

use super::certificate::{at_least, older};
use super::timeline::Timeline;
use super::{Property, Record, Verdict};
use crate::history::{Failure, Floor, Floors, Mode, Operation, Outcome, Request};

/// The floors that a record was made under. They are set once, before the load.
pub(super) fn floors(record: &Record) -> Option<&Floors> {
    let set = record.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_)));
    set.map(|operation| &operation.request)
        .find_map(|request| if let Request::Floors { floors } = request { Some(floors) } else { None })
}

/// The floor that an operation is under.
pub(super) fn above(floors: &Floors, operation: &Operation) -> Option<Floor> {
    let of_kinds = operation.request.kinds().into_iter().filter_map(|kind| floors.get(kind)).copied();
    of_kinds.min_by_key(|floor| match floor {
        Floor::Full => None,
        Floor::Stale(ms) => Some(*ms),
    })
}

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Floors);
    let Some(floors) = floors(record) else { return verdict };
    let timeline = Timeline::of(&record.operations);
    for operation in &record.operations {
        let (Some(floor), Some(mode)) = (above(floors, operation), operation.request.mode()) else { continue };
        let operations = [operation.index];
        if let Mode::Exact(_) = mode {
            let what = || "one state was asked for, which a floor forbids, and it was answered".to_owned();
            match &operation.outcome {
                Outcome::Ok(_) => verdict.expect(false, &operations, what),
                Outcome::Fail(failure) if failure.reason == Failure::BELOW_FLOOR => {
                    verdict.expect(true, &operations, what);
                }
                // It failed before anybody thought of floors.
                Outcome::Fail(_) | Outcome::Info(_) => {}
            }
            continue;
        }
        refused_without_need(&mut verdict, operation);
        let Some(beside) = operation.answer().and_then(|answer| answer.beside()) else { continue };
        let (least, why) = match floor {
            Floor::Full => (timeline.before(operation.start), "before it began".to_owned()),
            Floor::Stale(ms) => (timeline.before(older(operation.start, ms)), format!("{ms} ms before it began")),
        };
        at_least(&mut verdict, operation, least, &format!("its type has a floor, and {why} there was an answer of"));
        let says = beside.raised.is_some();
        let should = is_raised(floor, mode, record.settings.ceiling_ms);
        verdict.expect(says == should, &operations, || {
            let mode = mode.name();
            format!("a {mode} read under the floor {floor:?} says {:?} of having been raised", beside.raised)
        });
    }
    verdict
}

/// Only what asks for one state cannot be raised.
fn refused_without_need(verdict: &mut Verdict, operation: &Operation) {
    if let Outcome::Fail(failure) = &operation.outcome
        && failure.reason == Failure::BELOW_FLOOR
    {
        verdict
            .violation(&[operation.index], "it was refused because of a floor, to which it can be raised".to_owned());
    }
}

/// Whether the floor demands more than was asked for.
fn is_raised(floor: Floor, mode: Mode, ceiling_ms: u64) -> bool {
    match (floor, mode) {
        (_, Mode::Full | Mode::Exact(_)) => false,
        (Floor::Full, Mode::Fresh(_) | Mode::Stale(_) | Mode::Lag(_) | Mode::Minimal) => true,
        (Floor::Stale(least), Mode::Stale(asked)) => asked.min(ceiling_ms) > least,
        (Floor::Stale(least), Mode::Fresh(_) | Mode::Lag(_) | Mode::Minimal) => ceiling_ms > least,
    }
}
