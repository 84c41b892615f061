//! The walk over members that need nesting: a node at a time, depth first, with the bookkeeping of [`Memo`] around each.
//!
//! Invariant: an error ends the whole check, half way; the evaluation is dropped and what it found out with it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use foldhash::{HashSet, HashSetExt};

use crate::engine::CheckError;
use crate::engine::budget::{Budget, Meter};
use crate::engine::explanation::Standing;
use crate::engine::plan::{Arrow, Body, Edge, Expr, MemberId, Plan, RelationPlan, SubjectKind};
use crate::model::{Decision, ObjectId, SubjectRef};
use crate::store::ReadView;

use super::closure::Step;
use super::conditions::Conditions;
use super::held::{Held, WIDE};
use super::knowledge::{Knowledge, Subject};
use super::memo::Memo;
use super::objects::{Mode, Node, Objects};
use super::reader::Reader;
use super::request::CheckOutcome;

/// All checks of one subject over one view.
pub(super) struct Evaluation<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) knowledge: Knowledge<'a>,
    /// Nodes that a step led to and that wait for their turn; each frame owns what it pushed.
    pending: Vec<Node>,
    /// The walk of [`Evaluation::closure`], kept for its memory.
    pub(super) steps: Vec<Step>,
    /// Whether it is found out of each allowed node by itself that it is, so that its rank says what it rests on.
    pub(super) ranked: bool,
}

impl<'a> Evaluation<'a> {
    /// Nothing is known yet.
    pub(super) fn new(
        plan: &'a Plan,
        view: &'a dyn ReadView,
        subject: &SubjectRef,
        kind: SubjectKind,
        conditions: Conditions<'a>,
    ) -> Self {
        let mut objects = Objects::default();
        let object = objects.intern(&subject.object.object_id);
        let meter = Meter::new(Budget::default());
        Self {
            reader: Reader { plan, view, objects, conditions, meter, held: Held::default() },
            knowledge: Knowledge {
                subject: Subject::new(subject, kind, object),
                reach: plan.reach(kind),
                memo: Memo::new(),
            },
            pending: Vec::new(),
            steps: Vec::new(),
            ranked: false,
        }
    }

    /// The same for an explanation.
    pub(super) fn ranked(self) -> Self {
        Self { ranked: true, ..self }
    }

    /// Whether the subject has `member` of `object`. An error takes the evaluation down with it: it is not to be asked again.
    pub(super) fn decide(
        &mut self,
        member: MemberId,
        object: &ObjectId,
        budget: &Budget,
    ) -> Result<Decision, CheckError> {
        self.reader.meter = Meter::new(budget.clone());
        let root = Node { member, object: self.reader.objects.intern(object), mode: Mode::Certain };
        let decision = match self.value(root)? {
            Standing::True => Decision::Allowed,
            Standing::False => Decision::Denied,
            Standing::Open => Decision::Conditional { missing: self.missing(root)? },
        };
        assert!(self.knowledge.memo.is_at_rest() && self.pending.is_empty(), "a finished check leaves nothing open");
        Ok(decision)
    }

    /// A decision with what it cost.
    pub(super) fn outcome(&self, decision: Decision) -> CheckOutcome {
        let meter = &self.reader.meter;
        let (reads, caveat_steps, evaluated) = (meter.reads, meter.caveat_steps(), meter.evaluated);
        CheckOutcome { decision, reads, caveat_steps, evaluated }
    }

    /// Whether the subject has `node`.
    pub(super) fn node(&mut self, node: Node) -> Result<bool, CheckError> {
        if let Some(allowed) = self.knowledge.settled(node) {
            return Ok(allowed);
        }
        if let Some(allowed) = self.settled_by_turned(node) {
            return Ok(allowed);
        }
        let plan = self.reader.plan;
        let member = plan.member(node.member);
        if member.pure {
            return self.closure(node);
        }
        self.reader.meter.descend()?;
        self.reader.meter.evaluated += 1;
        let frame = self.knowledge.memo.enter(node);
        let allowed = match &member.body {
            Body::Relation(relation) => self.relation(relation, node)?,
            Body::Union(edges) => self.any_edge(edges, node)?,
            Body::Rewrite(expr) => self.expr(expr, node)?,
        };
        self.knowledge.memo.leave(frame, allowed);
        self.reader.meter.ascend();
        Ok(allowed)
    }

