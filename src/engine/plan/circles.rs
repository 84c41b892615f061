//! Which members can meet an exclusion that stands in a circle with itself, from the schema alone.
//!
//! Whether such a question has an answer hangs on where one begins to ask, and so on what is known already: what is asked
//! about these members, each question must find out for itself.

use super::compiled::{Expr, Member, MemberId};
use super::reach::{ReachSet, each_reference, expr_references, follow};

/// The members from which an exclusion can be met that stands in a circle with itself.
pub(super) fn circular(members: &[Member], dependents: &[Vec<MemberId>]) -> ReachSet {
    let circles = circles(members, dependents);
    let mut begin = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let mut closes = false;
        each_exclusion(member, &mut |right| {
            expr_references(right, &mut |target| closes |= circles[target.index()] == circles[index]);
        });
        if closes {
            begin.push(MemberId(index as u32));
        }
    }
    follow(begin, dependents)
}

/// For each member, the circle that it stands in: a number that members share if they can be met from each other.
///
/// Two walks, as Kosaraju and Sharir do it: one along the references, which puts a member behind all that it leads to unless
/// they lead back, and one against them, in the opposite order.
fn circles(members: &[Member], dependents: &[Vec<MemberId>]) -> Vec<usize> {
    let references: Vec<Vec<MemberId>> = members
        .iter()
        .map(|member| {
            let mut references = Vec::new();
            each_reference(member, &mut |target| references.push(target));
            references
        })
        .collect();
    let mut finished = Vec::with_capacity(members.len());
    let mut met = vec![false; members.len()];
    for root in 0..members.len() {
        let mut path = vec![(root, 0)];
        while let Some((at, next)) = path.pop() {
            if next == 0 && std::mem::replace(&mut met[at], true) {
                continue;
            }
            match references[at].get(next) {
                Some(target) => path.extend([(at, next + 1), (target.index(), 0)]),
                None => finished.push(at),
            }
        }
    }
    let mut circles = vec![usize::MAX; members.len()];
    for root in finished.into_iter().rev() {
        let mut left = vec![root];
        while let Some(at) = left.pop() {
            if circles[at] == usize::MAX {
                circles[at] = root;
                left.extend(dependents[at].iter().map(|dependent| dependent.index()));
            }
        }
    }
    circles
}

fn each_exclusion(member: &Member, visit: &mut impl FnMut(&Expr)) {
    let mut left: Vec<&Expr> = member.rewrite().into_iter().collect();
    while let Some(expr) = left.pop() {
        match expr {
            Expr::Nil | Expr::Itself | Expr::Edge(_) | Expr::All(_) => {}
            Expr::Union(operands) | Expr::Intersection(operands) => left.extend(operands),
            Expr::Exclusion(sides) => {
                visit(&sides.1);
                left.extend([&sides.0, &sides.1]);
            }
        }
    }
}
