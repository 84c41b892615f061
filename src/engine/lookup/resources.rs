//! On which objects of a type does a subject have a permission?
//!
//! Each object is given once. The position after a result counts the candidates of the walk up to it, so a lookup that goes
//! on behind a position repeats the walk and none of the checks.

use crate::engine::check::{SubjectChecks, member, subject_kind};
use crate::engine::plan::{MemberId, Plan, SubjectKind};
use crate::engine::{Budget, CheckError, Circumstances};
use crate::model::{Decision, ObjectId, RelationName, SubjectRef, TimestampMs, TypeName};
use crate::store::ReadView;

use super::bounds::Spent;
use super::resource_walk::{Candidate, ResourceWalk};
use super::scan::Times;
use super::{LookupBounds, LookupError};

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
        let times = Times { walked_at, now: circumstances.now };
        let walk = ResourceWalk::new(plan, wanted, &subject, kind, times);
        Ok(Self { wanted, subject, circumstances, walk, spent: Spent::new(bounds), skip: position, position: 0 })
    }

    /// The next results; an empty list may be followed by more. `None` at the end. After an error there is no more.
    pub fn next_batch(&mut self, plan: &Plan, view: &dyn ReadView) -> Result<Option<Vec<FoundResource>>, LookupError> {
        let Self { wanted, subject, circumstances, walk, spent, skip, position } = self;
        spent.begin_batch();
        let mut checks = SubjectChecks::new(plan, view, subject, circumstances)?;
        let mut found = Vec::new();
        while !spent.batch_is_spent() && found.len() < spent.bounds().batch_results {
            let Some(Candidate { object, sure }) = walk.take() else {
                if walk.step(plan, view, spent)? {
                    continue;
                }
                return Ok((!found.is_empty()).then_some(found));
            };
            *position += 1;
            if *position <= *skip {
                continue;
            }
            let decision = if sure {
                Decision::Allowed
            } else {
                let outcome = checks.decide(*wanted, &object, Budget::default())?;
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
        Ok(Some(found))
    }
}

fn kind_of(plan: &Plan, subject: &SubjectRef) -> Result<SubjectKind, LookupError> {
    subject_kind(plan, subject).map_err(|error| match error {
        CheckError::WildcardSubject { subject } => LookupError::WildcardSubject { subject },
        other => other.into(),
    })
}