    /// What the answer to the other question says about this one. What is certain is possible, and what is not possible is not
    /// certain. As long as no open condition was met, both questions have one answer.
    fn settled_by_turned(&self, node: Node) -> Option<bool> {
        let allowed = self.knowledge.memo.final_answer(node.turned())?;
        if self.ranked && allowed && node.mode == Mode::Certain {
            return None;
        }
        let follows = allowed == (node.mode == Mode::Possible);
        (follows || !self.reader.conditions.met_open()).then_some(allowed)
    }

    /// The value of a node, asked while nothing is under way.
    pub(super) fn value(&mut self, node: Node) -> Result<Standing, CheckError> {
        self.both_ways(|this, mode| this.node(node.in_mode(mode)))
    }

    /// The value of a part of the rewrite of the member of `at`, asked while nothing is under way.
    pub(super) fn value_of_expr(&mut self, expr: &'a Expr, at: Node) -> Result<Standing, CheckError> {
        self.both_ways(|this, mode| this.expr(expr, at.in_mode(mode)))
    }

    /// The same for an edge.
    pub(super) fn value_of_edge(&mut self, edge: &'a Edge, at: Node) -> Result<Standing, CheckError> {
        self.both_ways(|this, mode| this.edge(edge, at.in_mode(mode)))
    }

    /// Where no open condition was met, not even by earlier questions whose results are remembered, there is no difference
    /// between what is certain and what is possible.
    fn both_ways(
        &mut self,
        mut ask: impl FnMut(&mut Self, Mode) -> Result<bool, CheckError>,
    ) -> Result<Standing, CheckError> {
        if ask(self, Mode::Certain)? {
            Ok(Standing::True)
        } else if self.reader.conditions.met_open() && ask(self, Mode::Possible)? {
            Ok(Standing::Open)
        } else {
            Ok(Standing::False)
        }
    }

