//! Which failures a well-formed request may meet while nodes and packets go missing. Whatever else a node answers is no answer
//! that the contract knows.

use super::floor::{above, floors};
use super::{Record, Verdict};
use crate::history::{Failure, Floors, Mode, Operation, Outcome, Request};

/// Nothing was done, or nobody knows, for want of nodes, of time or of room. The last two are the harness's own.
const ANY: [&str; 5] = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "gave-up", "never-completed"];
/// What may also become of a change.
const OF_CHANGES: [&str; 2] = ["OUTCOME_UNKNOWN", "SERIALIZATION_FAILURE"];
/// Codes without a reason, which only the way to a node makes.
const OF_THE_WAY: [&str; 4] = ["Unavailable", "Cancelled", "DeadlineExceeded", "ResourceExhausted"];
/// Codes that the way makes too, if the message is of a connection.
const OF_A_BROKEN_WAY: [&str; 2] = ["Unknown", "Internal"];
const BROKEN: [&str; 5] = ["transport error", "h2 protocol error", "connection", "EOF", "body"];

/// Names every failure that is none of those.
pub(super) fn unexpected(verdict: &mut Verdict, record: &Record) {
    let floors = floors(record);
    for operation in &record.operations {
        if let Outcome::Fail(failure) | Outcome::Info(failure) = &operation.outcome
            && !is_expected(failure, operation, floors)
        {
            let (asked, node) = (operation.request.name(), operation.node);
            let what = format!("node {node} answered a {asked} with {}: {}", failure.reason, failure.message);
            verdict.violation(&[operation.index], what);
        }
    }
}

fn is_expected(failure: &Failure, operation: &Operation, floors: Option<&Floors>) -> bool {
    let reason = failure.reason.as_str();
    if is_common(failure) {
        return true;
    }
    match &operation.request {
        Request::Write(write) => match reason {
            Failure::PRECONDITION => !write.only_if.is_empty(),
            Failure::KEY_REUSED => write.idempotency_key.is_some(),
            _ => OF_CHANGES.contains(&reason),
        },
        Request::Schema { .. } | Request::Floors { .. } => OF_CHANGES.contains(&reason),
        Request::Check { mode, .. }
        | Request::List { mode, .. }
        | Request::Resources { mode, .. }
        | Request::Subjects { mode, .. }
        | Request::Expand { mode, .. } => match (reason, mode) {
            (Failure::EXPIRED, Mode::Exact(_)) => true,
            // The pages after the first are of the state of the first, and another node may have no history.
            (Failure::EXPIRED, _) => operation.request.is_paged(),
            // Whether the others had to be refused is judged with the floors.
            (Failure::BELOW_FLOOR, _) => floors.is_some_and(|floors| above(floors, operation).is_some()),
            (_, _) => false,
        },
        Request::ContentCheck { .. } => false,
    }
}

/// What may end a watch.
pub(super) fn is_expected_of_watch(failure: &Failure) -> bool {
    is_common(failure) || failure.reason == Failure::EXPIRED
}

fn is_common(failure: &Failure) -> bool {
    let reason = failure.reason.as_str();
    let broken = || BROKEN.iter().any(|words| failure.message.contains(words));
    ANY.contains(&reason) || OF_THE_WAY.contains(&reason) || (OF_A_BROKEN_WAY.contains(&reason) && broken())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Property;
    use crate::history::{Relationship, Token, Workload, Write};
    use crate::specimen;

    #[test]
    fn only_what_faults_explain_is_expected() {
        let questions = || vec![Relationship::of("document:d#view@user:u")];
        let check = |mode| Request::Check { mode, questions: questions() };
        let exact = Mode::Exact(Token { index: 3, from: 1 });
        let list = |page| Request::List { mode: Mode::Minimal, kind: "seat".to_owned(), id: None, page };
        let write = |only_if: Vec<Relationship>, key: Option<&str>| {
            let idempotency_key = key.map(str::to_owned);
            Request::Write(Write { op: "w".to_owned(), only_if, updates: vec![], idempotency_key })
        };
        let cases = [
            (check(Mode::Full), "UNAVAILABLE", "", 0),
            (check(Mode::Full), "UNKNOWN_DEFINITION", "", 1),
            (check(Mode::Full), "INTERNAL", "connection", 1),
            (check(Mode::Full), "Internal", "h2 protocol error: broken", 0),
            (check(Mode::Full), "Internal", "oh", 1),
            (check(Mode::Full), Failure::EXPIRED, "", 1),
            (check(Mode::Full), Failure::NONSENSE, "two states", 1),
            (check(exact), Failure::EXPIRED, "", 0),
            (check(exact), Failure::BELOW_FLOOR, "", 1),
            (list(Some(1)), Failure::EXPIRED, "", 0),
            (list(None), Failure::EXPIRED, "", 1),
            (check(exact), "ZOOKIE_FROM_FUTURE", "", 1),
            (write(vec![], None), "OUTCOME_UNKNOWN", "", 0),
            (write(vec![], None), Failure::PRECONDITION, "", 1),
            (write(questions(), None), Failure::PRECONDITION, "", 0),
            (write(vec![], None), Failure::KEY_REUSED, "", 1),
            (write(vec![], Some("k")), Failure::KEY_REUSED, "", 0),
            (Request::ContentCheck { question: questions().remove(0) }, Failure::EXPIRED, "", 1),
        ];
        for (request, reason, message, expected) in cases {
            let failure = Failure { reason: reason.to_owned(), message: message.to_owned() };
            let what = format!("{request:?}: {failure:?}");
            let (workload, outcome) = (Workload::Exact, Outcome::Fail(failure));
            let operation = Operation { index: 9, process: 1, workload, node: 1, start: 1, end: 2, request, outcome };
            let record = Record { operations: vec![operation], ..specimen::clean(1, 1) };
            let mut verdict = Verdict::new(Property::Answers);
            unexpected(&mut verdict, &record);
            assert_eq!(verdict.violations, expected, "{what}");
        }
    }
}
