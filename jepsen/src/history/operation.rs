//! Pairs the events of a history into operations.

use std::collections::HashMap;

use super::{Answer, Completion, Event, Failure, Invocation, Kind, Process, Request, Workload};

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Ok(Answer),
    /// It certainly had no effect.
    Fail(Failure),
    /// Nobody knows.
    Info(Failure),
}

/// A request with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The index of its invocation.
    pub index: u64,
    /// Whose it is.
    pub process: u64,
    /// For what.
    pub workload: Workload,
    /// To which node.
    pub node: usize,
    /// When it was invoked.
    pub start: u64,
    /// When it was answered. Of no meaning for unknown outcomes, which may take effect at any time.
    pub end: u64,
    /// What was asked.
    pub request: Request,
    /// What came of it.
    pub outcome: Outcome,
}

impl Operation {
    /// The answer, if there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Ok(answer) => Some(answer),
            Outcome::Fail(_) | Outcome::Info(_) => None,
        }
    }

    /// The index of the answer, if there was one.
    #[must_use]
    pub fn answered_at(&self) -> Option<u64> {
        self.answer().and_then(Answer::index)
    }
}

/// Events do not make operations.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// A value is not of its event's shape.
    #[error("event {0}: {1}")]
    Value(u64, serde_json::Error),
    /// A process began something before the end of what it did.
    #[error("event {0}: process {1} has an operation under way already")]
    Overlap(u64, u64),
    /// A process ended what it never began, or with something that is no answer to it.
    #[error("event {0}: it completes nothing that process {1} began")]
    Unmatched(u64, u64),
}

/// The operations of all clients, by their invocations. What never completed has an unknown outcome.
pub fn pair<E: From<PairingError>>(events: impl Iterator<Item = Result<Event, E>>) -> Result<Vec<Operation>, E> {
    let mut pending: HashMap<u64, Operation> = HashMap::new();
    let mut done = Vec::new();
    for event in events {
        let event = event?;
        let Process::Client(process) = event.process else { continue };
        let wrong_value = |error| PairingError::Value(event.index, error);
        if event.kind == Kind::Invoke {
            let Invocation { workload, node, request } = serde_json::from_value(event.value).map_err(wrong_value)?;
            let never = Failure { reason: "never-completed".to_owned(), message: String::new() };
            let (index, start) = (event.index, event.time);
            let outcome = Outcome::Info(never);
            let operation = Operation { index, process, workload, node, start, end: u64::MAX, request, outcome };
            if pending.insert(process, operation).is_some() {
                return Err(PairingError::Overlap(event.index, process).into());
            }
            continue;
        }
        let completion: Completion = serde_json::from_value(event.value).map_err(wrong_value)?;
        let unmatched = || PairingError::Unmatched(event.index, process);
        let mut operation = pending.remove(&process).ok_or_else(unmatched)?;
        operation.end = event.time;
        operation.outcome = match (event.kind, completion) {
            (Kind::Ok, Completion::Answer(answer)) => Outcome::Ok(answer),
            (Kind::Fail, Completion::Error(failure)) => Outcome::Fail(failure),
            (Kind::Info, Completion::Error(failure)) => Outcome::Info(failure),
            (Kind::Invoke | Kind::Ok | Kind::Fail | Kind::Info, _) => return Err(unmatched().into()),
        };
        done.push(operation);
    }
    done.extend(pending.into_values());
    done.sort_by_key(|operation| operation.index);
    Ok(done)
}
