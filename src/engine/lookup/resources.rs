//! On which objects of a type does a subject have a permission?
//!
//! Each object is given once. The position after a result counts the candidates of the walk up to it, so a lookup that goes
//! on behind a position repeats the walk and none of the checks.

use crate::engine::check::{SubjectChecks, member, subject_kind};
use crate::engine::plan::{MemberId, Plan, SubjectKind};
use crate::engine::{CheckError, Circumstances};
use crate::model::{Decision, ObjectId, RelationName, SubjectRef, TimestampMs, TypeName};
use crate::store::ReadView;

use super::bounds::Spent;
use super::resource_walk::{Candidate, ResourceWalk};
use super::{LookupBounds, LookupError, Turn};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceQuestion {
    /// Objects of which type.
    pub resource_type: TypeName,
    /// Which relation or permission on them.
    pub permission: RelationName,
    /// Who.
    pub subject: SubjectRef,
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundResource {
    /// Its id.
    pub id: ObjectId,
    /// Never a denial.
    pub decision: Decision,
    /// Where to go on behind it.
    pub position: u64,
}

/// A lookup under way. Every call must be given the same plan and the same view.
#[derive(Debug)]
pub struct ResourceLookup {
    wanted: MemberId,
    subject: SubjectRef,
    circumstances: Circumstances,
    walk: ResourceWalk,
    spent: Spent,
    /// Candidates that an earlier lookup dealt with.
    skip: u64,
    position: u64,
    /// Why there is no more, once what was found before has been given.
    failed: Option<LookupError>,
}

impl ResourceLookup {
    /// Goes on behind `position`, which is 0 at first. `walked_at` is the time at which the first page was asked for: what
    /// had expired by then is passed over without being counted.
    pub fn new(
        plan: &Plan,
        question: ResourceQuestion,
        circumstances: Circumstances,
        walked_at: TimestampMs,
        position: u64,
        bounds: LookupBounds,
    ) -> Result<Self, LookupError> {
        let ResourceQuestion { resource_type, permission, subject } = question;
        let wanted = member(plan, &resource_type, &permission)?;
        let kind = kind_of(plan, &subject)?;
        let walk = ResourceWalk::new(plan, wanted, &subject, kind, walked_at);
        Ok(Self {
            wanted,
            subject,
            circumstances,
            walk,
            spent: Spent::new(bounds),
            skip: position,
            position: 0,
            failed: None,
        })
    }

    /// The next results, `most` of them at the most; an empty list may be followed by more. `None` at the end. After an error
    /// there is no more.
    pub fn next_batch(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        turn: &Turn,
        most: usize,
    ) -> Result<Option<Vec<FoundResource>>, LookupError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        self.spent.begin_batch(&turn.waiter);
        self.circumstances.now = self.circumstances.now.max(turn.now);
        let mut found = Vec::new();
        match self.fill(plan, view, most.min(self.spent.bounds().batch_results), &mut found) {
            Ok(more) => Ok((more || !found.is_empty()).then_some(found)),
            Err(error) if found.is_empty() => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Ok(Some(found))
            }
        }
    }

    /// Adds results until the batch is spent or there are `most`. False at the end.
    fn fill(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        most: usize,
        found: &mut Vec<FoundResource>,
    ) -> Result<bool, LookupError> {
        let Self { wanted, subject, circumstances, walk, spent, skip, position, .. } = self;
        let mut checks = SubjectChecks::new(plan, view, subject, circumstances)?;
        while !spent.batch_is_spent() && found.len() < most {
            let Some(Candidate { object, sure }) = walk.take() else {
                if walk.step(plan, view, spent)? {
                    continue;
                }
                return Ok(false);
            };
            *position += 1;
            if *position <= *skip {
                continue;
            }
            let decision = if sure {
                Decision::Allowed
            } else {
                let outcome = checks.decide(*wanted, &object, spent.budget())?;
                spent.read(outcome.work())?;
                outcome.decision
            };
            match decision {
                Decision::Denied => {}
                Decision::Allowed | Decision::Conditional { .. } => {
                    found.push(FoundResource { id: object, decision, position: *position });
                }
            }
        }
        Ok(true)
    }
}

fn kind_of(plan: &Plan, subject: &SubjectRef) -> Result<SubjectKind, LookupError> {
    subject_kind(plan, subject).map_err(|error| match error {
        CheckError::WildcardSubject { subject } => LookupError::WildcardSubject { subject },
        other => other.into(),
    })
}
