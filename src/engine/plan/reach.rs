//! Which members a kind of subject can have at all, from the schema alone. What is out of reach is denied without a read.
//!
//! The reach of a kind is the least set that holds every relation whose tuples can name the kind, and every member whose
//! rewrite can be satisfied from members of the set: any operand of a union, all operands of an intersection, the left side
//! of an exclusion. So a member outside it is false in every state of the tuples, on either side of an exclusion.

use std::sync::OnceLock;

use super::compiled::{Arrow, Body, Edge, Expr, Member, MemberId, Plan, TypeId};

/// What sort of subject a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::engine) enum SubjectKind {
    /// An object of a type.
    Object(TypeId),
    /// The members of a relation or permission.
    Userset(MemberId),
}

/// A set of members.
#[derive(Debug)]
pub(in crate::engine) struct ReachSet {
    words: Box<[u64]>,
}

impl ReachSet {
    fn empty(members: usize) -> Self {
        Self { words: vec![0; members.div_ceil(64)].into() }
    }

    pub(in crate::engine) fn contains(&self, member: MemberId) -> bool {
        self.words[member.index() / 64] >> (member.index() % 64) & 1 == 1
    }

    /// Whether `member` is new.
    fn insert(&mut self, member: MemberId) -> bool {
        let new = !self.contains(member);
        self.words[member.index() / 64] |= 1 << (member.index() % 64);
        new
    }
}

/// The reach of every kind of subject, each computed when it is first asked for.
#[derive(Debug)]
pub(super) struct Reach {
    /// By member: who refers to it.
    dependents: Vec<Vec<MemberId>>,
    /// By type, then by member.
    sets: Box<[OnceLock<ReachSet>]>,
    types: usize,
}

impl Reach {
    pub(super) fn new(types: usize, dependents: Vec<Vec<MemberId>>) -> Self {
        let sets = (0..types + dependents.len()).map(|_| OnceLock::new()).collect();
        Self { dependents, sets, types }
    }

    pub(super) fn set(&self, plan: &Plan, kind: SubjectKind) -> &ReachSet {
        let slot = match kind {
            SubjectKind::Object(object_type) => object_type.index(),
            SubjectKind::Userset(member) => self.types + member.index(),
        };
        self.sets[slot].get_or_init(|| self.compute(plan, kind))
    }

    fn compute(&self, plan: &Plan, kind: SubjectKind) -> ReachSet {
        let mut set = ReachSet::empty(plan.members.len());
        let mut queue: Vec<MemberId> = member_ids(&plan.members).filter(|id| begins(plan, *id, kind, &set)).collect();
        queue.retain(|id| set.insert(*id));
        while let Some(id) = queue.pop() {
            for dependent in &self.dependents[id.index()] {
                if !set.contains(*dependent) && follows(plan.member(*dependent), &set) {
                    set.insert(*dependent);
                    queue.push(*dependent);
                }
            }
        }
        set
    }
}

fn member_ids(members: &[Member]) -> impl Iterator<Item = MemberId> + use<> {
    (0..members.len() as u32).map(MemberId)
}

/// Whether a subject of `kind` has the member without the help of other members. A userset has itself.
fn begins(plan: &Plan, id: MemberId, kind: SubjectKind, none: &ReachSet) -> bool {
    let itself = kind == SubjectKind::Userset(id);
    match &plan.member(id).body {
        Body::Relation(relation) => {
            itself || relation.admits(kind) || relation.admits_wildcard_of(plan.subject_type(kind))
        }
        Body::Union(_) => itself,
        Body::Rewrite(expr) => itself || expr_follows(expr, none),
    }
}

fn follows(member: &Member, set: &ReachSet) -> bool {
    match &member.body {
        Body::Relation(relation) => relation.usersets.iter().any(|userset| set.contains(userset.member)),
        Body::Union(edges) => edges.iter().any(|edge| edge_follows(edge, set)),
        Body::Rewrite(expr) => expr_follows(expr, set),
    }
}

