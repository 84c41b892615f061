//! Each checker on its own, on a few operations that break its property and nothing else.

use super::{Property, Record, Validity, Verdict, certificate, floor, judge, keys, order, replay, swap};
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

/// Of each property in turn, how often it was broken as the replay sees it.
fn replayed(record: &Record) -> [u64; 3] {
    let of =
        |property| replay::check(record).iter().filter(|part| part.property == property).map(|v| v.violations).sum();
    [Property::Answers, Property::ExactlyOnce, Property::Watch].map(of)
}

/// A write of one relationship, in the log at its index.
fn written(number: u64, index: u64, update: Update) -> (Operation, LogEntry) {
    let op = format!("w{number}");
    let write = Write { op: op.clone(), only_if: vec![], updates: vec![update.clone()], idempotency_key: None };
    let entry = LogEntry { index, op: Some(op), updates: vec![update], schema: false };
    (operation(number, Workload::Swap, Request::Write(write), Outcome::Ok(Answer::written(index))), entry)
}

#[test]
fn an_empty_answer_without_an_index_is_right_only_where_there_was_nothing() {
    let link = || Relationship::of("seat:a#holds@item:x");
    let (first, first_entry) = written(1, 10, Update::Touch(link()));
    let (last, last_entry) = written(5, 20, Update::Delete(link()));
    let read = |number, workload, mode, answer| {
        operation(number, workload, Request::list(mode, "seat", None), Outcome::Ok(answer))
    };
    let nothing = || Answer::Listed { index: None, beside: Beside::default(), relationships: vec![] };
    let something = Answer::Listed { index: None, beside: Beside::default(), relationships: vec![link()] };
    let token = |index| Token { index, from: 1 };
    let cases = [
        (read(3, Workload::Swap, Mode::Full, nothing()), 1),
        (read(3, Workload::Swap, Mode::Fresh(token(10)), nothing()), 1),
        (read(3, Workload::Swap, Mode::Fresh(token(9)), nothing()), 1),
        (read(3, Workload::Swap, Mode::Exact(token(9)), nothing()), 0),
        (read(3, Workload::Swap, Mode::Exact(token(10)), nothing()), 1),
        (read(3, Workload::Swap, Mode::Exact(token(20)), nothing()), 0),
        (read(0, Workload::Swap, Mode::Full, nothing()), 0),
        (read(6, Workload::Swap, Mode::Full, nothing()), 0),
        (read(6, Workload::Audit, Mode::Full, nothing()), 0),
        (read(3, Workload::Swap, Mode::Exact(token(10)), something), 1),
    ];
    for (read, expected) in cases {
        let what = format!("{read:?}");
        let (operations, log) =
            (vec![first.clone(), read, last.clone()], vec![first_entry.clone(), last_entry.clone()]);
        assert_eq!(replayed(&record(operations, log)), [expected, 0, 0], "{what}");
    }
    // A delete that was under way may have been seen, and at the end everything has been.
    let begun = Operation { start: 2_500_000_000, ..last };
    let while_it_goes_on = read(3, Workload::Swap, Mode::Full, nothing());
    let log = vec![first_entry.clone(), last_entry];
    assert_eq!(replayed(&record(vec![first.clone(), while_it_goes_on, begun], log)), [0, 0, 0]);
    let audit = read(6, Workload::Audit, Mode::Full, nothing());
    assert_eq!(replayed(&record(vec![first, audit], vec![first_entry])), [1, 0, 0]);
}

#[test]
fn a_schema_that_is_lost_or_that_nobody_asked_for_is_found() {
    let info = || Outcome::Info(Failure { reason: "gave-up".to_owned(), message: String::new() });
    let at = |index| Outcome::Ok(Answer::written(index));
    let schema = |(number, (version, outcome)): (u64, (usize, Outcome))| {
        operation(number, Workload::Schema, Request::Schema { op: format!("s{number}"), version }, outcome)
    };
    let entry = |index: &u64| LogEntry { index: *index, op: None, updates: vec![], schema: true };
    type Case<'a> = (&'a str, Vec<(usize, Outcome)>, &'a [u64], u64);
    let cases: Vec<Case> = vec![
        ("in turn", vec![(0, at(1)), (1, at(2))], &[1, 2], 0),
        ("the first is lost", vec![(0, at(1))], &[], 1),
        ("a later one is lost", vec![(0, at(1)), (1, at(2))], &[1], 1),
        ("the same again", vec![(0, at(1)), (0, at(2))], &[1], 0),
        ("one unknown, one entry", vec![(0, at(1)), (1, info())], &[1, 2], 0),
        ("one unknown, two entries", vec![(0, at(1)), (1, info())], &[1, 2, 3], 1),
        ("two unknown, two entries", vec![(0, at(1)), (1, info()), (2, info())], &[1, 2, 3], 0),
        ("known before it was sent", vec![(0, at(1)), (0, at(3)), (1, info())], &[1, 2, 3], 1),
        ("sent before it was known", vec![(0, at(1)), (1, info()), (0, at(3))], &[1, 2, 3], 0),
    ];
    for (name, changes, log, expected) in cases {
        let operations = (0..).zip(changes).map(schema).collect();
        let record = record(operations, log.iter().map(entry).collect());
        assert_eq!(replayed(&record), [0, expected, 0], "{name}");
    }
    let update = Update::Touch(Relationship::of("seat:a#holds@item:x"));
    let odd = LogEntry { updates: vec![update], ..entry(&1) };
    let record = record(vec![schema((0, (0, at(1))))], vec![odd]);
    assert_eq!(replayed(&record), [0, 0, 1], "relationships in the entry of a schema");
}

