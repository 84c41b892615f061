//! Each checker on its own, on a few operations that break its property and nothing else.

use super::{Record, Verdict, floor, keys, swap};
use crate::history::{
    Answer, Beside, Failure, Floor, LogEntry, Mode, Operation, Outcome, Relationship, Request, Token, Update, Workload,
    Write,
};
use crate::specimen;

fn record(operations: Vec<Operation>, log: Vec<LogEntry>) -> Record {
    Record { operations, log, watches: vec![], chain: vec![], ..specimen::clean(1, 1) }
}

/// The operation with this number, one after the other in time.
fn operation(index: u64, workload: Workload, request: Request, outcome: Outcome) -> Operation {
    let (start, end) = (index * 1_000_000_000, index * 1_000_000_000 + 1_000);
    Operation { index, process: 1, workload, node: 1, start, end, request, outcome }
}

fn fail(reason: &str) -> Outcome {
    Outcome::Fail(Failure { reason: reason.to_owned(), message: String::new() })
}

#[test]
fn what_is_done_twice_or_otherwise_under_a_key_is_found() {
    let ok = |index, replayed| Outcome::Ok(Answer::Written { index, replayed });
    let logged = |op: &str, index| LogEntry { index, op: Some(op.to_owned()), updates: vec![], schema: false };
    type Case<'a> = (&'a str, Vec<(&'a str, Outcome)>, Vec<LogEntry>, u64);
    let cases: Vec<Case> = vec![
        ("one effect", vec![("a", ok(5, false)), ("a", ok(5, true))], vec![logged("a", 5)], 0),
        ("another index", vec![("a", ok(5, false)), ("a", ok(6, true))], vec![logged("a", 5)], 1),
        ("two effects", vec![("a", ok(5, false))], vec![logged("a", 5), logged("a", 7)], 1),
        ("two firsts", vec![("a", ok(5, false)), ("a", ok(5, false))], vec![logged("a", 5)], 1),
        ("other content, refused", vec![("a", ok(5, false)), ("b", fail(Failure::KEY_REUSED))], vec![], 0),
        ("other content, taken", vec![("a", ok(5, false)), ("b", ok(5, true))], vec![], 1),
        ("the same, called another", vec![("a", ok(5, false)), ("a", fail(Failure::KEY_REUSED))], vec![], 1),
    ];
    for (name, attempts, log, expected) in cases {
        let attempt = |(number, (op, outcome)): (usize, (&str, Outcome))| {
            let key = Some("key".to_owned());
            let write = Write { op: op.to_owned(), only_if: vec![], updates: vec![], idempotency_key: key };
            operation(number as u64, Workload::Retry, Request::Write(write), outcome)
        };
        let operations = attempts.into_iter().enumerate().map(attempt).collect();
        assert_eq!(keys::check(&record(operations, log)).violations, expected, "{name}");
    }
}

#[test]
fn what_is_in_two_places_or_in_none_is_found() {
    let link = Relationship::of;
    let set_up = ["team:t#member@user:a", "team:u#member@user:b", "desk:x#team@team:t", "desk:y#team@team:u"];
    let updates = set_up.map(|text| Update::Touch(link(text))).to_vec();
    let write = Write { op: "s".to_owned(), only_if: vec![], updates, idempotency_key: None };
    let set_up = operation(0, Workload::Setup, Request::Write(write), Outcome::Ok(Answer::written(1)));
    let (mode, text) = (Mode::Minimal, |text: &str| text.to_owned());
    let listed = |texts: &[&str]| Answer::Listed {
        index: Some(1),
        beside: Beside::default(),
        relationships: texts.iter().map(|text| link(text)).collect(),
    };
    let found = |ids: &[&str]| Answer::Found {
        index: Some(1),
        beside: Beside::default(),
        ids: ids.iter().map(|id| text(id)).collect(),
    };
    let decided =
        |allowed: [bool; 2]| Answer::Decided { index: 1, beside: Beside::default(), allowed: allowed.to_vec() };
    let teams = || Request::list(mode, "team", None);
    let desks =
        || Request::Resources { mode, kind: text("desk"), permission: text("use"), user: text("a"), page: None };
    let users = || Request::Subjects { mode, kind: text("desk"), id: text("x"), permission: text("use") };
    let bulk = || Request::Check { mode, questions: vec![link("desk:x#use@user:a"), link("desk:y#use@user:a")] };
    let cases = [
        (teams(), listed(&["team:t#member@user:b", "team:u#member@user:a"]), 0),
        (teams(), listed(&["team:t#member@user:a", "team:u#member@user:a"]), 1),
        (teams(), listed(&["team:t#member@user:a"]), 1),
        (desks(), found(&["y"]), 0),
        (desks(), found(&[]), 1),
        (desks(), found(&["x", "y"]), 1),
        (users(), found(&["b"]), 0),
        (users(), found(&["a", "b"]), 1),
        (bulk(), decided([false, true]), 0),
        (bulk(), decided([true, true]), 1),
        (bulk(), decided([false, false]), 1),
    ];
    for (request, answer, expected) in cases {
        let looked = operation(1, Workload::Lookup, request, Outcome::Ok(answer));
        let what = format!("{looked:?}");
        assert_eq!(swap::check(&record(vec![set_up.clone(), looked], vec![])).violations, expected, "{what}");
    }
}

#[test]
fn what_is_below_a_floor_or_hides_that_it_was_raised_is_found() {
    let floors = [("vault".to_owned(), Floor::Full), ("ledger".to_owned(), Floor::Stale(1_500))].into();
    let set = operation(0, Workload::Setup, Request::Floors { floors }, Outcome::Ok(Answer::written(1)));
    // What everybody could know two seconds, and what one second before the question.
    let write = |number, index| {
        let write = Write { op: format!("w{number}"), only_if: vec![], updates: vec![], idempotency_key: None };
        operation(number, Workload::Stale, Request::Write(write), Outcome::Ok(Answer::written(index)))
    };
    let told = |index, raised: bool| {
        let beside = Beside { applied: None, raised: raised.then(|| "by a floor".to_owned()) };
        Outcome::Ok(Answer::Decided { index, beside, allowed: vec![true] })
    };
    let token = Token { index: 1, from: 0 };
    let cases = [
        ("vault", Mode::Minimal, told(20, true), 0),
        ("vault", Mode::Minimal, told(10, true), 1),
        ("vault", Mode::Fresh(token), told(20, false), 1),
        ("vault", Mode::Full, told(20, true), 1),
        ("vault", Mode::Exact(token), told(1, false), 1),
        ("vault", Mode::Exact(token), fail(Failure::BELOW_FLOOR), 0),
        ("vault", Mode::Lag(3), fail(Failure::BELOW_FLOOR), 1),
        ("ledger", Mode::Minimal, told(10, false), 0),
        ("ledger", Mode::Minimal, told(9, false), 1),
        ("document", Mode::Minimal, told(0, false), 0),
    ];
    for (kind, mode, outcome, expected) in cases {
        let questions = vec![Relationship::of(&format!("{kind}:x#view@user:u"))];
        let asked = operation(3, Workload::Floor, Request::Check { mode, questions }, outcome);
        let what = format!("{asked:?}");
        // The node's own ceiling is below the second floor, so that it raises nothing.
        let verdict: Verdict = floor::check(&record(vec![set.clone(), write(1, 10), write(2, 20), asked], vec![]));
        assert_eq!(verdict.violations, expected, "{what}: {verdict:?}");
    }
}
