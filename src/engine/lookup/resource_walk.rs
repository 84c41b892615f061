//! The walk from a subject to the objects on which it may have the wanted member.
//!
//! Breadth first, and in the order of plan and store only: over one view, with one `walked_at`, two walks meet the same
//! candidates in the same order, on every node. Cursors rest on that.

use std::collections::{HashSet, VecDeque};

use crate::engine::plan::{Backward, MemberId, Plan, Step, SubjectKind};
use crate::model::{ObjectId, ObjectRef, SubjectRef, TimestampMs};
use crate::store::ReadView;

use super::LookupError;
use super::bounds::Spent;
use super::scan::{Scan, Worth, object_of};

/// An object on which the subject may have the wanted member.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) object: ObjectId,
    /// Whether it has it for sure.
    pub(super) sure: bool,
}

/// A member of an object that the subject may have.
#[derive(Debug)]
struct Place {
    member: MemberId,
    object: ObjectId,
    sure: bool,
}

/// A scan whose tuples lead on.
#[derive(Debug)]
struct Way {
    scan: Scan,
    to: MemberId,
    sure: bool,
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct ResourceWalk {
    backward: Backward,
    wanted: MemberId,
    /// What had expired by then is not followed. It stays the same from page to page, so that every page walks the same way.
    walked_at: TimestampMs,
    seen: HashSet<(MemberId, ObjectId)>,
    places: VecDeque<Place>,
    ways: VecDeque<Way>,
    candidates: VecDeque<Candidate>,
}

impl ResourceWalk {
    /// From `subject` towards `wanted`.
    pub(super) fn new(
        plan: &Plan,
        wanted: MemberId,
        subject: &SubjectRef,
        kind: SubjectKind,
        walked_at: TimestampMs,
    ) -> Self {
        let mut walk = Self {
            backward: Backward::towards(plan, wanted),
            wanted,
            walked_at,
            seen: HashSet::new(),
            places: VecDeque::new(),
            ways: VecDeque::new(),
            candidates: VecDeque::new(),
        };
        if plan.reach(kind).contains(wanted) {
            walk.begin(plan, subject, kind);
        }
        walk
    }

    fn begin(&mut self, plan: &Plan, subject: &SubjectRef, kind: SubjectKind) {
        let id = &subject.object.object_id;
        match kind {
            SubjectKind::Object(object_type) => {
                for (member, sure) in self.backward.own(plan, object_type) {
                    self.meet(Place { member, object: id.clone(), sure });
                }
            }
            // A userset is a member of itself.
            SubjectKind::Userset(member) => self.meet(Place { member, object: id.clone(), sure: true }),
        }
        let everyone = ObjectRef { object_type: subject.object.object_type.clone(), object_id: ObjectId::wildcard() };
        let everyone = SubjectRef::direct(everyone);
        for (to, itself, wildcard) in self.backward.begins(plan, kind) {
            // The tuples that name a userset are met from the userset's own place.
            if itself && subject.relation.is_none() {
                self.ways.push_back(Way { scan: Scan::naming(plan, to, subject), to, sure: true });
            }
            if wildcard {
                self.ways.push_back(Way { scan: Scan::naming(plan, to, &everyone), to, sure: true });
            }
        }
    }

    /// The next candidate that is known without another step.
    pub(super) fn take(&mut self) -> Option<Candidate> {
        self.candidates.pop_front()
    }

    /// Takes a step: reads a piece of one scan, or opens the ways from one place. False where nothing is left.
    pub(super) fn step(&mut self, plan: &Plan, view: &dyn ReadView, spent: &mut Spent) -> Result<bool, LookupError> {
        if let Some(mut way) = self.ways.pop_front() {
            let walked_at = self.walked_at;
            let more = way.scan.piece(view, spent, &mut |row| {
                let sure = match Worth::of(&row.tuple.qualifiers, walked_at) {
                    Worth::Nothing => return Ok(()),
                    Worth::Doubtful => false,
                    Worth::Sure => way.sure,
                };
                self.meet(Place { member: way.to, object: row.tuple.key.resource.object_id.clone(), sure });
                Ok(())
            })?;
            if more {
                self.ways.push_front(way);
            }
            spent.seen(self.seen.len())?;
            return Ok(true);
        }
        match self.places.pop_front() {
            None => Ok(false),
            Some(place) => {
                self.lead_on(plan, &place);
                Ok(true)
            }
        }
    }

    fn meet(&mut self, place: Place) {
        if !self.seen.insert((place.member, place.object.clone())) {
            return;
        }
        if place.member == self.wanted {
            self.candidates.push_back(Candidate { object: place.object.clone(), sure: place.sure });
        }
        if !self.backward.leads(place.member).is_empty() {
            self.places.push_back(place);
        }
    }

    fn lead_on(&mut self, plan: &Plan, place: &Place) {
        let mut met = Vec::new();
        let object = object_of(plan, place.member, &place.object);
        for lead in self.backward.leads(place.member) {
            let sure = place.sure && lead.suffices;
            let mut scan = |relation: MemberId, subject_relation| {
                let subject = SubjectRef { object: object.clone(), relation: subject_relation };
                self.ways.push_back(Way { scan: Scan::naming(plan, relation, &subject), to: lead.to, sure });
            };
            match &lead.step {
                Step::SameObject => met.push(Place { member: lead.to, object: place.object.clone(), sure }),
                Step::Userset => scan(lead.to, Some(plan.member(place.member).name.clone())),
                Step::Arrow { tupleset, relation } => scan(*tupleset, relation.clone()),
            }
        }
        met.into_iter().for_each(|place| self.meet(place));
    }
}
