//! The entries: one check, and many over one view.

use std::collections::HashMap;

use crate::caveat::Context;
use crate::engine::plan::Plan;
use crate::engine::{Budget, CheckError, Circumstances, Explanation, ExplanationRoom};
use crate::model::{Decision, ObjectRef, RelationName, SubjectRef, TimestampMs};
use crate::store::ReadView;

use super::names::{resource_member, subject_kind};
use super::session::SubjectChecks;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckItem {
    /// On what.
    pub resource: ObjectRef,
    /// Which relation or permission.
    pub permission: RelationName,
    /// Who.
    pub subject: SubjectRef,
    /// Parameters of caveats.
    pub context: Context,
}

/// The answer, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// The answer.
    pub decision: Decision,
    /// Tuples looked up or visited.
    pub reads: u64,
    /// Steps that evaluations of caveats took.
    pub caveat_steps: u64,
    /// Relations and permissions of objects that were evaluated; none when the answer was known from an earlier item.
    pub evaluated: u64,
}

/// Steps of a caveat that cost about as much as one tuple.
const CAVEAT_STEPS_PER_READ: u64 = 100;

impl CheckOutcome {
    /// What it cost in all, in tuples.
    pub(in crate::engine) fn work(&self) -> u64 {
        self.reads + self.caveat_steps / CAVEAT_STEPS_PER_READ
    }
}

/// Whether `subject` has `permission` on `resource`, as `view` shows the tuples.
///
/// An answer is exact: relationships that form cycles are followed to the least fixpoint, and open conditions carry on by
/// Kleene's three-valued logic. What cannot be answered within `budget`, or at all, is an error.
pub fn check(
    plan: &Plan,
    view: &dyn ReadView,
    resource: &ObjectRef,
    permission: &RelationName,
    subject: &SubjectRef,
    circumstances: &Circumstances,
    budget: &Budget,
) -> Result<CheckOutcome, CheckError> {
    let member = resource_member(plan, resource, permission)?;
    subject_kind(plan, subject)?;
    SubjectChecks::new(plan, view, subject, circumstances)?.decide(member, &resource.object_id, budget)
}

/// The same as [`check`], with an explanation, as far as there is room for it.
pub fn explain(
    plan: &Plan,
    view: &dyn ReadView,
    item: &CheckItem,
    now: TimestampMs,
    budget: &Budget,
    room: ExplanationRoom,
) -> Result<(CheckOutcome, Explanation), CheckError> {
    let member = resource_member(plan, &item.resource, &item.permission)?;
    subject_kind(plan, &item.subject)?;
    let circumstances = Circumstances { now, context: item.context.clone() };
    let mut checks = SubjectChecks::new(plan, view, &item.subject, &circumstances)?;
    checks.explain(member, &item.resource.object_id, budget, room)
}

/// Answers many questions over one view at one time, in their order. Each has a budget of its own. What was found out about a
/// subject in a context serves all items that ask for both.
pub fn check_bulk(
    plan: &Plan,
    view: &dyn ReadView,
    items: &[CheckItem],
    now: TimestampMs,
    budget: &Budget,
) -> Vec<Result<CheckOutcome, CheckError>> {
    let mut groups: HashMap<(&SubjectRef, &Context), Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        groups.entry((&item.subject, &item.context)).or_default().push(index);
    }
    let mut results: Vec<Option<Result<CheckOutcome, CheckError>>> = items.iter().map(|_| None).collect();
    for ((subject, context), indexes) in groups {
        let circumstances = Circumstances { now, context: context.clone() };
        let mut shared: Option<SubjectChecks<'_>> = None;
        for index in indexes {
            let item = &items[index];
            let result = resource_member(plan, &item.resource, &item.permission).and_then(|member| {
                subject_kind(plan, subject)?;
                let checks = match &mut shared {
                    Some(checks) => checks,
                    None => shared.insert(SubjectChecks::new(plan, view, subject, &circumstances)?),
                };
                checks.decide(member, &item.resource.object_id, budget)
            });
            results[index] = Some(result);
        }
    }
    results.into_iter().map(|result| result.expect("every item stands in the group of its subject")).collect()
}
