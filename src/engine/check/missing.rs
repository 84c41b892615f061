//! What a conditional answer hangs on: a walk from the question over everything whose value is open, which collects the
//! parameters that the caveats on the way are missing.
//!
//! What is true or false by itself contributes nothing, as in SpiceDB: of `a + b` with `a` false, only what `b` hangs on. A
//! caveat on the way that failed leaves no answer at all. Cycles are cut by the set of nodes seen.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::ops::ControlFlow;

use crate::engine::CheckError;
use crate::engine::explanation::Standing;
use crate::engine::plan::{Arrow, Body, Edge, Expr, RelationPlan};
use crate::model::{CaveatUse, Qualifiers};

use super::conditions::Verdict;
use super::evaluation::Evaluation;
use super::objects::{Mode, Node};
use super::reader::Way;

/// The tuples of one step whose verdict is not false: where each leads, and which of the caveats it has that keep it open.
/// Contexts can be long and there can be many tuples, so each is kept once; what they hold was paid for when it was judged.
#[derive(Default)]
struct Leads {
    ways: Vec<(Node, Option<usize>)>,
    open: Vec<Qualifiers>,
    places: HashMap<CaveatUse, usize>,
}

impl Leads {
    fn add(&mut self, way: &Way<'_>) {
        let Some(to) = way.to.filter(|_| way.verdict != Verdict::False) else { return };
        let caveat = way.qualifiers.caveat.as_ref().filter(|_| way.verdict == Verdict::Open);
        let place = caveat.map(|caveat| match self.places.get(caveat) {
            Some(place) => *place,
            None => {
                self.places.insert(caveat.clone(), self.open.len());
                self.open.push(way.qualifiers.clone());
                self.open.len() - 1
            }
        });
        self.ways.push((to, place));
    }
}

#[derive(Default)]
struct Walk {
    seen: HashSet<Node>,
    /// Nodes whose value is open.
    queue: Vec<Node>,
    names: BTreeSet<String>,
}

impl Walk {
    fn enqueue(&mut self, node: Node) {
        if self.seen.insert(node) {
            self.queue.push(node);
        }
    }
}

impl<'a> Evaluation<'a> {
    /// The parameters that the value of `root` hangs on, which must be open.
    pub(super) fn missing(&mut self, root: Node) -> Result<Vec<String>, CheckError> {
        let mut walk = Walk::default();
        walk.enqueue(root.in_mode(Mode::Certain));
        while let Some(node) = walk.queue.pop() {
            match &self.reader.plan.member(node.member).body {
                Body::Relation(relation) => self.missing_in_relation(relation, node, &mut walk)?,
                Body::Union(edges) => {
                    for edge in edges {
                        self.missing_in_edge(edge, node, &mut walk)?;
                    }
                }
                Body::Rewrite(expr) => self.missing_in_expr(expr, node, &mut walk)?,
            }
        }
        assert!(!walk.names.is_empty(), "what is open hangs on a caveat that lacks parameters or failed");
        Ok(walk.names.into_iter().collect())
    }

    fn missing_in_relation(
        &mut self,
        relation: &'a RelationPlan,
        node: Node,
        walk: &mut Walk,
    ) -> Result<(), CheckError> {
        for key in self.reader.own_keys(node, relation, &self.knowledge.subject).into_iter().flatten() {
            if let Some((Verdict::Open, qualifiers)) = self.reader.look_up(&key)? {
                walk.names.extend(self.reader.missing(&qualifiers)?);
            }
        }
        let mut leads = Leads::default();
        let reach = self.knowledge.reach;
        self.reader.usersets(node, relation, reach, &mut |way| {
            leads.add(&way);
            ControlFlow::Continue(())
        })?;
        self.missing_in_leads(leads, walk)
    }

    fn missing_in_leads(&mut self, leads: Leads, walk: &mut Walk) -> Result<(), CheckError> {
        let mut asked = vec![false; leads.open.len()];
        for (to, open) in leads.ways {
            let value = self.value(to)?;
            if value == Standing::False {
                continue;
            }
            if let Some(place) = open.filter(|place| !mem::replace(&mut asked[*place], true)) {
                walk.names.extend(self.reader.missing(&leads.open[place])?);
            }
            if value == Standing::Open {
                walk.enqueue(to);
            }
        }
        Ok(())
    }

    fn missing_in_edge(&mut self, edge: &'a Edge, at: Node, walk: &mut Walk) -> Result<(), CheckError> {
        match edge {
            Edge::Member(member) => {
                let node = at.beside(*member);
                if self.value(node)? == Standing::Open {
                    walk.enqueue(node);
                }
                Ok(())
            }
            Edge::Arrow(arrow) => self.missing_in_arrow(arrow, at, walk),
        }
    }

    /// The same for both kinds of arrow: where all must agree and the whole is open, nothing that it leads to is false.
    fn missing_in_arrow(&mut self, arrow: &'a Arrow, at: Node, walk: &mut Walk) -> Result<(), CheckError> {
        let mut leads = Leads::default();
        self.reader.hops(arrow, at, &mut |way| {
            leads.add(&way);
            ControlFlow::Continue(())
        })?;
        self.missing_in_leads(leads, walk)
    }

    /// `expr` is open.
    fn missing_in_expr(&mut self, expr: &'a Expr, at: Node, walk: &mut Walk) -> Result<(), CheckError> {
        match expr {
            Expr::Nil | Expr::Itself => Ok(()),
            Expr::Edge(edge) => self.missing_in_edge(edge, at, walk),
            Expr::All(arrow) => self.missing_in_arrow(arrow, at, walk),
            Expr::Union(operands) | Expr::Intersection(operands) => {
                operands.iter().try_for_each(|operand| self.missing_in_operand(operand, at, walk))
            }
            Expr::Exclusion(sides) => {
                self.missing_in_operand(&sides.0, at, walk)?;
                self.missing_in_operand(&sides.1, at, walk)
            }
        }
    }

    fn missing_in_operand(&mut self, operand: &'a Expr, at: Node, walk: &mut Walk) -> Result<(), CheckError> {
        if self.value_of_expr(operand, at)? == Standing::Open {
            self.missing_in_expr(operand, at, walk)?;
        }
        Ok(())
    }
}
