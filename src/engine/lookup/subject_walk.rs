//! The walk from a member of an object to the subjects that may have it.
//!
//! Where wildcards can take part, it also goes where subjects are taken away: whoever stands on the right side of an
//! exclusion is someone whom the wildcard may not stand for. Where none can, it goes only where subjects are given.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::engine::plan::{Arrow, Body, Edge, Expr, MemberId, Plan, RelationPlan, SubjectKind, TypeId};
use crate::model::{ObjectId, RelationName, TimestampMs, TupleKey, TypeName};
use crate::store::ReadView;

use super::LookupError;
use super::bounds::Spent;
use super::scan::{Scan, Worth};

/// A subject of the wanted kind that was met.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) object: ObjectId,
    pub(super) standing: Standing,
}

/// How things on the way stand to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Standing {
    /// Whether what is met here is given, or taken away by an exclusion.
    pub(super) given: bool,
    /// Whether having this is having what is asked for.
    pub(super) sure: bool,
}

impl Standing {
    fn doubtful(self) -> Self {
        Self { sure: false, ..self }
    }

    fn taken_away(self) -> Self {
        Self { given: !self.given, sure: false }
    }
}

#[derive(Debug)]
struct Place {
    member: MemberId,
    object: ObjectId,
    standing: Standing,
}

/// A scan, and what its tuples mean.
#[derive(Debug)]
struct Way {
    scan: Scan,
    rows: Rows,
    standing: Standing,
}

#[derive(Debug, Clone)]
enum Rows {
    /// Subjects and usersets of this relation.
    Subjects(MemberId),
    /// Objects at which this arrow goes on.
    Hops(Arrow),
}

/// What is walked for.
#[derive(Debug)]
struct Goal {
    kind: SubjectKind,
    subject_type: TypeName,
    subject_relation: Option<RelationName>,
    /// Whether to go where subjects are taken away, too.
    everywhere: bool,
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct SubjectWalk {
    goal: Goal,
    /// What had expired by then is not followed. It stays the same from page to page, so that every page walks the same way.
    walked_at: TimestampMs,
    /// By member, object, and whether met where subjects are given.
    seen: HashSet<(MemberId, ObjectId, bool)>,
    places: VecDeque<Place>,
    ways: VecDeque<Way>,
    candidates: VecDeque<Candidate>,
}

impl SubjectWalk {
    /// From `wanted` of `object` to subjects of `kind`.
    pub(super) fn new(
        plan: &Plan,
        wanted: MemberId,
        object: &ObjectId,
        kind: SubjectKind,
        walked_at: TimestampMs,
    ) -> Self {
        let (subject_type, subject_relation) = match kind {
            SubjectKind::Object(object_type) => (plan.type_name(object_type).clone(), None),
            SubjectKind::Userset(member) => {
                let member = plan.member(member);
                (member.object_type.clone(), Some(member.name.clone()))
            }
        };
        let everywhere = wildcards_take_part(plan, wanted, kind);
        let mut walk = Self {
            goal: Goal { kind, subject_type, subject_relation, everywhere },
            walked_at,
            seen: HashSet::new(),
            places: VecDeque::new(),
            ways: VecDeque::new(),
            candidates: VecDeque::new(),
        };
        walk.meet(
            plan,
            Place { member: wanted, object: object.clone(), standing: Standing { given: true, sure: true } },
        );
        walk
    }

    /// Whether a wildcard can be part of the answer.
    pub(super) fn wildcards_take_part(&self) -> bool {
        self.goal.everywhere
    }

    /// The next candidate that is known without another step. One subject can come more than once.
    pub(super) fn take(&mut self) -> Option<Candidate> {
        self.candidates.pop_front()
    }

