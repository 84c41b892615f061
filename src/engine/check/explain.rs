//! The search for an explanation, after the decision: the same equations again, of whose parts the values are known or
//! quickly found, and of each equation only what matters for its value.
//!
//! Where one part suffices and there is one, it is shown alone; where all are needed or none sufficed, all are. Bounded in
//! nodes and depth; what was shown once is not shown again, which cuts cycles.
//!
//! Invariant: what is allowed is never shown to rest on itself. A node that was found to be allowed rests on some that were
//! found before it ([`Memo::rank`]), so only those are followed, and every path ends at a relationship that names the subject.
//!
//! An explanation is an extra: where its search fails or runs out of budget, it is cut, and the decision stands.
//!
//! [`Memo::rank`]: super::memo::Memo::rank

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::engine::CheckError;
use crate::engine::budget::Budget;
use crate::engine::explanation::{Condition, Explanation, ExplanationRoom, Proof, Standing, Step};
use crate::engine::plan::{Arrow, Body, Edge, Expr, MemberId, RelationPlan};
use crate::model::limits::EXPLAIN_LEVELS;
use crate::model::{ObjectId, RelationName, SubjectFilter, SubjectRef, SubjectRelationFilter, TupleFilter, TupleKey};
use crate::store::TupleRow;

use super::evaluation::Evaluation;
use super::objects::{Mode, Node};

/// Tuples that are read at a time.
const PAGE: usize = 128;

/// What is still to be drawn, and what was.
struct Drawing {
    seen: HashSet<Node>,
    nodes_left: usize,
    bytes_left: usize,
    depth: usize,
    truncated: bool,
}

/// Which parts of an equation matter for its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    /// The first one, alone, that is true by what was found out before this rank.
    Support(u64),
    /// The first one that is false, alone.
    FirstFalse,
    /// Each one of this value.
    Each(Standing),
    All,
    /// All, each of which is known to be true.
    AllTrue,
}

impl Show {
    /// Where one part that is true suffices.
    fn of_any(whole: Standing, rank: u64) -> Self {
        match whole {
            Standing::True => Self::Support(rank),
            Standing::Open => Self::Each(Standing::Open),
            Standing::False => Self::All,
        }
    }

    /// Where all parts must be true.
    fn of_all(whole: Standing) -> Self {
        match whole {
            Standing::True => Self::AllTrue,
            Standing::Open => Self::Each(Standing::Open),
            Standing::False => Self::FirstFalse,
        }
    }

    fn shows(self, part: Standing) -> bool {
        match self {
            Self::Support(_) => part == Standing::True,
            Self::FirstFalse => part == Standing::False,
            Self::Each(value) => part == value,
            Self::All | Self::AllTrue => true,
        }
    }

    fn is_alone(self) -> bool {
        matches!(self, Self::Support(_) | Self::FirstFalse)
    }
}

/// Steps, and the conditions that they rest on.
#[derive(Default)]
struct Shown {
    steps: Vec<Step>,
    conditions: Vec<Condition>,
}

impl Shown {
    fn condition(self, operator: &str) -> (Vec<Step>, Option<Condition>) {
        (self.steps, Condition::join(self.conditions, operator))
    }
}

/// An operand.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Expr(&'a Expr),
    Edge(&'a Edge),
}

/// Where the subject of a tuple leads.
#[derive(Clone, Copy)]
enum To {
    /// It is the one asked for.
    End,
    /// To an object that lacks what the arrow asks for.
    Nowhere,
    /// To a member of its object.
    Member(MemberId),
}

/// Says where a tuple's subject leads; `None` where its relation does not admit it.
type Lead<'l> = &'l dyn Fn(&SubjectRef) -> Option<To>;

impl<'a> Evaluation<'a> {
    /// Why `member` of `object` has the value that it was found to have, as far as there is room. The evaluation is not to be
    /// asked again.
    pub(super) fn explain(
        mut self,
        member: MemberId,
        object: &ObjectId,
        standing: Standing,
        budget: &Budget,
        room: ExplanationRoom,
    ) -> Explanation {
        let root = Node { member, object: self.reader.objects.intern(object), mode: Mode::Certain };
        let ExplanationRoom { nodes, bytes } = room;
        let mut drawing =
            Drawing { seen: HashSet::new(), nodes_left: nodes.max(1), bytes_left: bytes, depth: 0, truncated: false };
        let root = match self.decide(member, object, budget) {
            Ok(_) => self.proof(root, standing, &mut drawing),
            Err(_) => {
                drawing.truncated = true;
                self.bare_proof(root, standing)
            }
        };
        Explanation { root, truncated: drawing.truncated }
    }

