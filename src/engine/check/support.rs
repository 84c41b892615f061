//! What an allowed node can be shown to rest on: what was found to be allowed before it. A proof that goes only there never
//! goes round in a circle.

use std::ops::ControlFlow;

use crate::engine::CheckError;
use crate::engine::plan::{Arrow, Edge, Expr};

use super::evaluation::Evaluation;
use super::explain::Part;
use super::objects::Node;

impl<'a> Evaluation<'a> {
    pub(super) fn rank(&self, node: Node) -> u64 {
        // Without one there is nothing that it can be shown to rest on.
        self.knowledge.memo.rank(node).unwrap_or(0)
    }

    /// Whether `node` was found to be allowed before `rank`.
    pub(super) fn is_known(&self, node: Node, rank: u64) -> bool {
        self.knowledge.subject.is(node) || self.knowledge.memo.rank(node).is_some_and(|known| known < rank)
    }

    /// Whether a part of the rewrite of the member of `at` is true by what was found out before `rank`.
    pub(super) fn supports(&mut self, part: Part<'a>, at: Node, rank: u64) -> Result<bool, CheckError> {
        let edge = match part {
            Part::Edge(edge) | Part::Expr(Expr::Edge(edge)) => edge,
            Part::Expr(Expr::Nil) => return Ok(false),
            Part::Expr(Expr::Itself) => return Ok(self.knowledge.subject.is_object(self.reader.plan, at)),
            Part::Expr(Expr::All(arrow)) => {
                let (some, missing) = self.hops_known(arrow, at, rank)?;
                return Ok(some && !missing);
            }
            Part::Expr(Expr::Union(operands)) => {
                for operand in operands {
                    if self.supports(Part::Expr(operand), at, rank)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            Part::Expr(Expr::Intersection(operands)) => {
                for operand in operands {
                    if !self.supports(Part::Expr(operand), at, rank)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            Part::Expr(Expr::Exclusion(sides)) => {
                return Ok(self.supports(Part::Expr(&sides.0), at, rank)? && !self.excluded(&sides.1, at)?);
            }
        };
        match edge {
            Edge::Member(member) => Ok(self.is_known(at.beside(*member), rank)),
            Edge::Arrow(arrow) => self.hops_known(arrow, at, rank).map(|(some, _)| some),
        }
    }

    /// Whether an arrow leads to something that is known to be allowed, and to something that is not.
    fn hops_known(&mut self, arrow: &'a Arrow, at: Node, rank: u64) -> Result<(bool, bool), CheckError> {
        let (mut some, mut missing) = (false, false);
        let knowledge = &self.knowledge;
        self.reader.hops(arrow, at, &mut |way| {
            let known =
                |node| knowledge.subject.is(node) || knowledge.memo.rank(node).is_some_and(|known| known < rank);
            if way.open().is_some_and(known) {
                some = true
            } else {
                missing = true
            }
            ControlFlow::Continue(())
        })?;
        Ok((some, missing))
    }
}
