//! Single steps as reads: a point look-up, the usersets of a relation, the objects that an arrow leads to.
//!
//! Every tuple looked up or visited is counted against the budget. A tuple that its relation does not admit does not count;
//! one with a condition that cannot be judged here is an error. Knows nothing of what was found out so far.

use std::ops::ControlFlow;

use crate::engine::CheckError;
use crate::engine::budget::Meter;
use crate::engine::plan::{Arrow, MemberId, Plan, ReachSet, RelationPlan, TypeId};
use crate::model::{
    ObjectRef, Qualifiers, RelationName, SubjectFilter, SubjectRef, SubjectRelationFilter, TupleFilter, TupleKey,
};
use crate::store::{ReadView, StoreError, SubjectRow};

use super::knowledge::Subject;
use super::objects::{Node, ObjectIx, Objects};

/// Reads one view for one evaluation.
pub(super) struct Reader<'a> {
    pub(super) plan: &'a Plan,
    pub(super) view: &'a dyn ReadView,
    pub(super) objects: Objects,
    pub(super) meter: Meter,
}

/// Told of each node that a step leads to; breaks when it has seen enough.
pub(super) type VisitNode<'v> = &'v mut dyn FnMut(Node) -> ControlFlow<()>;

/// Told of each object that an arrow leads to: the arrow's target there, or `None` where the object's type lacks it.
pub(super) type VisitHop<'v> = &'v mut dyn FnMut(Option<Node>) -> ControlFlow<()>;

impl<'a> Reader<'a> {
    /// `type:id` of a node.
    pub(super) fn resource(&self, node: Node) -> ObjectRef {
        self.object_ref(node.member, node.object)
    }

    fn object_ref(&self, member: MemberId, object: ObjectIx) -> ObjectRef {
        let object_type = self.plan.member(member).object_type.clone();
        ObjectRef { object_type, object_id: self.objects.id(object).clone() }
    }

    /// Whether a tuple of the relation names the subject itself or everyone of its type.
    pub(super) fn holds(&mut self, node: Node, relation: &RelationPlan, subject: &Subject) -> Result<bool, CheckError> {
        if relation.admits(subject.kind) && self.look_up(node, &subject.reference)? {
            return Ok(true);
        }
        Ok(relation.admits_wildcard_of(subject.kind) && self.look_up(node, &subject.wildcard)?)
    }

    fn look_up(&mut self, node: Node, subject: &SubjectRef) -> Result<bool, CheckError> {
        self.meter.read()?;
        let relation = self.plan.member(node.member).name.clone();
        let key = TupleKey { resource: self.resource(node), relation, subject: subject.clone() };
        match self.view.lookup(&key)? {
            None => Ok(false),
            Some(qualifiers) if qualifiers.is_empty() => Ok(true),
            Some(_) => Err(CheckError::Qualified { resource: key.resource, relation: key.relation }),
        }
    }

