//! What an evaluation knows of its nodes, and the bookkeeping that makes cycles come out right.
//!
//! # The answer that is meant
//! Nodes are equations over each other: union, intersection and arrows are monotone, exclusion negates its right side. The
//! answer is the least fixpoint, taken stratum by stratum. A check follows only the nodes that it needs, depth first, so it
//! meets nodes whose evaluation is still under way. Such a node counts as denied for the moment, and what was concluded
//! from that is *provisional*.
//!
//! # Why the answers are right
//! - *Allowed is final.* It is concluded only from tuples, from other Allowed nodes, and, through an exclusion, from a right
//!   side that is finally denied. No provisional denial enters.
//! - *Denied is final when a whole set of nodes agrees on it.* As in Tarjan's algorithm, nodes stand on a stack in the order
//!   in which they were entered, and each frame knows the lowest stack position that anything below it relied on
//!   ([`Memo::low`]). A node that ends as denied and relied on nothing below its own position is the head of a set: itself
//!   and all that stands above it. Every equation of that set is false when the set is false and the rest is as finally
//!   known; a set with this property is false in the least fixpoint. A denied node that relied on something lower stays on
//!   the stack, provisional, and whoever meets it there relies on its position.
//! - *An Allowed node forgets everything above it on the stack*, since those denials may rest on its having been denied.
//!   Nothing below can rest on it: what was finished before it was entered never met it under way.
//! - *The right side of an exclusion must be final.* If a denial there is provisional, the exclusion stands in a cycle with
//!   itself, there are no strata, and the check ends with an error. A right side that is Allowed is final anyhow, so an
//!   exclusion inside the right side of another needs no rule of its own: it is either final or an error.
//!
//! # Why it is fast enough
//! A node is forgotten only when a node below it becomes Allowed, and a node becomes Allowed at most once. Between two such
//! events every node is evaluated at most once, because a provisional denial is kept and met on the stack. With `n` nodes and
//! `e` tuples that is `O(n · e)` at the very worst and `O(e)` where nothing is forgotten: a denial in a large knot of groups
//! visits each membership once.

use foldhash::{HashMap, HashMapExt};

use super::objects::Node;

/// Everything known so far. Results of one subject only.
#[derive(Debug)]
pub(super) struct Memo {
    states: HashMap<Node, State>,
    /// Nodes under way and provisional ones, in the order of entering.
    stack: Vec<Node>,
    /// The lowest stack position that the frame on top, or anything finished inside it, relied on; [`RELIED_ON_NOTHING`].
    low: usize,
    /// How many nodes were found to be allowed.
    allowed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Final. The number says how many were found to be allowed before: it rests on some of these, and on no others.
    Allowed(u64),
    /// Final.
    Denied,
    /// On the stack at this position: under way, or provisionally denied.
    Open(usize),
}

const RELIED_ON_NOTHING: usize = usize::MAX;

/// A node under way; hand it back to [`Memo::leave`].
#[derive(Debug)]
#[must_use]
pub(super) struct Frame {
    position: usize,
    outer_low: usize,
}

/// A right side of an exclusion under way; hand it back to [`Memo::leave_right_side`].
#[derive(Debug)]
#[must_use]
pub(super) struct RightSide {
    outer_low: usize,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self { states: HashMap::new(), stack: Vec::new(), low: RELIED_ON_NOTHING, allowed: 0 }
    }

    /// What is known of `node`. A denial that is not final is noted as relied on.
    pub(super) fn consult(&mut self, node: Node) -> Option<bool> {
        match self.states.get(&node)? {
            State::Allowed(_) => Some(true),
            State::Denied => Some(false),
            State::Open(position) => {
                self.low = self.low.min(*position);
                Some(false)
            }
        }
    }

    /// What is finally known of `node`, while no walk over pure members is under way.
    pub(super) fn final_answer(&self, node: Node) -> Option<bool> {
        match self.states.get(&node)? {
            State::Allowed(_) => Some(true),
            State::Denied => Some(false),
            State::Open(_) => None,
        }
    }

    /// Begins the evaluation of a node of which nothing is known.
    pub(super) fn enter(&mut self, node: Node) -> Frame {
        let frame = Frame { position: self.stack.len(), outer_low: self.low };
        self.states.insert(node, State::Open(frame.position));
        self.stack.push(node);
        self.low = RELIED_ON_NOTHING;
        frame
    }

    /// Ends it.
    pub(super) fn leave(&mut self, frame: Frame, allowed: bool) {
        let Frame { position, outer_low } = frame;
        if allowed {
            let node = self.stack[position];
            for forgotten in self.stack.drain(position..) {
                self.states.remove(&forgotten);
            }
            self.allow(node);
            self.low = outer_low;
        } else if self.low >= position {
            for denied in self.stack.drain(position..) {
                self.states.insert(denied, State::Denied);
            }
            self.low = outer_low;
        } else {
            self.low = self.low.min(outer_low);
        }
    }

    /// Begins the right side of an exclusion.
    pub(super) fn enter_right_side(&mut self) -> RightSide {
        let side = RightSide { outer_low: self.low };
        self.low = RELIED_ON_NOTHING;
        side
    }

    /// Ends it: whether nothing in it relied on a provisional denial.
    pub(super) fn leave_right_side(&mut self, side: RightSide) -> bool {
        let is_final = self.low == RELIED_ON_NOTHING;
        self.low = self.low.min(side.outer_low);
        is_final
    }

    /// Records a denial that the caller makes final, or takes back with [`Memo::forget`].
    pub(super) fn deny(&mut self, node: Node) {
        self.states.insert(node, State::Denied);
    }

    /// Records what is final.
    pub(super) fn allow(&mut self, node: Node) {
        self.states.insert(node, State::Allowed(self.allowed));
        self.allowed += 1;
    }

    /// The place of an allowed node in the order in which allowed ones were found.
    pub(super) fn rank(&self, node: Node) -> Option<u64> {
        match self.states.get(&node)? {
            State::Allowed(rank) => Some(*rank),
            State::Denied | State::Open(_) => None,
        }
    }

    /// Takes a denial back.
    pub(super) fn forget(&mut self, node: Node) {
        self.states.remove(&node);
    }

    /// How many nodes something is known of.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether no evaluation is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.stack.is_empty() && self.low == RELIED_ON_NOTHING
    }
}
