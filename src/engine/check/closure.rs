//! Pure members: one walk, breadth first, over everything that they reach.
//!
//! Invariant: what a pure member reaches is pure, so a walk meets no node under way and ends with final answers only. When
//! it finds nothing, every node that it visited is denied, since each is a union of nodes that were visited too. When it
//! finds the subject, the nodes on the way there are allowed and of the others nothing is known. Breadth first, because
//! subjects are mostly found near the top, and because depth costs nothing then: a chain of groups may be of any length.

use std::ops::ControlFlow;

use crate::engine::CheckError;
use crate::engine::plan::{Body, Edge};

use super::evaluation::{Evaluation, first_held};
use super::held::WIDE;
use super::knowledge::Knowledge;
use super::objects::Node;

/// A node of a walk, and the step that led to it; the root has none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    node: Node,
    from: Option<usize>,
}

impl Evaluation<'_> {
    /// Whether the subject has `root`, a pure node of which nothing is known.
    pub(super) fn closure(&mut self, root: Node) -> Result<bool, CheckError> {
        self.steps.clear();
        self.knowledge.memo.deny(root);
        self.steps.push(Step { node: root, from: None });
        let (mut next, mut looked) = (0, 1);
        while let Some(step) = self.steps.get(next).copied() {
            if self.step(next, step.node)? {
                self.allow_path(next);
                return Ok(true);
            }
            next += 1;
            if !self.ranked && self.steps.len() - looked >= WIDE {
                let waiting = self.steps[looked..].iter().map(|step| step.node);
                if let Some(place) = first_held(&mut self.reader, &self.knowledge, waiting)? {
                    self.allow_path(looked + place);
                    return Ok(true);
                }
                looked = self.steps.len();
            }
        }
        Ok(false)
    }

    /// Whether the subject is found at `node`; else queues what `node` leads to.
    fn step(&mut self, at: usize, node: Node) -> Result<bool, CheckError> {
        self.reader.meter.evaluated += 1;
        let plan = self.reader.plan;
        match &plan.member(node.member).body {
            Body::Relation(relation) => {
                if self.reader.holds(node, relation, &self.knowledge.subject)? {
                    return Ok(true);
                }
                let (knowledge, steps) = (&mut self.knowledge, &mut self.steps);
                let mut found = ControlFlow::Continue(());
                let reach = knowledge.reach;
                self.reader.usersets(node, relation, reach, &mut |way| {
                    found = queue(knowledge, steps, at, way.open());
                    found
                })?;
                Ok(found.is_break())
            }
            Body::Union(edges) => {
                for edge in edges {
                    if self.queue_edge(at, edge, node)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Body::Rewrite(_) => unreachable!("a pure member is a relation or a union"),
        }
    }

    fn queue_edge(&mut self, at: usize, edge: &Edge, node: Node) -> Result<bool, CheckError> {
        let (knowledge, steps) = (&mut self.knowledge, &mut self.steps);
        match edge {
            Edge::Member(member) => Ok(queue(knowledge, steps, at, Some(node.beside(*member))).is_break()),
            Edge::Arrow(arrow) => {
                let mut found = ControlFlow::Continue(());
                self.reader.hops(arrow, node, &mut |way| {
                    found = queue(knowledge, steps, at, way.open());
                    found
                })?;
                Ok(found.is_break())
            }
        }
    }

    /// The subject was found at step `found`: keeps what follows from that and takes back the rest.
    fn allow_path(&mut self, found: usize) {
        let memo = &mut self.knowledge.memo;
        for step in &self.steps {
            memo.forget(step.node);
        }
        let mut at = Some(found);
        while let Some(index) = at {
            memo.allow(self.steps[index].node);
            at = self.steps[index].from;
        }
    }
}

/// Takes up the node that step `at` leads to, if any; breaks when the subject is known to have it.
fn queue(knowledge: &mut Knowledge<'_>, steps: &mut Vec<Step>, at: usize, next: Option<Node>) -> ControlFlow<()> {
    let Some(next) = next else { return ControlFlow::Continue(()) };
    match knowledge.settled(next) {
        Some(true) => ControlFlow::Break(()),
        Some(false) => ControlFlow::Continue(()),
        None => {
            knowledge.memo.deny(next);
            steps.push(Step { node: next, from: Some(at) });
            ControlFlow::Continue(())
        }
    }
}
