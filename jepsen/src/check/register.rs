//! Registers: from the history to operations on single values, for the search in [`super::wgl`].

use std::collections::BTreeMap;

use super::wgl::{Action, Call, Found, search};
use super::{Property, Record, Verdict};
use crate::history::{Answer, Failure, Mode, Operation, Outcome, Request, Update, Workload};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Registers);
    let mut registers: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for operation in &record.operations {
        let optional = matches!(operation.outcome, Outcome::Info(_));
        let end = if optional { u64::MAX } else { operation.end };
        for (register, action) in actions_of(operation) {
            let call = Call { operation: operation.index, start: operation.start, end, optional, action };
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

/// What an operation did to which registers, or says of them.
fn actions_of(operation: &Operation) -> Vec<(String, Action)> {
    if !matches!(operation.workload, Workload::Register | Workload::Setup) {
        return Vec::new();
    }
    match &operation.request {
        Request::Write(write) => {
            let from = write.only_if.first().map(|expected| expected.subject.id.clone());
            write
                .updates
                .iter()
                .filter_map(|update| match update {
                    Update::Touch(touched) if touched.kind == "register" => Some((&touched.id, &touched.subject.id)),
                    Update::Touch(_) | Update::Delete(_) => None,
                })
                .filter_map(|(id, to)| Some((id.clone(), written(&operation.outcome, from.clone(), to.clone())?)))
                .collect()
        }
        Request::List { mode: Mode::Full, kind, id: Some(id), .. } if kind == "register" => {
            let Some(Answer::Listed { relationships, .. }) = operation.answer() else { return Vec::new() };
            let mut values: Vec<&str> = relationships.iter().map(|found| found.subject.id.as_str()).collect();
            values.sort_unstable();
            vec![(id.clone(), Action::Is(values.join(" ")))]
        }
        Request::List { .. }
        | Request::Check { .. }
        | Request::ContentCheck { .. }
        | Request::Resources { .. }
        | Request::Subjects { .. }
        | Request::Expand { .. }
        | Request::Schema { .. }
        | Request::Floors { .. } => Vec::new(),
    }
}

/// What a write did, by its outcome.
fn written(outcome: &Outcome, from: Option<String>, to: String) -> Option<Action> {
    match (outcome, from) {
        (Outcome::Ok(_) | Outcome::Info(_), Some(from)) => Some(Action::Swap { from, to }),
        (Outcome::Ok(_) | Outcome::Info(_), None) => Some(Action::Set(to)),
        (Outcome::Fail(failure), Some(from)) if failure.reason == Failure::PRECONDITION => Some(Action::IsNot(from)),
        (Outcome::Fail(_), _) => None,
    }
}