    /// Takes a step: reads a piece of one scan, or opens the ways from one place. False where nothing is left.
    pub(super) fn step(&mut self, plan: &Plan, view: &dyn ReadView, spent: &mut Spent) -> Result<bool, LookupError> {
        if let Some(mut way) = self.ways.pop_front() {
            let walked_at = self.walked_at;
            let more = way.scan.piece(view, spent, &mut |row| {
                let standing = match Worth::of(&row.tuple.qualifiers, walked_at) {
                    Worth::Nothing => return Ok(()),
                    Worth::Doubtful => way.standing.doubtful(),
                    Worth::Sure => way.standing,
                };
                match &way.rows {
                    Rows::Subjects(relation) => self.subject(plan, *relation, &row.tuple.key, standing),
                    Rows::Hops(arrow) => self.hop(plan, arrow, &row.tuple.key, standing),
                }
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

    fn subject(&mut self, plan: &Plan, relation: MemberId, key: &TupleKey, standing: Standing) {
        let Body::Relation(body) = &plan.member(relation).body else { return };
        let subject = &key.subject;
        let object = &subject.object.object_id;
        let is_wanted = subject.object.object_type == self.goal.subject_type
            && subject.relation == self.goal.subject_relation
            && body.admits(self.goal.kind)
            && !object.is_wildcard();
        if is_wanted {
            self.candidates.push_back(Candidate { object: object.clone(), standing });
        }
        let name = subject.relation.as_ref().map(RelationName::as_str);
        let userset = plan.userset(body, subject.object.object_type.as_str(), name);
        if let Some(member) = userset {
            self.meet(plan, Place { member, object: object.clone(), standing });
        }
    }

    fn hop(&mut self, plan: &Plan, arrow: &Arrow, key: &TupleKey, standing: Standing) {
        let subject = &key.subject;
        let object = &subject.object;
        let relation = subject.relation.as_ref().map(|name| name.as_str());
        let hop = arrow.hop(object.object_type.as_str(), relation).filter(|_| !object.object_id.is_wildcard());
        if let Some(member) = hop.and_then(|hop| hop.target) {
            self.meet(plan, Place { member, object: object.object_id.clone(), standing });
        }
    }

    fn meet(&mut self, plan: &Plan, place: Place) {
        // No subject of the kind can have what is out of reach, wherever it stands.
        if !plan.reach(self.goal.kind).contains(place.member) {
            return;
        }
        if self.seen.insert((place.member, place.object.clone(), place.standing.given)) {
            // A userset is a member of itself.
            if self.goal.kind == SubjectKind::Userset(place.member) {
                self.candidates.push_back(Candidate { object: place.object.clone(), standing: place.standing });
            }
            self.places.push_back(place);
        }
    }

    fn lead_on(&mut self, plan: &Plan, place: &Place) {
        match &plan.member(place.member).body {
            Body::Relation(relation) => self.scan_subjects(plan, relation, place),
            Body::Union(edges) => edges.iter().for_each(|edge| self.edge(plan, edge, place, place.standing)),
            Body::Rewrite(expr) => self.expr(plan, expr, place, place.standing),
        }
    }

    fn scan_subjects(&mut self, plan: &Plan, relation: &RelationPlan, place: &Place) {
        let reach = plan.reach(self.goal.kind);
        let own = relation.admits(self.goal.kind).then(|| plan.subject_type(self.goal.kind));
        let within = relation.usersets.iter().filter(|userset| reach.contains(userset.member));
        let types: BTreeSet<TypeId> = within.map(|userset| userset.object_type).chain(own).collect();
        let rows = Rows::Subjects(place.member);
        for object_type in types {
            let name = plan.type_name(object_type);
            let scan = Scan::held(plan, place.member, &place.object, Some(name));
            self.ways.push_back(Way { scan, rows: rows.clone(), standing: place.standing });
        }
    }

    fn expr(&mut self, plan: &Plan, expr: &Expr, at: &Place, standing: Standing) {
        match expr {
            Expr::Nil => {}
            Expr::Itself => {
                let object_type = &plan.member(at.member).object_type;
                if self.goal.subject_relation.is_none() && self.goal.subject_type == *object_type {
                    self.candidates.push_back(Candidate { object: at.object.clone(), standing });
                }
            }
            Expr::Edge(edge) => self.edge(plan, edge, at, standing),
            Expr::All(arrow) => self.arrow(plan, arrow, at, standing.doubtful()),
            Expr::Union(operands) => operands.iter().for_each(|operand| self.expr(plan, operand, at, standing)),
            Expr::Intersection(operands) => {
                // Whoever has all has the first, unless by a wildcard there and by name in another.
                let followed = if self.goal.everywhere { operands.len() } else { 1 };
                for operand in operands.iter().take(followed) {
                    self.expr(plan, operand, at, standing.doubtful());
                }
            }
            Expr::Exclusion(sides) => {
                self.expr(plan, &sides.0, at, standing.doubtful());
                if self.goal.everywhere {
                    self.expr(plan, &sides.1, at, standing.taken_away());
                }
            }
        }
    }

    fn edge(&mut self, plan: &Plan, edge: &Edge, at: &Place, standing: Standing) {
        match edge {
            Edge::Member(member) => self.meet(plan, Place { member: *member, object: at.object.clone(), standing }),
            Edge::Arrow(arrow) => self.arrow(plan, arrow, at, standing),
        }
    }

    fn arrow(&mut self, plan: &Plan, arrow: &Arrow, at: &Place, standing: Standing) {
        let scan = Scan::held(plan, arrow.tupleset, &at.object, None);
        self.ways.push_back(Way { scan, rows: Rows::Hops(arrow.clone()), standing });
    }
}

/// Whether a wildcard that matches subjects of `kind` can be met from `wanted` at all.
fn wildcards_take_part(plan: &Plan, wanted: MemberId, kind: SubjectKind) -> bool {
    let object_type = plan.subject_type(kind);
    plan.members_met_from(wanted).into_iter().any(|member| match &plan.member(member).body {
        Body::Relation(relation) => relation.admits_wildcard_of(object_type),
        Body::Union(_) | Body::Rewrite(_) => false,
    })
}