    fn relation(&mut self, relation: &'a RelationPlan, node: Node) -> Result<bool, CheckError> {
        if self.reader.holds(node, relation, &self.knowledge.subject)? {
            return Ok(true);
        }
        let begin = self.pending.len();
        let (knowledge, pending) = (&mut self.knowledge, &mut self.pending);
        let mut found = false;
        let reach = knowledge.reach;
        self.reader.usersets(node, relation, reach, &mut |way| {
            match way.open().map(|next| (next, knowledge.settled(next))) {
                Some((_, Some(true))) => found = true,
                Some((_, Some(false))) | None => {}
                Some((next, None)) => pending.push(next),
            }
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let allowed = found || self.any_pending(begin)?;
        self.pending.truncate(begin);
        Ok(allowed)
    }

    fn any_edge(&mut self, edges: &'a [Edge], node: Node) -> Result<bool, CheckError> {
        for edge in edges {
            if self.edge(edge, node)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An operand of a rewrite of the member of `at`.
    pub(super) fn expr(&mut self, expr: &'a Expr, at: Node) -> Result<bool, CheckError> {
        match expr {
            Expr::Nil => Ok(false),
            Expr::Itself => Ok(self.knowledge.subject.is_object(self.reader.plan, at)),
            Expr::Edge(edge) => self.edge(edge, at),
            Expr::All(arrow) => self.all_hops(arrow, at),
            Expr::Union(operands) => self.operands(operands, at, true),
            Expr::Intersection(operands) => self.operands(operands, at, false),
            Expr::Exclusion(sides) => self.exclusion(&sides.0, &sides.1, at),
        }
    }

    /// Evaluates operands until one comes out as `decisive`.
    fn operands(&mut self, operands: &'a [Expr], at: Node, decisive: bool) -> Result<bool, CheckError> {
        self.reader.meter.descend()?;
        let mut result = !decisive;
        for operand in operands {
            if self.expr(operand, at)? == decisive {
                result = decisive;
                break;
            }
        }
        self.reader.meter.ascend();
        Ok(result)
    }

    fn exclusion(&mut self, left: &'a Expr, right: &'a Expr, at: Node) -> Result<bool, CheckError> {
        self.reader.meter.descend()?;
        let allowed = self.expr(left, at)? && !self.excluded(right, at)?;
        self.reader.meter.ascend();
        Ok(allowed)
    }

    /// The right side of an exclusion, asked the other way round, whose denial must be final to count.
    pub(super) fn excluded(&mut self, right: &'a Expr, at: Node) -> Result<bool, CheckError> {
        let side = self.knowledge.memo.enter_right_side();
        let excluded = self.expr(right, at.turned())?;
        let is_final = self.knowledge.memo.leave_right_side(side);
        if !excluded && !is_final {
            let permission = self.reader.plan.member(at.member).name.clone();
            return Err(CheckError::CycleThroughExclusion { resource: self.reader.resource(at), permission });
        }
        Ok(excluded)
    }

    fn edge(&mut self, edge: &'a Edge, at: Node) -> Result<bool, CheckError> {
        match edge {
            Edge::Member(member) => self.node(at.beside(*member)),
            Edge::Arrow(arrow) => self.any_hop(arrow, at),
        }
    }

    fn any_hop(&mut self, arrow: &'a Arrow, at: Node) -> Result<bool, CheckError> {
        let begin = self.pending.len();
        let (knowledge, pending) = (&mut self.knowledge, &mut self.pending);
        let mut found = false;
        self.reader.hops(arrow, at, &mut |way| {
            match way.open().map(|next| (next, knowledge.settled(next))) {
                Some((_, Some(true))) => found = true,
                Some((_, Some(false))) | None => {}
                Some((next, None)) => pending.push(next),
            }
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let allowed = found || self.any_pending(begin)?;
        self.pending.truncate(begin);
        Ok(allowed)
    }

    /// A tuple that does not count is one that does not lead to the target, as in SpiceDB; one that has expired is not there.
    fn all_hops(&mut self, arrow: &'a Arrow, at: Node) -> Result<bool, CheckError> {
        let begin = self.pending.len();
        let (knowledge, pending) = (&mut self.knowledge, &mut self.pending);
        let (mut some, mut missing) = (false, false);
        self.reader.hops(arrow, at, &mut |way| {
            some = true;
            match way.open().map(|next| (next, knowledge.settled(next))) {
                Some((_, Some(true))) => {}
                Some((_, Some(false))) | None => missing = true,
                Some((next, None)) => pending.push(next),
            }
            if missing { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let mut allowed = some && !missing;
        for index in begin..self.pending.len() {
            allowed = allowed && self.node(self.pending[index])?;
        }
        self.pending.truncate(begin);
        Ok(allowed)
    }

    /// Whether one of the nodes that wait since `begin` is allowed.
    fn any_pending(&mut self, begin: usize) -> Result<bool, CheckError> {
        let waiting = self.pending[begin..].iter().copied();
        if !self.ranked && first_held(&mut self.reader, &self.knowledge, waiting)?.is_some() {
            return Ok(true);
        }
        for index in begin..self.pending.len() {
            if self.node(self.pending[index])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first of these nodes that the subject has because a tuple without a caveat names it there, as far as that shows on the
/// subject's side; by its place among them. Where only a few wait, that side is not looked at.
pub(super) fn first_held(
    reader: &mut Reader<'_>,
    knowledge: &Knowledge<'_>,
    waiting: impl ExactSizeIterator<Item = Node> + Clone,
) -> Result<Option<usize>, CheckError> {
    if waiting.len() < WIDE {
        return Ok(None);
    }
    let plan = reader.plan;
    let suffices = |node: Node| {
        let relations = plan.member(node.member).relations.iter();
        relations.filter(|relation| knowledge.reach.contains(**relation)).map(move |relation| node.beside(*relation))
    };
    // Several members of one object may hang on the same relation.
    let (mut counted, mut wanted) = (HashSet::new(), BTreeMap::<MemberId, usize>::new());
    for node in waiting.clone().flat_map(suffices) {
        if counted.insert((node.member, node.object)) {
            *wanted.entry(node.member).or_default() += 1;
        }
    }
    for (member, objects) in wanted {
        reader.read_held(member, objects, &knowledge.subject)?;
    }
    for (place, node) in waiting.enumerate() {
        for own in suffices(node) {
            if reader.is_named(own)? {
                return Ok(Some(place));
            }
        }
    }
    Ok(None)
}