    fn bare_proof(&self, node: Node, standing: Standing) -> Proof {
        let member = self.reader.plan.member(node.member);
        Proof {
            resource: self.reader.resource(node),
            permission: member.name.clone(),
            is_relation: matches!(member.body, Body::Relation(_)),
            standing,
            condition: None,
            shown_before: false,
            steps: Vec::new(),
        }
    }

    /// The proof of a node, if there is room for it.
    fn proof_within(&mut self, node: Node, drawing: &mut Drawing) -> Result<Option<Proof>, CheckError> {
        if drawing.nodes_left == 0 || drawing.depth == EXPLAIN_LEVELS {
            drawing.truncated = true;
            return Ok(None);
        }
        let standing = self.value(node)?;
        Ok(Some(self.proof(node, standing, drawing)))
    }

    fn proof(&mut self, node: Node, standing: Standing, drawing: &mut Drawing) -> Proof {
        drawing.nodes_left = drawing.nodes_left.saturating_sub(1);
        let mut proof = self.bare_proof(node, standing);
        proof.shown_before = !drawing.seen.insert(node);
        if proof.shown_before || self.knowledge.subject.is(node) {
            return proof;
        }
        drawing.depth += 1;
        match self.steps(node, standing, drawing) {
            Ok((steps, condition)) => (proof.steps, proof.condition) = (steps, condition),
            // What has failed half way is not to be asked again, so this is the end.
            Err(_) => (drawing.nodes_left, drawing.truncated) = (0, true),
        }
        drawing.depth -= 1;
        proof
    }

    fn steps(
        &mut self,
        node: Node,
        standing: Standing,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        match &self.reader.plan.member(node.member).body {
            Body::Relation(relation) => self.steps_of_relation(relation, node, standing, drawing),
            Body::Union(edges) => {
                let parts: Vec<Part<'a>> = edges.iter().map(Part::Edge).collect();
                self.steps_of_parts(&parts, node, Show::of_any(standing, self.rank(node)), " || ", drawing)
            }
            Body::Rewrite(expr) => self.steps_of_expr(expr, node, standing, drawing),
        }
    }

    fn steps_of_expr(
        &mut self,
        expr: &'a Expr,
        at: Node,
        whole: Standing,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        match expr {
            Expr::Nil | Expr::Itself => Ok((Vec::new(), None)),
            Expr::Edge(edge) => self.steps_of_edge(edge, at, whole, drawing),
            Expr::All(arrow) => self.steps_of_arrow(arrow, at, Show::of_all(whole), " && ", drawing),
            Expr::Union(operands) => {
                let parts: Vec<Part<'a>> = operands.iter().map(Part::Expr).collect();
                self.steps_of_parts(&parts, at, Show::of_any(whole, self.rank(at)), " || ", drawing)
            }
            Expr::Intersection(operands) => {
                let parts: Vec<Part<'a>> = operands.iter().map(Part::Expr).collect();
                self.steps_of_parts(&parts, at, Show::of_all(whole), " && ", drawing)
            }
            Expr::Exclusion(sides) => self.steps_of_exclusion((&sides.0, &sides.1), at, whole, drawing),
        }
    }

    fn steps_of_edge(
        &mut self,
        edge: &'a Edge,
        at: Node,
        whole: Standing,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        match edge {
            Edge::Arrow(arrow) => self.steps_of_arrow(arrow, at, Show::of_any(whole, self.rank(at)), " || ", drawing),
            Edge::Member(member) => {
                let Some(proof) = self.proof_within(at.beside(*member), drawing)? else {
                    return Ok((Vec::new(), None));
                };
                let condition = proof.condition.clone();
                Ok((vec![Step { excluded: false, tuple: None, proof: Some(proof) }], condition))
            }
        }
    }