fn expr_follows(expr: &Expr, set: &ReachSet) -> bool {
    match expr {
        Expr::Nil => false,
        // Which type the object has is not asked here: a set that is too large costs reads, never an answer.
        Expr::Itself => true,
        Expr::Edge(edge) => edge_follows(edge, set),
        Expr::All(arrow) => arrow_follows(arrow, set),
        Expr::Union(operands) => operands.iter().any(|operand| expr_follows(operand, set)),
        Expr::Intersection(operands) => operands.iter().all(|operand| expr_follows(operand, set)),
        Expr::Exclusion(sides) => expr_follows(&sides.0, set),
    }
}

fn edge_follows(edge: &Edge, set: &ReachSet) -> bool {
    match edge {
        Edge::Member(member) => set.contains(*member),
        Edge::Arrow(arrow) => arrow_follows(arrow, set),
    }
}

fn arrow_follows(arrow: &Arrow, set: &ReachSet) -> bool {
    arrow.hops.iter().filter_map(|hop| hop.target).any(|target| set.contains(target))
}

/// Every member that can be met from `from`, itself included, however it is meant there.
pub(super) fn met_from(members: &[Member], from: MemberId) -> Vec<MemberId> {
    let mut set = ReachSet::empty(members.len());
    set.insert(from);
    let mut met = vec![from];
    let mut next = 0;
    while let Some(id) = met.get(next).copied() {
        next += 1;
        each_reference(&members[id.index()], &mut |target| {
            if set.insert(target) {
                met.push(target);
            }
        });
    }
    met
}

/// For each member, those whose body refers to it.
pub(super) fn dependents(members: &[Member]) -> Vec<Vec<MemberId>> {
    let mut dependents = vec![Vec::new(); members.len()];
    for (id, member) in member_ids(members).zip(members) {
        each_reference(member, &mut |target| {
            let list: &mut Vec<MemberId> = &mut dependents[target.index()];
            if list.last() != Some(&id) {
                list.push(id);
            }
        });
    }
    dependents
}

/// The members that an operator other than union can be met from.
pub(super) fn impure(members: &[Member], dependents: &[Vec<MemberId>]) -> ReachSet {
    let begin = member_ids(members).zip(members).filter(|(_, member)| member.rewrite().is_some()).map(|(id, _)| id);
    follow(begin.collect(), dependents)
}

/// `begin`, and all members from which one of them can be met.
pub(super) fn follow(begin: Vec<MemberId>, dependents: &[Vec<MemberId>]) -> ReachSet {
    let mut set = ReachSet::empty(dependents.len());
    let mut queue = begin;
    queue.retain(|id| set.insert(*id));
    while let Some(id) = queue.pop() {
        queue.extend(dependents[id.index()].iter().filter(|dependent| set.insert(**dependent)));
    }
    set
}

pub(super) fn each_reference(member: &Member, visit: &mut impl FnMut(MemberId)) {
    match &member.body {
        Body::Relation(relation) => relation.usersets.iter().for_each(|userset| visit(userset.member)),
        Body::Union(edges) => edges.iter().for_each(|edge| edge_references(edge, visit)),
        Body::Rewrite(expr) => expr_references(expr, visit),
    }
}

pub(super) fn expr_references(expr: &Expr, visit: &mut impl FnMut(MemberId)) {
    match expr {
        Expr::Nil | Expr::Itself => {}
        Expr::Edge(edge) => edge_references(edge, visit),
        Expr::All(arrow) => arrow_references(arrow, visit),
        Expr::Union(operands) | Expr::Intersection(operands) => {
            operands.iter().for_each(|operand| expr_references(operand, visit));
        }
        Expr::Exclusion(sides) => {
            expr_references(&sides.0, visit);
            expr_references(&sides.1, visit);
        }
    }
}

fn edge_references(edge: &Edge, visit: &mut impl FnMut(MemberId)) {
    match edge {
        Edge::Member(member) => visit(*member),
        Edge::Arrow(arrow) => arrow_references(arrow, visit),
    }
}

fn arrow_references(arrow: &Arrow, visit: &mut impl FnMut(MemberId)) {
    arrow.hops.iter().filter_map(|hop| hop.target).for_each(visit);
}
