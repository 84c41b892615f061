//! Many checks that share what they find out: of one subject on many resources, or of many subjects on one resource.

use crate::engine::explanation::Standing;
use crate::engine::plan::{MemberId, Plan, SubjectKind};
use crate::engine::{Budget, CheckError, Circumstances, Explanation, ExplanationRoom};
use crate::model::{Decision, ObjectId, SubjectRef, TimestampMs};
use crate::store::ReadView;

use super::conditions::Conditions;
use super::evaluation::Evaluation;
use super::names::kind;
use super::request::CheckOutcome;

/// Nodes that an evaluation may remember from one question to the next; past it, it starts afresh.
const REMEMBERED_NODES: usize = 1_000_000;

/// Checks of one subject, under one set of circumstances. A wildcard as the subject stands for one of its type that no
/// relationship names: what it has, everyone has who is not excluded by name.
pub(in crate::engine) struct SubjectChecks<'a> {
    plan: &'a Plan,
    view: &'a dyn ReadView,
    subject: SubjectRef,
    kind: SubjectKind,
    circumstances: &'a Circumstances,
    evaluation: Option<Evaluation<'a>>,
}

impl<'a> SubjectChecks<'a> {
    /// Nothing is asked yet.
    pub(in crate::engine) fn new(
        plan: &'a Plan,
        view: &'a dyn ReadView,
        subject: &SubjectRef,
        circumstances: &'a Circumstances,
    ) -> Result<Self, CheckError> {
        let kind = kind(plan, subject)?;
        Ok(Self { plan, view, subject: subject.clone(), kind, circumstances, evaluation: None })
    }

    /// Whether the subject has `member` of the object with that id. After an error, others can still be asked.
    pub(in crate::engine) fn decide(
        &mut self,
        member: MemberId,
        object: &ObjectId,
        budget: &Budget,
    ) -> Result<CheckOutcome, CheckError> {
        let remembered = self.evaluation.take();
        // Where it hangs on the order of questions whether there is an answer at all, each is asked as if it were the first.
        let remembered = remembered.filter(|_| !self.plan.member(member).circular);
        let mut evaluation = remembered.unwrap_or_else(|| self.fresh());
        let decision = evaluation.decide(member, object, budget)?;
        let outcome = evaluation.outcome(decision);
        // A failed evaluation is not kept, since it ended half way; a large one is not, for its memory.
        self.evaluation = (evaluation.knowledge.memo.len() < REMEMBERED_NODES).then_some(evaluation);
        Ok(outcome)
    }
}

impl<'a> SubjectChecks<'a> {
    /// The same with an explanation, whose search has the same budget again.
    pub(super) fn explain(
        &mut self,
        member: MemberId,
        object: &ObjectId,
        budget: &Budget,
        room: ExplanationRoom,
    ) -> Result<(CheckOutcome, Explanation), CheckError> {
        let outcome = self.decide(member, object, budget)?;
        let standing = match &outcome.decision {
            Decision::Allowed => Standing::True,
            Decision::Denied => Standing::False,
            Decision::Conditional { .. } => Standing::Open,
        };
        let explanation = self.fresh().ranked().explain(member, object, standing, budget, room);
        Ok((outcome, explanation))
    }

    fn fresh(&self) -> Evaluation<'a> {
        let conditions = Conditions::new(self.plan, self.circumstances);
        Evaluation::new(self.plan, self.view, &self.subject, self.kind, conditions)
    }
}

/// Checks of many subjects for one member of one object. They share the verdicts on stored caveats and nothing else: what one
/// subject has says nothing about another.
pub(in crate::engine) struct ResourceChecks<'a> {
    plan: &'a Plan,
    view: &'a dyn ReadView,
    member: MemberId,
    object: ObjectId,
    circumstances: &'a Circumstances,
    conditions: Option<Conditions<'a>>,
}

impl<'a> ResourceChecks<'a> {
    /// Nothing is asked yet.
    pub(in crate::engine) fn new(
        plan: &'a Plan,
        view: &'a dyn ReadView,
        member: MemberId,
        object: &ObjectId,
        circumstances: &'a Circumstances,
    ) -> Self {
        Self { plan, view, member, object: object.clone(), circumstances, conditions: None }
    }

    /// Until when all that was decided so far stands; `None` where nothing that it rests on expires.
    pub(in crate::engine) fn holds_until(&self) -> Option<TimestampMs> {
        self.conditions.as_ref().and_then(Conditions::next_expiry)
    }

    /// Whether `subject` has the member. After an error, others can still be asked. A wildcard means what it means for
    /// [`SubjectChecks`].
    pub(in crate::engine) fn decide(
        &mut self,
        subject: &SubjectRef,
        budget: &Budget,
    ) -> Result<CheckOutcome, CheckError> {
        let kind = kind(self.plan, subject)?;
        let conditions = self.conditions.take().unwrap_or_else(|| Conditions::new(self.plan, self.circumstances));
        let mut evaluation = Evaluation::new(self.plan, self.view, subject, kind, conditions.for_another_subject());
        let decision = evaluation.decide(self.member, &self.object, budget)?;
        let outcome = evaluation.outcome(decision);
        self.conditions = Some(evaluation.reader.conditions);
        Ok(outcome)
    }
}
