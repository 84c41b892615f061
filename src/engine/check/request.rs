//! The two entries: one check, and many over one view.

use std::collections::HashMap;

use crate::engine::plan::{MemberId, SubjectKind, TypeId};
use crate::engine::{Budget, CheckError, Plan};
use crate::model::{Decision, ObjectRef, RelationName, SubjectRef, TypeName};
use crate::store::ReadView;

use super::evaluation::Evaluation;
use super::objects::Node;

/// Nodes that an evaluation may remember from one item of a bulk check to the next; past it, it starts afresh.
const REMEMBERED_NODES: usize = 1_000_000;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckItem {
    /// On what.
    pub resource: ObjectRef,
    /// Which relation or permission.
    pub permission: RelationName,
    /// Who.
    pub subject: SubjectRef,
}

/// The answer, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// The answer.
    pub decision: Decision,
    /// Tuples looked up or visited.
    pub reads: u64,
    /// Relations and permissions of objects that were evaluated; none when the answer was known from an earlier item.
    pub evaluated: u64,
}

/// Whether `subject` has `permission` on `resource`, as `view` shows the tuples.
///
/// An answer is exact: relationships that form cycles are followed to the least fixpoint. What cannot be answered within
/// `budget`, or at all, is an error.
pub fn check(
    plan: &Plan,
    view: &dyn ReadView,
    resource: &ObjectRef,
    permission: &RelationName,
    subject: &SubjectRef,
    budget: &Budget,
) -> Result<CheckOutcome, CheckError> {
    let member = resource_member(plan, resource, permission)?;
    let kind = subject_kind(plan, subject)?;
    answer(&mut Evaluation::new(plan, view, subject, kind), member, resource, budget)
}

/// Answers many questions over one view, in their order. Each has a budget of its own. What was found out about a subject
/// serves all items that ask for it.
pub fn check_bulk(
    plan: &Plan,
    view: &dyn ReadView,
    items: &[CheckItem],
    budget: &Budget,
) -> Vec<Result<CheckOutcome, CheckError>> {
    let mut by_subject: HashMap<&SubjectRef, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        by_subject.entry(&item.subject).or_default().push(index);
    }
    let mut results: Vec<Option<Result<CheckOutcome, CheckError>>> = items.iter().map(|_| None).collect();
    for (subject, indexes) in by_subject {
        let mut shared: Option<Evaluation<'_>> = None;
        for index in indexes {
            let item = &items[index];
            let result = resource_member(plan, &item.resource, &item.permission).and_then(|member| {
                let mut evaluation = match shared.take() {
                    Some(evaluation) => evaluation,
                    None => Evaluation::new(plan, view, subject, subject_kind(plan, subject)?),
                };
                let outcome = answer(&mut evaluation, member, &item.resource, budget)?;
                // A failed evaluation is not kept, since it ended half way; a large one is not, for its memory.
                shared = (evaluation.knowledge.memo.len() < REMEMBERED_NODES).then_some(evaluation);
                Ok(outcome)
            });
            results[index] = Some(result);
        }
    }
    results.into_iter().map(|result| result.expect("every item stands in the group of its subject")).collect()
}

fn answer(
    evaluation: &mut Evaluation<'_>,
    member: MemberId,
    resource: &ObjectRef,
    budget: &Budget,
) -> Result<CheckOutcome, CheckError> {
    let object = evaluation.reader.objects.intern(&resource.object_id);
    let allowed = evaluation.decide(Node { member, object }, *budget)?;
    let meter = &evaluation.reader.meter;
    let decision = if allowed { Decision::Allowed } else { Decision::Denied };
    Ok(CheckOutcome { decision, reads: meter.reads, evaluated: meter.evaluated })
}

fn resource_member(plan: &Plan, resource: &ObjectRef, permission: &RelationName) -> Result<MemberId, CheckError> {
    if resource.object_id.is_wildcard() {
        return Err(CheckError::WildcardResource { resource: resource.clone() });
    }
    member(plan, &resource.object_type, permission)
}

fn subject_kind(plan: &Plan, subject: &SubjectRef) -> Result<SubjectKind, CheckError> {
    if subject.is_wildcard() {
        return Err(CheckError::WildcardSubject { subject: subject.object.clone() });
    }
    match &subject.relation {
        None => definition(plan, &subject.object.object_type).map(SubjectKind::Object),
        Some(relation) => member(plan, &subject.object.object_type, relation).map(SubjectKind::Userset),
    }
}

fn definition(plan: &Plan, name: &TypeName) -> Result<TypeId, CheckError> {
    plan.type_id(name).ok_or_else(|| CheckError::UnknownDefinition { name: name.clone() })
}

fn member(plan: &Plan, object_type: &TypeName, name: &RelationName) -> Result<MemberId, CheckError> {
    let found = plan.member_id(definition(plan, object_type)?, name);
    found.ok_or_else(|| CheckError::UnknownRelation { definition: object_type.clone(), name: name.clone() })
}
