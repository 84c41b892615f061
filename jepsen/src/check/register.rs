//! Registers: from the history to operations on single values, for the search in [`super::wgl`].

use std::collections::BTreeMap;

use super::wgl::{Action, Call, Found, search};
use super::{Property, Record, Verdict};
use crate::history::{Answer, Failure, Mode, Operation, Outcome, Request, Update, Workload};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Registers);
    let mut registers: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for operation in &record.operations {
        if let Some((register, call)) = call_of(operation) {
            registers.entry(register).or_default().push(call);
        }
    }
    for (register, calls) in registers {
        match search(&calls) {
            Found::Order => verdict.opportunities += calls.len() as u64,
            Found::None => {
                let operations: Vec<u64> = calls.iter().map(|call| call.operation).collect();
                verdict.expect(false, &operations, || format!("register {register} is not linearizable"));
            }
            Found::TooMuch => verdict.undecided += 1,
        }
    }
    verdict
}

/// The register that an operation is about, and what it did to it; `None` if it says nothing of a register.
fn call_of(operation: &Operation) -> Option<(String, Call)> {
    if !matches!(operation.workload, Workload::Register | Workload::Setup) {
        return None;
    }
    let (register, action) = match &operation.request {
        Request::Write(write) => {
            let register = |update: &Update| match update {
                Update::Touch(touched) if touched.kind == "register" => Some(touched.clone()),
                Update::Touch(_) | Update::Delete(_) => None,
            };
            let to = write.updates.iter().find_map(register)?;
            let (id, to) = (to.id, to.subject.id);
            let from = write.only_if.first().map(|expected| expected.subject.id.clone());
            match (&operation.outcome, from) {
                (Outcome::Ok(_) | Outcome::Info(_), Some(from)) => (id, Action::Swap { from, to }),
                (Outcome::Ok(_) | Outcome::Info(_), None) => (id, Action::Set(to)),
                (Outcome::Fail(failure), Some(from)) if failure.reason == Failure::PRECONDITION => {
                    (id, Action::IsNot(from))
                }
                (Outcome::Fail(_), _) => return None,
            }
        }
        Request::List { mode: Mode::Full, kind, id: Some(id) } if kind == "register" => {
            let Some(Answer::Listed { relationships, .. }) = operation.answer() else { return None };
            let mut values: Vec<&str> = relationships.iter().map(|found| found.subject.id.as_str()).collect();
            values.sort_unstable();
            (id.clone(), Action::Is(values.join(" ")))
        }
        Request::List { .. } | Request::Check { .. } | Request::Schema { .. } => return None,
    };
    let optional = matches!(operation.outcome, Outcome::Info(_));
    let end = if optional { u64::MAX } else { operation.end };
    Some((register, Call { operation: operation.index, start: operation.start, end, optional, action }))
}