#[test]
fn a_run_whose_end_is_not_known_is_judged_without_its_log() {
    let mut record = specimen::clean(1, 25);
    record.log.clear();
    assert_eq!(judge(&record).valid, Validity::Invalid, "everything is missing in this log");
    record.settings.incomplete = Some("nobody knows".to_owned());
    let judgement = judge(&record);
    assert_eq!(judgement.valid, Validity::Unknown, "{judgement:?}");
    // What needs no log is still judged.
    record.operations.iter_mut().find(|o| o.request.mode() == Some(Mode::Full)).unwrap().outcome = fail("INTERNAL");
    assert_eq!(judge(&record).valid, Validity::Invalid);
}

#[test]
fn a_search_that_was_given_up_leaves_a_run_unknown() {
    let mut record = specimen::clean(1, 10);
    // More than are searched, of a register that never had a value.
    for number in 10_000..10_300 {
        let nothing = Answer::Listed { index: None, beside: Beside::default(), relationships: vec![] };
        let request = Request::list(Mode::Full, "register", Some("odd"));
        record.operations.push(operation(number, Workload::Register, request, Outcome::Ok(nothing)));
    }
    let judgement = judge(&record);
    assert_eq!(judgement.of(Property::Registers).map(|verdict| verdict.undecided), Some(1));
    assert_eq!(judgement.valid, Validity::Unknown);
}

#[test]
fn what_could_not_have_been_broken_is_no_opportunity() {
    let token = Token { index: 1, from: 0 };
    let floors = [("vault".to_owned(), Floor::Full)].into();
    let set = operation(0, Workload::Setup, Request::Floors { floors }, Outcome::Ok(Answer::written(0)));
    let ask = |kind: &str, mode, outcome| {
        let questions = vec![Relationship::of(&format!("{kind}:x#view@user:u"))];
        operation(1, Workload::Floor, Request::Check { mode, questions }, outcome)
    };
    let refused = record(vec![set.clone(), ask("vault", Mode::Exact(token), fail("UNAVAILABLE"))], vec![]);
    assert_eq!(floor::check(&refused).opportunities, 0);
    let decided = Answer::Decided { index: 5, beside: Beside::default(), allowed: vec![true] };
    let first = record(vec![ask("document", Mode::Full, Outcome::Ok(decided))], vec![]);
    assert_eq!(certificate::check(&first).iter().map(|verdict| verdict.opportunities).sum::<u64>(), 0);
    let list = |number| {
        let listed = Answer::Listed { index: None, beside: Beside::default(), relationships: vec![] };
        let request = Request::list(Mode::Minimal, "chain", Some("c"));
        operation(number, Workload::Order, request, Outcome::Ok(listed))
    };
    assert_eq!(order::check(&record(vec![list(1), list(2)], vec![])).opportunities, 0);
    let keyed = |number, outcome| {
        let key = Some("key".to_owned());
        let write = Write { op: "a".to_owned(), only_if: vec![], updates: vec![], idempotency_key: key };
        operation(number, Workload::Retry, Request::Write(write), outcome)
    };
    let attempts = vec![keyed(1, Outcome::Ok(Answer::written(5))), keyed(2, fail("UNAVAILABLE"))];
    assert_eq!(keys::check(&record(attempts, vec![])).opportunities, 0);
}

#[test]
fn only_watchers_at_work_are_counted_and_no_watch_may_make_no_sense() {
    let mut record = specimen::clean(1, 10);
    let entries: usize = record.watches.iter().map(|session| session.entries.len()).sum();
    let mut whole = record.watches[0].clone();
    whole.whole = true;
    record.watches.push(whole);
    assert_eq!(judge(&record).counts["watch entries"], entries as u64);
    for (reason, expected) in
        [("Unavailable", 0), (Failure::EXPIRED, 0), ("INTERNAL", 1), (Failure::NONSENSE, 1), ("FOREIGN_ZOOKIE", 1)]
    {
        let failure = Failure { reason: reason.to_owned(), message: String::new() };
        record.watches[1].failures = vec![failure];
        assert_eq!(judge(&record).of(Property::Watch).map(|verdict| verdict.violations), Some(expected), "{reason}");
    }
}
