//! A plan read backwards: from what a subject has to what may follow from it, towards one wanted member.
//!
//! Invariant: whoever has the wanted member on an object can be followed to it along these leads, from a tuple that names the
//! subject, from the subject as a userset, or from the object itself. So one operand of an intersection is enough to follow,
//! and the right side of an exclusion is none: it never gives anything.

use std::collections::{HashMap, HashSet};

use crate::model::RelationName;

use super::compiled::{Arrow, Body, Edge, Expr, MemberId, Plan, RelationPlan, TypeId};
use super::reach::SubjectKind;

/// What leads to one member.
#[derive(Debug)]
pub(in crate::engine) struct Backward {
    leads: HashMap<MemberId, Vec<Lead>>,
    /// The relations that take part, in the order in which they were met.
    relations: Vec<MemberId>,
    /// Members that the object has on itself, and whether that suffices.
    own: Vec<(MemberId, bool)>,
}

/// A step from a member to another that may follow from it.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Lead {
    /// Where it leads.
    pub(in crate::engine) to: MemberId,
    /// How.
    pub(in crate::engine) step: Step,
    /// Whether the one suffices for the other.
    pub(in crate::engine) suffices: bool,
}

/// How a lead gets from an object to another.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Step {
    /// It stays where it is.
    SameObject,
    /// To what names the member of the object as a userset.
    Userset,
    /// To what names the object in this relation, with this relation behind it.
    Arrow {
        /// The relation that the arrow follows.
        tupleset: MemberId,
        /// The relation of the subject there.
        relation: Option<RelationName>,
    },
}

impl Backward {
    /// Everything that leads to `wanted`.
    pub(in crate::engine) fn towards(plan: &Plan, wanted: MemberId) -> Self {
        let mut backward = Self { leads: HashMap::new(), relations: Vec::new(), own: Vec::new() };
        let mut seen = HashSet::from([wanted]);
        let mut open = vec![wanted];
        while let Some(member) = open.pop() {
            backward.member(plan, member, &mut |from| {
                if seen.insert(from) {
                    open.push(from);
                }
            });
        }
        backward
    }

    /// Where `member` leads.
    pub(in crate::engine) fn leads(&self, member: MemberId) -> &[Lead] {
        self.leads.get(&member).map_or(&[], Vec::as_slice)
    }

    /// The relations whose tuples can begin a way for a subject of `kind`, each with whether its tuples name the subject
    /// itself, and whether they name everyone of its type.
    pub(in crate::engine) fn begins(&self, plan: &Plan, kind: SubjectKind) -> Vec<(MemberId, bool, bool)> {
        let object_type = plan.subject_type(kind);
        let sides = |relation: &RelationPlan| (relation.admits(kind), relation.admits_wildcard_of(object_type));
        self.relations
            .iter()
            .filter_map(|member| match &plan.member(*member).body {
                Body::Relation(relation) => Some((*member, sides(relation))),
                Body::Union(_) | Body::Rewrite(_) => None,
            })
            .filter(|(_, (itself, everyone))| *itself || *everyone)
            .map(|(member, (itself, everyone))| (member, itself, everyone))
            .collect()
    }

    /// Members that an object of the type has on itself, and whether being the object suffices.
    pub(in crate::engine) fn own(&self, plan: &Plan, object_type: TypeId) -> Vec<(MemberId, bool)> {
        self.own.iter().copied().filter(|(member, _)| plan.member(*member).type_id == object_type).collect()
    }

    fn member(&mut self, plan: &Plan, to: MemberId, visit: &mut dyn FnMut(MemberId)) {
        match &plan.member(to).body {
            Body::Relation(relation) => {
                self.relations.push(to);
                for userset in &relation.usersets {
                    self.lead(userset.member, Lead { to, step: Step::Userset, suffices: true }, visit);
                }
            }
            Body::Union(edges) => edges.iter().for_each(|edge| self.edge(edge, to, true, visit)),
            Body::Rewrite(expr) => self.expr(expr, to, true, visit),
        }
    }

    fn expr(&mut self, expr: &Expr, to: MemberId, suffices: bool, visit: &mut dyn FnMut(MemberId)) {
        match expr {
            Expr::Nil => {}
            Expr::Itself => self.own.push((to, suffices)),
            Expr::Edge(edge) => self.edge(edge, to, suffices, visit),
            Expr::All(arrow) => self.arrow(arrow, to, false, visit),
            Expr::Union(operands) => operands.iter().for_each(|operand| self.expr(operand, to, suffices, visit)),
            // Whoever has all has the first, and that one is the cheapest.
            Expr::Intersection(operands) => {
                operands.iter().take(1).for_each(|first| self.expr(first, to, false, visit))
            }
            Expr::Exclusion(sides) => self.expr(&sides.0, to, false, visit),
        }
    }

    fn edge(&mut self, edge: &Edge, to: MemberId, suffices: bool, visit: &mut dyn FnMut(MemberId)) {
        match edge {
            Edge::Member(from) => self.lead(*from, Lead { to, step: Step::SameObject, suffices }, visit),
            Edge::Arrow(arrow) => self.arrow(arrow, to, suffices, visit),
        }
    }

    fn arrow(&mut self, arrow: &Arrow, to: MemberId, suffices: bool, visit: &mut dyn FnMut(MemberId)) {
        for hop in &arrow.hops {
            if let Some(from) = hop.target {
                let step = Step::Arrow { tupleset: arrow.tupleset, relation: hop.relation.clone() };
                self.lead(from, Lead { to, step, suffices }, visit);
            }
        }
    }

    fn lead(&mut self, from: MemberId, lead: Lead, visit: &mut dyn FnMut(MemberId)) {
        self.leads.entry(from).or_default().push(lead);
        visit(from);
    }
}
