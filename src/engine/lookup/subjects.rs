//! Which subjects of a kind have a permission on an object?
//!
//! Where no wildcard grants it, every subject is given once, as it is found. Where one does, the answer is: everyone (`*`),
//! except for those who are excluded, and beside it those who are granted it by name. What a wildcard grants is found by
//! asking for a subject that no tuple names.

use std::collections::HashMap;
use std::mem;

use crate::engine::Circumstances;
use crate::engine::check::{ResourceChecks, earlier, kind, resource_member};
use crate::engine::plan::{MemberId, Plan, SubjectKind};
use crate::model::{Decision, ObjectId, ObjectRef, RelationName, SubjectRef, TimestampMs, TypeName};
use crate::store::ReadView;

use super::bounds::Spent;
use super::subject_walk::{Candidate, SubjectWalk};
use super::{LookupBounds, LookupError, Turn};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectQuestion {
    /// On what.
    pub resource: ObjectRef,
    /// Which relation or permission.
    pub permission: RelationName,
    /// Subjects of which type.
    pub subject_type: TypeName,
    /// With which relation; `None` for the objects themselves.
    pub subject_relation: Option<RelationName>,
}

/// A subject that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSubject {
    /// Its id, or the wildcard.
    pub id: ObjectId,
    /// Never a denial.
    pub decision: Decision,
    /// Whom the wildcard does not stand for; in order of their ids.
    pub excluded: Vec<ExcludedSubject>,
}

/// A subject that a wildcard does not stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedSubject {
    /// Its id.
    pub id: ObjectId,
    /// What its exclusion hangs on; empty where it is excluded in any case.
    pub missing: Vec<String>,
}

/// A lookup under way. Every call must be given the same plan and the same view.
#[derive(Debug)]
pub struct SubjectLookup {
    wanted: MemberId,
    object: ObjectId,
    kind: SubjectKind,
    question: SubjectQuestion,
    circumstances: Circumstances,
    walk: SubjectWalk,
    spent: Spent,
    met: HashMap<ObjectId, Met>,
    stage: Stage,
    /// When something expires that a decision of an earlier batch rests on.
    holds_until: Option<TimestampMs>,
}

/// What the walk says of a subject.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    given: bool,
    taken_away: bool,
    sure: bool,
    /// Whether it was judged, and given where it has the permission.
    judged: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was asked yet.
    New,
    /// No wildcard grants it: each subject is given as it is met.
    ByName,
    /// A wildcard grants it, under this decision: all subjects are gathered before the first is judged.
    Gathering(Decision),
    /// The gathered ones are judged, the last one first.
    Judging { everyone: Decision, left: Vec<ObjectId>, excluded: Vec<ExcludedSubject> },
    /// All was given.
    Done,
}

impl SubjectLookup {
    /// From the beginning.
    pub fn new(
        plan: &Plan,
        question: SubjectQuestion,
        circumstances: Circumstances,
        bounds: LookupBounds,
    ) -> Result<Self, LookupError> {
        let wanted = resource_member(plan, &question.resource, &question.permission)?;
        let everyone = question.subject(ObjectId::wildcard());
        let kind = kind(plan, &everyone)?;
        let object = question.resource.object_id.clone();
        let walk = SubjectWalk::new(plan, wanted, &object, kind, circumstances.now);
        let (spent, met) = (Spent::new(bounds), HashMap::new());
        Ok(Self {
            wanted,
            object,
            kind,
            question,
            circumstances,
            walk,
            spent,
            met,
            stage: Stage::New,
            holds_until: None,
        })
    }

    /// The next results; an empty list may be followed by more. `None` at the end. After an error there is no more.
    pub fn next_batch(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        turn: &Turn,
    ) -> Result<Option<Vec<FoundSubject>>, LookupError> {
        self.spent.begin_batch(&turn.waiter);
        self.circumstances.now = self.circumstances.now.max(turn.now);
        let circumstances = self.circumstances.clone();
        let mut checks = ResourceChecks::new(plan, view, self.wanted, &self.object, &circumstances);
        let batch = self.batch(plan, view, &mut checks)?;
        self.holds_until = earlier(self.holds_until, checks.holds_until());
        Ok(batch)
    }