    fn steps_of_parts(
        &mut self,
        parts: &[Part<'a>],
        at: Node,
        show: Show,
        operator: &str,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        let mut shown = Shown::default();
        for part in parts {
            if drawing.nodes_left == 0 {
                drawing.truncated = true;
                break;
            }
            let standing = match (show, part) {
                (Show::Support(rank), part) => {
                    if self.supports(*part, at, rank)? {
                        Standing::True
                    } else {
                        Standing::False
                    }
                }
                // Of what is true, all is true.
                (Show::AllTrue, _) => Standing::True,
                (Show::FirstFalse | Show::Each(_) | Show::All, Part::Expr(expr)) => self.value_of_expr(expr, at)?,
                (Show::FirstFalse | Show::Each(_) | Show::All, Part::Edge(edge)) => self.value_of_edge(edge, at)?,
            };
            if !show.shows(standing) {
                continue;
            }
            let (steps, condition) = match part {
                Part::Expr(expr) => self.steps_of_expr(expr, at, standing, drawing)?,
                Part::Edge(edge) => self.steps_of_edge(edge, at, standing, drawing)?,
            };
            shown.steps.extend(steps);
            shown.conditions.extend(condition);
            if show.is_alone() {
                break;
            }
        }
        Ok(shown.condition(operator))
    }

    fn steps_of_exclusion(
        &mut self,
        (left, right): (&'a Expr, &'a Expr),
        at: Node,
        whole: Standing,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        let is_true = whole == Standing::True;
        let base = if is_true { Standing::True } else { self.value_of_expr(left, at)? };
        let (mut steps, condition) = self.steps_of_expr(left, at, base, drawing)?;
        if base == Standing::False {
            return Ok((steps, condition));
        }
        let removed = if is_true { Standing::False } else { self.value_of_expr(right, at)? };
        let (of_right, without) = self.steps_of_expr(right, at, removed, drawing)?;
        steps.extend(of_right.into_iter().map(|step| Step { excluded: !step.excluded, ..step }));
        let conditions = condition.into_iter().chain(without.map(Condition::negated));
        Ok((steps, Condition::join(conditions, " && ")))
    }

    fn steps_of_relation(
        &mut self,
        relation: &'a RelationPlan,
        node: Node,
        whole: Standing,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        let show = Show::of_any(whole, self.rank(node));
        let mut shown = Shown::default();
        for key in self.reader.own_keys(node, relation, &self.knowledge.subject).into_iter().flatten() {
            if self.add_tuples(&exactly(&key), node, &|_| Some(To::End), show, &mut shown, drawing)?.is_break() {
                return Ok(shown.condition(" || "));
            }
        }
        let (plan, reach) = (self.reader.plan, self.knowledge.reach);
        for userset in relation.usersets.iter().filter(|userset| reach.contains(userset.member)) {
            let subjects = SubjectFilter {
                subject_type: plan.type_name(userset.object_type).clone(),
                subject_id: None,
                relation: SubjectRelationFilter::Relation(plan.member(userset.member).name.clone()),
            };
            let filter = self.tuples_of(node, Some(subjects));
            let lead = |_: &SubjectRef| Some(To::Member(userset.member));
            if self.add_tuples(&filter, node, &lead, show, &mut shown, drawing)?.is_break() {
                break;
            }
        }
        Ok(shown.condition(" || "))
    }

    fn steps_of_arrow(
        &mut self,
        arrow: &'a Arrow,
        at: Node,
        show: Show,
        operator: &str,
        drawing: &mut Drawing,
    ) -> Result<(Vec<Step>, Option<Condition>), CheckError> {
        let from = at.beside(arrow.tupleset);
        let lead = |subject: &SubjectRef| {
            let relation = subject.relation.as_ref().map(RelationName::as_str);
            let hop = arrow.hop(subject.object.object_type.as_str(), relation).filter(|_| !subject.is_wildcard())?;
            Some(hop.target.map_or(To::Nowhere, To::Member))
        };
        let mut shown = Shown::default();
        let filter = self.tuples_of(from, None);
        // There is nothing after it that an early end would spare.
        let _ = self.add_tuples(&filter, from, &lead, show, &mut shown, drawing)?;
        Ok(shown.condition(operator))
    }

    fn tuples_of(&self, node: Node, subject: Option<SubjectFilter>) -> TupleFilter {
        let resource = self.reader.resource(node);
        TupleFilter {
            resource_type: Some(resource.object_type),
            resource_id: Some(resource.object_id),
            resource_id_prefix: None,
            relation: Some(self.reader.plan.member(node.member).name.clone()),
            subject,
            traits: None,
        }
    }

    /// Adds the tuples of `filter`, which are tuples of `node`, page by page. Breaks when there is enough.
    fn add_tuples(
        &mut self,
        filter: &TupleFilter,
        node: Node,
        lead: Lead<'_>,
        show: Show,
        shown: &mut Shown,
        drawing: &mut Drawing,
    ) -> Result<ControlFlow<()>, CheckError> {
        let mut after: Option<TupleKey> = None;
        loop {
            let page = self.page(filter, after.as_ref())?;
            let full = page.len() == PAGE;
            after = page.last().map(|row| row.tuple.key.clone());
            for row in page {
                if drawing.nodes_left == 0 || drawing.bytes_left < row.tuple.text_bytes() {
                    drawing.truncated = true;
                    return Ok(ControlFlow::Break(()));
                }
                if let Some(to) = lead(&row.tuple.key.subject)
                    && self.add_tuple(row, to, node, show, shown, drawing)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if !full {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn add_tuple(
        &mut self,
        row: TupleRow,
        to: To,
        node: Node,
        show: Show,
        shown: &mut Shown,
        drawing: &mut Drawing,
    ) -> Result<ControlFlow<()>, CheckError> {
        let bytes = row.tuple.text_bytes();
        let object = self.reader.objects.intern(&row.tuple.key.subject.object.object_id);
        let next = match to {
            To::End | To::Nowhere => None,
            To::Member(member) => Some(Node { member, object, mode: node.mode }),
        };
        let tuple = self.reader.explain(row)?;
        let led = match (to, next) {
            (To::End, _) => Standing::True,
            (To::Nowhere | To::Member(_), None) => Standing::False,
            // What does not count leads nowhere; it is not followed.
            (_, Some(_)) if tuple.standing == Standing::False => Standing::True,
            (_, Some(next)) => match show {
                Show::Support(rank) if self.is_known(next, rank) => Standing::True,
                Show::Support(_) => Standing::False,
                Show::AllTrue => Standing::True,
                Show::FirstFalse | Show::Each(_) | Show::All => self.value(next)?,
            },
        };
        let standing = tuple.standing.and(led);
        // To all that an arrow leads to, what has expired does not belong.
        if !show.shows(standing) || (tuple.expired && show != Show::All) {
            return Ok(ControlFlow::Continue(()));
        }
        drawing.nodes_left = drawing.nodes_left.saturating_sub(1);
        drawing.bytes_left = drawing.bytes_left.saturating_sub(bytes);
        let proof = match next {
            Some(next) if tuple.standing != Standing::False => self.proof_within(next, drawing)?,
            Some(_) | None => None,
        };
        let below = proof.as_ref().and_then(|proof| proof.condition.clone());
        // Where nothing is behind it whatever the caveats say, its own caveat had no say.
        if led != Standing::False || below.is_some() {
            let own = tuple.caveat.as_ref().filter(|_| !tuple.expired).map(Condition::of);
            shown.conditions.extend(Condition::join(own.into_iter().chain(below), " && "));
        }
        shown.steps.push(Step { excluded: false, tuple: Some(tuple), proof });
        Ok(if show.is_alone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Tuples after `after`, a page at the most.
    fn page(&mut self, filter: &TupleFilter, after: Option<&TupleKey>) -> Result<Vec<TupleRow>, CheckError> {
        let mut page = Vec::new();
        let mut end = Ok(());
        let meter = &mut self.reader.meter;
        self.reader.view.scan(filter, after, &mut |row| {
            end = meter.read();
            page.push(row);
            if end.is_ok() && page.len() < PAGE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        end.map(|()| page)
    }
}

fn exactly(key: &TupleKey) -> TupleFilter {
    TupleFilter {
        resource_type: Some(key.resource.object_type.clone()),
        resource_id: Some(key.resource.object_id.clone()),
        resource_id_prefix: None,
        relation: Some(key.relation.clone()),
        subject: Some(SubjectFilter::exactly(&key.subject)),
        traits: None,
    }
}
