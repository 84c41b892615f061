//! New enemies, found without trust in any index: whoever was let in once and is shut out for good must not be let in by
//! anything that was asked for after, however the cluster numbers its states.

use std::collections::BTreeMap;

use super::certificate::older;
use super::floor::{above, floors};
use super::{Property, Record, Verdict};
use crate::history::{
    Answer, Floor, Floors, Mode, Operation, Outcome, Relationship, Request, Subject, Update, Workload,
};

/// The writes of one relationship.
#[derive(Default)]
struct Writes<'a> {
    touches: Vec<&'a Operation>,
    deletes: Vec<&'a Operation>,
}

impl<'a> Writes<'a> {
    /// The write since whose answer the relationship is gone for good.
    fn gone_since(&self) -> Option<&'a Operation> {
        // A delete counts if every touch was over when it began. One of unknown outcome never is.
        let last = |delete: &&&Operation| self.touches.iter().all(|touch| is_over(touch, delete.start));
        self.deletes.iter().filter(|delete| delete.answer().is_some()).filter(last).min_by_key(|o| o.end).copied()
    }
}

fn is_over(operation: &Operation, time: u64) -> bool {
    !matches!(operation.outcome, Outcome::Info(_)) && operation.end < time
}

/// All writes of relationships, by object.
type ByObject<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<&'a Relationship, Writes<'a>>>;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::NeverRegranted);
    let objects = writes(record);
    let by_index: BTreeMap<u64, &Operation> = record.operations.iter().map(|o| (o.index, o)).collect();
    let floors = floors(record);
    for operation in &record.operations {
        let (Some(mode), Some(Answer::Decided { allowed, .. })) = (operation.request.mode(), operation.answer()) else {
            continue;
        };
        for (question, allowed) in questions_of(&operation.request).iter().zip(allowed) {
            let reason = match operation.workload {
                Workload::EnemyA => came_too_late(&objects, question),
                Workload::EnemyB | Workload::Stale => shut_out(&objects, question, &question.subject)
                    .filter(|revoked| sees(mode, operation, revoked, &by_index)),
                Workload::Floor => shut_out(&objects, question, &question.subject)
                    .filter(|revoked| floors.is_some_and(|floors| must_see(floors, operation, revoked))),
                Workload::Setup
                | Workload::Register
                | Workload::Swap
                | Workload::Lookup
                | Workload::Order
                | Workload::Exact
                | Workload::Retry
                | Workload::Schema
                | Workload::Audit => None,
            };
            if let Some(revoked) = reason {
                verdict.expect(!allowed, &[revoked.index, operation.index], || {
                    format!("{question} was allowed ({} read) after its last grant was taken away", mode.name())
                });
            }
        }
    }
    verdict
}

fn writes(record: &Record) -> ByObject<'_> {
    let mut objects = ByObject::new();
    for operation in &record.operations {
        let Some(write) = operation.request.write() else { continue };
        if matches!(operation.outcome, Outcome::Fail(_)) {
            continue;
        }
        for update in &write.updates {
            let (Update::Touch(relationship) | Update::Delete(relationship)) = update;
            let object = objects.entry((relationship.kind.as_str(), relationship.id.as_str())).or_default();
            let writes = object.entry(relationship).or_default();
            match update {
                Update::Touch(_) => writes.touches.push(operation),
                Update::Delete(_) => writes.deletes.push(operation),
            }
        }
    }
    objects
}

/// The write that took the subject's last grant on this object away for good. Only for objects that grant to single users and
/// to nothing else, where "no grant" needs no evaluation.
fn shut_out<'a>(objects: &ByObject<'a>, object: &Relationship, subject: &Subject) -> Option<&'a Operation> {
    let written = objects.get(&(object.kind.as_str(), object.id.as_str()))?;
    if written.keys().any(|relationship| relationship.subject.kind != "user") {
        return None;
    }
    let mut last = None;
    for (_, writes) in written.iter().filter(|(relationship, _)| relationship.subject == *subject) {
        last = last.max_by_end(writes.gone_since()?);
    }
    last
}

trait Later<'a> {
    fn max_by_end(self, other: &'a Operation) -> Option<&'a Operation>;
}

impl<'a> Later<'a> for Option<&'a Operation> {
    fn max_by_end(self, other: &'a Operation) -> Option<&'a Operation> {
        Some(self.filter(|known| known.end >= other.end).unwrap_or(other))
    }
}

/// For a document that grants by its folder only: the write that shut the subject out of the folder, if the document came into
/// the folder after it. Then there was never a state in which the subject may see it.
fn came_too_late<'a>(objects: &ByObject<'a>, question: &Relationship) -> Option<&'a Operation> {
    let written = objects.get(&(question.kind.as_str(), question.id.as_str()))?;
    let mut last = None;
    for (parent, writes) in written {
        if parent.relation != "parent" {
            return None;
        }
        let folder = Relationship { kind: "folder".to_owned(), id: parent.subject.id.clone(), ..question.clone() };
        let revoked = shut_out(objects, &folder, &question.subject)?;
        if writes.touches.iter().any(|touch| touch.start <= revoked.end) {
            return None;
        }
        last = last.max_by_end(revoked);
    }
    last
}

/// Whether a read must see that write, by real time and by where its zookie comes from.
fn sees(mode: Mode, read: &Operation, write: &Operation, by_index: &BTreeMap<u64, &Operation>) -> bool {
    match mode {
        Mode::Full => read.start > write.end,
        Mode::Stale(ms) => older(read.start, ms) > write.end,
        Mode::Fresh(token) | Mode::Exact(token) => by_index.get(&token.from).is_some_and(|source| {
            let binding = source.request.write().is_some() || source.request.mode() == Some(Mode::Full);
            source.index == write.index || (binding && source.start > write.end)
        }),
        // Nothing that was committed may be missing.
        Mode::Lag(0) => read.start > write.end,
        Mode::Lag(_) | Mode::Minimal => false,
    }
}

/// Whether a read must see that write because of a floor, whatever it asked for.
fn must_see(floors: &Floors, read: &Operation, write: &Operation) -> bool {
    match above(floors, read) {
        Some(Floor::Full) => read.start > write.end,
        Some(Floor::Stale(ms)) => older(read.start, ms) > write.end,
        None => false,
    }
}

fn questions_of(request: &Request) -> &[Relationship] {
    match request {
        Request::Check { questions, .. } => questions,
        Request::ContentCheck { question } => std::slice::from_ref(question),
        Request::Write(_)
        | Request::Schema { .. }
        | Request::Floors { .. }
        | Request::List { .. }
        | Request::Resources { .. }
        | Request::Subjects { .. }
        | Request::Expand { .. } => &[],
    }
}
