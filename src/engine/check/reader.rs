//! Single steps as reads: a point look-up, the usersets of a relation, the objects that an arrow leads to.
//!
//! Every tuple looked up or visited is counted against the budget. A tuple that its relation does not admit, or that has
//! expired, is not there; of any other one the verdict on its caveat is told. Knows nothing of what was found out so far.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use foldhash::HashMap;

use crate::engine::CheckError;
use crate::engine::budget::Meter;
use crate::engine::explanation::TupleProof;
use crate::engine::plan::{Arrow, Body, MemberId, Plan, ReachSet, RelationPlan, TypeId};
use crate::model::{ObjectRef, Qualifiers, SubjectFilter, SubjectRef, TupleFilter, TupleKey};
use crate::store::{ReadView, StoreError, SubjectRow, TupleRow};

use super::conditions::{Conditions, Verdict};
use super::held::{Held, MOST_CONTEXT_BYTES, Named};
use super::knowledge::Subject;
use super::objects::{Node, ObjectIx, Objects};

/// Reads one view for one evaluation.
pub(super) struct Reader<'a> {
    pub(super) plan: &'a Plan,
    pub(super) view: &'a dyn ReadView,
    pub(super) objects: Objects,
    pub(super) conditions: Conditions<'a>,
    pub(super) meter: Meter,
    pub(super) held: Held,
}

/// Where a tuple leads.
pub(super) struct Way<'w> {
    /// The node, in the mode of the one that it leads on from; `None` where an arrow's target is lacking there.
    pub(super) to: Option<Node>,
    /// Whether the tuple counts.
    pub(super) verdict: Verdict,
    /// What qualifies it.
    pub(super) qualifiers: &'w Qualifiers,
}

impl Way<'_> {
    /// The node that it leads to, if the tuple counts in that node's mode.
    pub(super) fn open(&self) -> Option<Node> {
        self.to.filter(|node| self.verdict.counts(node.mode))
    }
}