    fn batch(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        checks: &mut ResourceChecks<'_>,
    ) -> Result<Option<Vec<FoundSubject>>, LookupError> {
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::New => {
                self.stage = self.begin(checks)?;
                Ok(Some(Vec::new()))
            }
            Stage::ByName => self.by_name(plan, view, checks),
            Stage::Gathering(everyone) => self.gather(plan, view, everyone),
            Stage::Judging { everyone, left, excluded } => self.judge(checks, everyone, left, excluded),
            Stage::Done => Ok(None),
        }
    }

    fn begin(&mut self, checks: &mut ResourceChecks<'_>) -> Result<Stage, LookupError> {
        // A wildcard stands for objects; usersets are given by name only, as in SpiceDB.
        let asks_for_objects = matches!(self.kind, SubjectKind::Object(_));
        if !(asks_for_objects && self.walk.wildcards_take_part()) {
            return Ok(Stage::ByName);
        }
        match self.decide(checks, ObjectId::wildcard())? {
            Decision::Denied => Ok(Stage::ByName),
            everyone @ (Decision::Allowed | Decision::Conditional { .. }) => Ok(Stage::Gathering(everyone)),
        }
    }

    fn by_name(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        checks: &mut ResourceChecks<'_>,
    ) -> Result<Option<Vec<FoundSubject>>, LookupError> {
        let mut found = Vec::new();
        while !self.spent.batch_is_spent() && found.len() < self.spent.bounds().batch_results {
            let Some(Candidate { object, standing }) = self.walk.take() else {
                if self.walk.step(plan, view, &mut self.spent)? {
                    continue;
                }
                return Ok((!found.is_empty()).then_some(found));
            };
            // Without a wildcard nobody has it who is not given it somewhere.
            if !standing.given {
                continue;
            }
            self.spent.seen(self.met.len())?;
            if mem::replace(&mut self.met.entry(object.clone()).or_default().judged, true) {
                continue;
            }
            let decision = if standing.sure { Decision::Allowed } else { self.decide(checks, object.clone())? };
            if decision != Decision::Denied {
                found.push(FoundSubject { id: object, decision, excluded: Vec::new() });
            }
        }
        self.stage = Stage::ByName;
        Ok(Some(found))
    }

    fn gather(
        &mut self,
        plan: &Plan,
        view: &dyn ReadView,
        everyone: Decision,
    ) -> Result<Option<Vec<FoundSubject>>, LookupError> {
        while !self.spent.batch_is_spent() {
            let Some(Candidate { object, standing }) = self.walk.take() else {
                if self.walk.step(plan, view, &mut self.spent)? {
                    continue;
                }
                self.stage = self.judging(everyone);
                return Ok(Some(Vec::new()));
            };
            self.spent.seen(self.met.len())?;
            let met = self.met.entry(object).or_default();
            met.given |= standing.given;
            met.taken_away |= !standing.given;
            met.sure |= standing.given && standing.sure;
        }
        self.stage = Stage::Gathering(everyone);
        Ok(Some(Vec::new()))
    }

    fn judging(&self, everyone: Decision) -> Stage {
        let mut left: Vec<ObjectId> = self.met.keys().cloned().collect();
        left.sort_unstable_by(|a, b| b.cmp(a));
        Stage::Judging { everyone, left, excluded: Vec::new() }
    }

    fn judge(
        &mut self,
        checks: &mut ResourceChecks<'_>,
        everyone: Decision,
        mut left: Vec<ObjectId>,
        mut excluded: Vec<ExcludedSubject>,
    ) -> Result<Option<Vec<FoundSubject>>, LookupError> {
        let mut found = Vec::new();
        while !self.spent.batch_is_spent() && found.len() < self.spent.bounds().batch_results {
            let Some(id) = left.pop() else {
                if self.holds_until.is_some_and(|expires_at| expires_at <= self.circumstances.now) {
                    // Whom the wildcard stands for may have changed since the first of them was judged.
                    self.holds_until = None;
                    self.stage = match self.decide(checks, ObjectId::wildcard())? {
                        Decision::Denied => Stage::Done,
                        everyone @ (Decision::Allowed | Decision::Conditional { .. }) => self.judging(everyone),
                    };
                    return Ok(Some(found));
                }
                found.push(FoundSubject { id: ObjectId::wildcard(), decision: everyone, excluded });
                return Ok(Some(found));
            };
            let met = self.met.get(&id).copied().unwrap_or_default();
            let decision = if met.sure { Decision::Allowed } else { self.decide(checks, id.clone())? };
            if let Some(missing) = exclusion(&everyone, &decision, met) {
                let max_excluded = self.spent.bounds().max_excluded;
                if excluded.len() >= max_excluded {
                    return Err(LookupError::ExcludedExceeded { max_excluded });
                }
                excluded.push(ExcludedSubject { id: id.clone(), missing });
            }
            let given = met.given && decision != Decision::Denied;
            if given && !mem::replace(&mut self.met.entry(id.clone()).or_default().judged, true) {
                found.push(FoundSubject { id, decision, excluded: Vec::new() });
            }
        }
        self.stage = Stage::Judging { everyone, left, excluded };
        Ok(Some(found))
    }

    fn decide(&mut self, checks: &mut ResourceChecks<'_>, id: ObjectId) -> Result<Decision, LookupError> {
        let outcome = checks.decide(&self.question.subject(id), self.spent.budget())?;
        // A check that reads nothing is still work.
        self.spent.read(outcome.work().max(1))?;
        Ok(outcome.decision)
    }
}

impl SubjectQuestion {
    fn subject(&self, object_id: ObjectId) -> SubjectRef {
        let object = ObjectRef { object_type: self.subject_type.clone(), object_id };
        SubjectRef { object, relation: self.subject_relation.clone() }
    }
}

/// Whether a subject has less than everyone has, and what that hangs on.
///
/// Where both are conditional, the conditions are not compared: whoever is taken away somewhere counts as excluded if what
/// is missing for them turns out so, which is the safe side.
fn exclusion(everyone: &Decision, subject: &Decision, met: Met) -> Option<Vec<String>> {
    match (everyone, subject) {
        (_, Decision::Denied) => Some(Vec::new()),
        (_, Decision::Allowed) => None,
        (Decision::Conditional { missing: shared }, Decision::Conditional { missing }) => {
            let own: Vec<String> = missing.iter().filter(|name| !shared.contains(name)).cloned().collect();
            met.taken_away.then(|| if own.is_empty() { missing.clone() } else { own })
        }
        (Decision::Allowed | Decision::Denied, Decision::Conditional { missing }) => Some(missing.clone()),
    }
}