    /// Visits the usersets of a relation that lie within `reach`.
    pub(super) fn usersets(
        &mut self,
        node: Node,
        relation: &'a RelationPlan,
        reach: &ReachSet,
        visit: VisitNode<'_>,
    ) -> Result<(), CheckError> {
        let mut types: Vec<TypeId> = Vec::new();
        for userset in relation.usersets.iter().filter(|userset| reach.contains(userset.member)) {
            if !types.contains(&userset.object_type) {
                types.push(userset.object_type);
            }
        }
        if types.is_empty() {
            return Ok(());
        }
        let plan = self.plan;
        let mut read_row = |objects: &mut Objects, row: SubjectRow<'_>| -> Result<ControlFlow<()>, CheckError> {
            let Some(member) = userset_of(plan, relation, row).filter(|member| reach.contains(*member)) else {
                return Ok(ControlFlow::Continue(()));
            };
            Ok(visit(Node { member, object: intern(objects, row.subject_id)? }))
        };
        // Where the relation also holds subjects of other types, there may be a million of them beside a few usersets.
        if types.len() == relation.subject_types {
            return self.rows(node, &mut read_row).map(drop);
        }
        for subject_type in types {
            if self.rows_of_type(node, subject_type, &mut read_row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits the objects that `arrow` leads to from `object`.
    pub(super) fn hops(&mut self, arrow: &Arrow, object: ObjectIx, visit: VisitHop<'_>) -> Result<(), CheckError> {
        let mut read_row = |objects: &mut Objects, row: SubjectRow<'_>| -> Result<ControlFlow<()>, CheckError> {
            let Some(hop) = arrow.hop(row.subject_type, row.subject_relation).filter(|_| row.subject_id != "*") else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some(member) = hop.target else {
                return Ok(visit(None));
            };
            Ok(visit(Some(Node { member, object: intern(objects, row.subject_id)? })))
        };
        self.rows(Node { member: arrow.tupleset, object }, &mut read_row).map(drop)
    }

    /// Visits all subjects of a node.
    fn rows(&mut self, node: Node, visit: VisitRow<'_>) -> Result<ControlFlow<()>, CheckError> {
        let resource = self.resource(node);
        let relation = &self.plan.member(node.member).name;
        let (view, objects, meter) = (self.view, &mut self.objects, &mut self.meter);
        let mut end = Ok(ControlFlow::Continue(()));
        view.subjects(&resource, relation, &mut |row| {
            end = visit_row(objects, meter, (&resource, relation), row, visit);
            if matches!(end, Ok(ControlFlow::Continue(()))) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        end
    }

    /// Visits the subjects of one type.
    fn rows_of_type(
        &mut self,
        node: Node,
        subject_type: TypeId,
        visit: VisitRow<'_>,
    ) -> Result<ControlFlow<()>, CheckError> {
        let resource = self.resource(node);
        let relation = &self.plan.member(node.member).name;
        let filter = TupleFilter {
            traits: None,
            resource_type: Some(resource.object_type.clone()),
            resource_id: Some(resource.object_id.clone()),
            resource_id_prefix: None,
            relation: Some(relation.clone()),
            subject: Some(SubjectFilter {
                subject_type: self.plan.type_name(subject_type).clone(),
                subject_id: None,
                relation: SubjectRelationFilter::Any,
            }),
        };
        let (view, objects, meter) = (self.view, &mut self.objects, &mut self.meter);
        let mut end = Ok(ControlFlow::Continue(()));
        view.scan(&filter, None, &mut |row| {
            let subject = &row.tuple.key.subject;
            let row = SubjectRow {
                subject_type: subject.object.object_type.as_str(),
                subject_id: subject.object.object_id.as_str(),
                subject_relation: subject.relation.as_ref().map(RelationName::as_str),
                qualifiers: &row.tuple.qualifiers,
            };
            end = visit_row(objects, meter, (&resource, relation), row, visit);
            if matches!(end, Ok(ControlFlow::Continue(()))) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        end
    }
}

type VisitRow<'v> = &'v mut dyn FnMut(&mut Objects, SubjectRow<'_>) -> Result<ControlFlow<()>, CheckError>;

fn visit_row(
    objects: &mut Objects,
    meter: &mut Meter,
    of: (&ObjectRef, &RelationName),
    row: SubjectRow<'_>,
    visit: VisitRow<'_>,
) -> Result<ControlFlow<()>, CheckError> {
    meter.read()?;
    check_unqualified(of, row.qualifiers)?;
    visit(objects, row)
}

/// A conditional tuple could neither be counted nor left out: under an exclusion, leaving it out would allow.
fn check_unqualified(
    (resource, relation): (&ObjectRef, &RelationName),
    qualifiers: &Qualifiers,
) -> Result<(), CheckError> {
    if qualifiers.is_empty() {
        Ok(())
    } else {
        Err(CheckError::Qualified { resource: resource.clone(), relation: relation.clone() })
    }
}

/// The member that a row's subject names, if the relation admits it.
fn userset_of(plan: &Plan, relation: &RelationPlan, row: SubjectRow<'_>) -> Option<MemberId> {
    let name = row.subject_relation?;
    relation.usersets.iter().map(|userset| userset.member).find(|member| {
        let member = plan.member(*member);
        member.name.as_str() == name && member.object_type.as_str() == row.subject_type
    })
}

fn intern(objects: &mut Objects, id: &str) -> Result<ObjectIx, CheckError> {
    objects
        .intern_text(id)
        .map_err(|error| CheckError::Store(StoreError::Corrupt { place: "tuples", what: error.to_string() }))
}