/// Told of each way that a step finds; breaks when it has seen enough.
pub(super) type VisitWay<'v> = &'v mut dyn FnMut(Way<'_>) -> ControlFlow<()>;

impl<'a> Reader<'a> {
    /// `type:id` of a node.
    pub(super) fn resource(&self, node: Node) -> ObjectRef {
        let object_type = self.plan.member(node.member).object_type.clone();
        ObjectRef { object_type, object_id: self.objects.id(node.object).clone() }
    }

    /// Whether a tuple of the relation that counts names the subject itself or everyone of its type.
    pub(super) fn holds(&mut self, node: Node, relation: &RelationPlan, subject: &Subject) -> Result<bool, CheckError> {
        self.read_held(node.member, 1, subject)?;
        if let Some(holds) = self.held(node)? {
            self.meter.read()?;
            return Ok(holds);
        }
        for key in self.own_keys(node, relation, subject).into_iter().flatten() {
            if self.look_up(&key)?.is_some_and(|(verdict, _)| verdict.counts(node.mode)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a tuple without a caveat names the subject there, as far as the subject's side shows. Judges nothing that costs.
    pub(super) fn is_named(&mut self, node: Node) -> Result<bool, CheckError> {
        let Some(named) = self.held.named(node.member) else { return Ok(false) };
        for qualifiers in named.iter().filter_map(|objects| objects.get(&node.object)) {
            if qualifiers.caveat.is_none() && self.conditions.judge(qualifiers, &mut self.meter)? == Some(Verdict::True)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// [`Reader::holds`], where the subject's side of the relation was read.
    fn held(&mut self, node: Node) -> Result<Option<bool>, CheckError> {
        let Some(named) = self.held.named(node.member) else { return Ok(None) };
        for qualifiers in named.iter().filter_map(|objects| objects.get(&node.object)) {
            let verdict = self.conditions.judge(qualifiers, &mut self.meter)?;
            if verdict.is_some_and(|verdict| verdict.counts(node.mode)) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// Told that `more` objects are to be asked for the relation `member`, reads the subject's side of it where that is less.
    pub(super) fn read_held(&mut self, member: MemberId, more: usize, subject: &Subject) -> Result<(), CheckError> {
        let plan = self.plan;
        let Body::Relation(relation) = &plan.member(member).body else { return Ok(()) };
        let Some(most) = self.held.await_more(member, more) else { return Ok(()) };
        let mut named = Named::default();
        for (side, reference) in named.iter_mut().zip(self.own_subjects(relation, subject)) {
            if let Some(reference) = reference
                && !self.objects_of(member, reference, most, side)?
            {
                return Ok(());
            }
        }
        self.held.keep(member, named);
        Ok(())
    }

    /// Reads all objects on which the relation `member` names `subject`; whether these are no more than `most`.
    fn objects_of(
        &mut self,
        member: MemberId,
        subject: &SubjectRef,
        most: usize,
        into: &mut HashMap<ObjectIx, Qualifiers>,
    ) -> Result<bool, CheckError> {
        let member = self.plan.member(member);
        let filter = TupleFilter {
            resource_type: Some(member.object_type.clone()),
            resource_id: None,
            resource_id_prefix: None,
            relation: Some(member.name.clone()),
            subject: Some(SubjectFilter::exactly(subject)),
            traits: None,
        };
        let (view, objects, meter) = (self.view, &mut self.objects, &mut self.meter);
        let mut end = Ok(());
        let mut bytes = 0;
        let all = view.scan_if_few(&filter, most, &mut |row| {
            end = meter.read();
            let TupleKey { resource, .. } = row.tuple.key;
            bytes += row.tuple.qualifiers.caveat.as_ref().map_or(0, |caveat| caveat.context_json.len());
            if end.is_err() || bytes > MOST_CONTEXT_BYTES {
                return ControlFlow::Break(());
            }
            into.insert(objects.intern(&resource.object_id), row.tuple.qualifiers);
            ControlFlow::Continue(())
        })?;
        end.map(|()| all)
    }

    /// The subjects that a tuple of the relation can name for this one: itself, and everyone of its type.
    fn own_subjects<'s>(&self, relation: &RelationPlan, subject: &'s Subject) -> [Option<&'s SubjectRef>; 2] {
        let names_it = relation.admits(subject.kind) && !subject.reference.is_wildcard();
        let names_all = relation.admits_wildcard_of(self.plan.subject_type(subject.kind));
        [names_it.then_some(&subject.reference), names_all.then_some(&subject.wildcard)]
    }

    /// The tuples of the relation that would name the subject itself, or everyone of its type.
    pub(super) fn own_keys(&self, node: Node, relation: &RelationPlan, subject: &Subject) -> [Option<TupleKey>; 2] {
        self.own_subjects(relation, subject).map(|subject| {
            subject.map(|subject| TupleKey {
                resource: self.resource(node),
                relation: self.plan.member(node.member).name.clone(),
                subject: subject.clone(),
            })
        })
    }

    /// The verdict on a tuple and what qualifies it; `None` where it is not there.
    pub(super) fn look_up(&mut self, key: &TupleKey) -> Result<Option<(Verdict, Qualifiers)>, CheckError> {
        self.meter.read()?;
        let Some(qualifiers) = self.view.lookup(key)? else { return Ok(None) };
        let verdict = self.conditions.judge(&qualifiers, &mut self.meter)?;
        Ok(verdict.map(|verdict| (verdict, qualifiers)))
    }

    /// What keeps the verdict on a tuple open.
    pub(super) fn missing(&mut self, qualifiers: &Qualifiers) -> Result<BTreeSet<String>, CheckError> {
        self.conditions.missing(qualifiers, &mut self.meter)
    }

    /// A tuple as an explanation shows it.
    pub(super) fn explain(&mut self, row: TupleRow) -> Result<TupleProof, CheckError> {
        self.conditions.explain(row, &mut self.meter)
    }

    /// Visits the usersets of a relation that lie within `reach`.
    pub(super) fn usersets(
        &mut self,
        node: Node,
        relation: &'a RelationPlan,
        reach: &ReachSet,
        visit: VisitWay<'_>,
    ) -> Result<(), CheckError> {
        let within = relation.usersets.iter().filter(|userset| reach.contains(userset.member));
        let types: BTreeSet<TypeId> = within.map(|userset| userset.object_type).collect();
        if types.is_empty() {
            return Ok(());
        }
        let plan = self.plan;
        let read_row: &mut ReadRow<'_> = &mut |objects, conditions, meter, row| {
            let Some(member) =
                plan.userset(relation, row.subject_type, row.subject_relation).filter(|member| reach.contains(*member))
            else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some(verdict) = conditions.judge(row.qualifiers, meter)? else { return Ok(ControlFlow::Continue(())) };
            let to = Node { member, object: intern(objects, row.subject_id)?, mode: node.mode };
            Ok(visit(Way { to: Some(to), verdict, qualifiers: row.qualifiers }))
        };
        // Where the relation also holds subjects of other types, there may be a million of them beside a few usersets.
        if types.len() == relation.subject_types {
            return self.rows(node, read_row).map(drop);
        }
        for subject_type in types {
            if self.rows_of_type(node, subject_type, read_row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits the objects that `arrow` leads to from the object of `node`.
    pub(super) fn hops(&mut self, arrow: &Arrow, node: Node, visit: VisitWay<'_>) -> Result<(), CheckError> {
        let read_row: &mut ReadRow<'_> = &mut |objects, conditions, meter, row| {
            let Some(hop) = arrow.hop(row.subject_type, row.subject_relation).filter(|_| row.subject_id != "*") else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some(verdict) = conditions.judge(row.qualifiers, meter)? else { return Ok(ControlFlow::Continue(())) };
            let to = match hop.target {
                None => None,
                Some(member) => Some(Node { member, object: intern(objects, row.subject_id)?, mode: node.mode }),
            };
            Ok(visit(Way { to, verdict, qualifiers: row.qualifiers }))
        };
        self.rows(node.beside(arrow.tupleset), read_row).map(drop)
    }

    /// Visits all subjects of a node.
    fn rows(&mut self, node: Node, read_row: &mut ReadRow<'_>) -> Result<ControlFlow<()>, CheckError> {
        let resource = self.resource(node);
        let relation = &self.plan.member(node.member).name;
        let (view, objects, conditions, meter) = (self.view, &mut self.objects, &mut self.conditions, &mut self.meter);
        let mut end = Ok(ControlFlow::Continue(()));
        view.subjects(&resource, relation, &mut |row| {
            end = meter.read().and_then(|()| read_row(objects, conditions, meter, row));
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
        read_row: &mut ReadRow<'_>,
    ) -> Result<ControlFlow<()>, CheckError> {
        let resource = self.resource(node);
        let relation = &self.plan.member(node.member).name;
        let subject_type = self.plan.type_name(subject_type);
        let (view, objects, conditions, meter) = (self.view, &mut self.objects, &mut self.conditions, &mut self.meter);
        let mut end = Ok(ControlFlow::Continue(()));
        view.subjects_of_type(&resource, relation, subject_type, &mut |row| {
            end = meter.read().and_then(|()| read_row(objects, conditions, meter, row));
            if matches!(end, Ok(ControlFlow::Continue(()))) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        end
    }
}

type Reading = Result<ControlFlow<()>, CheckError>;
type ReadRow<'v> = dyn FnMut(&mut Objects, &mut Conditions<'_>, &mut Meter, SubjectRow<'_>) -> Reading + 'v;

fn intern(objects: &mut Objects, id: &str) -> Result<ObjectIx, CheckError> {
    objects
        .intern_text(id)
        .map_err(|error| CheckError::Store(StoreError::Corrupt { place: "tuples", what: error.to_string() }))
}
