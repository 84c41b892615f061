//! The order of writes as readers see it, without trust in any index and without an oracle.
//!
//! Links are only added to a chain. So what readers see of a chain must be parts of one sequence: of two readers, one sees all
//! that the other sees (else there is a long fork), and who sees a link sees every link that was acknowledged before that
//! one was asked for (else causes are missing from their effects). No mode of reading is exempt: each answer is a state.

use std::collections::{BTreeMap, BTreeSet};

use super::{Property, Record, Verdict};
use crate::history::{Answer, Operation, Relationship, Request, Update, Workload};

/// What is known of one chain.
#[derive(Default)]
struct Chain<'a> {
    links: BTreeMap<&'a Relationship, &'a Operation>,
    seen: Vec<(&'a Operation, BTreeSet<&'a Relationship>)>,
}

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Order);
    let mut chains: BTreeMap<&str, Chain> = BTreeMap::new();
    for operation in record.operations.iter().filter(|operation| operation.workload == Workload::Order) {
        match (&operation.request, operation.answer()) {
            (Request::Write(write), _) => {
                for update in &write.updates {
                    let (Update::Touch(link) | Update::Delete(link)) = update;
                    chains.entry(&link.id).or_default().links.insert(link, operation);
                }
            }
            (Request::List { id: Some(id), .. }, Some(Answer::Listed { relationships, .. })) => {
                chains.entry(id).or_default().seen.push((operation, relationships.iter().collect()));
            }
            (Request::Check { questions, .. }, Some(Answer::Decided { allowed, .. })) => {
                if let Some(first) = questions.first() {
                    let held = questions.iter().zip(allowed).filter(|(_, allowed)| **allowed);
                    let seen = held.map(|(question, _)| question).collect();
                    chains.entry(&first.id).or_default().seen.push((operation, seen));
                }
            }
            (
                Request::Schema { .. }
                | Request::Floors { .. }
                | Request::Check { .. }
                | Request::ContentCheck { .. }
                | Request::List { .. }
                | Request::Resources { .. }
                | Request::Subjects { .. }
                | Request::Expand { .. },
                _,
            ) => {}
        }
    }
    for (name, chain) in &chains {
        causes(&mut verdict, name, chain);
        forks(&mut verdict, name, chain);
    }
    verdict
}

fn causes(verdict: &mut Verdict, name: &str, chain: &Chain) {
    for (reader, seen) in &chain.seen {
        // The latest beginning of what was seen: everything acknowledged before it must be seen, too.
        let written = seen.iter().filter_map(|link| chain.links.get(*link));
        let Some(last) = written.max_by_key(|write| write.start) else { continue };
        let before = chain.links.iter().filter(|(_, write)| write.answer().is_some() && write.end < last.start);
        for (link, write) in before {
            verdict.expect(seen.contains(*link), &[write.index, last.index, reader.index], || {
                format!("chain {name}: {link} is missing, and what was asked for after its answer is there")
            });
        }
    }
}

fn forks(verdict: &mut Verdict, name: &str, chain: &Chain) {
    let mut seen: Vec<_> = chain.seen.iter().collect();
    // If each sees all of what the next smaller one sees, all see parts of one sequence.
    seen.sort_by_key(|(reader, seen)| (seen.len(), reader.index));
    for pair in seen.windows(2) {
        let [(one, fewer), (other, more)] = pair else { continue };
        // Nothing is part of everything.
        if fewer.is_empty() {
            continue;
        }
        verdict.expect(fewer.is_subset(more), &[one.index, other.index], || {
            format!(
                "chain {name}: one reader saw {} and not {}, another the other way round",
                only(fewer, more),
                only(more, fewer)
            )
        });
    }
}

fn only(these: &BTreeSet<&Relationship>, those: &BTreeSet<&Relationship>) -> String {
    these.difference(those).map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Beside, Failure, Mode, Outcome, Write};
    use crate::specimen;

    /// An operation on one chain: the link that it writes, or "read"; when it began and ended, never if the outcome is not
    /// known; and the links that were read.
    type Step<'a> = (&'a str, u64, u64, &'a [&'a str]);

    fn judged(steps: &[Step]) -> u64 {
        let link = |name: &str| Relationship::of(&format!("chain:c#link@item:{name}"));
        let operation = |(number, (what, start, end, seen)): (usize, &Step)| {
            let unknown = Outcome::Info(Failure { reason: String::new(), message: String::new() });
            let (request, outcome) = match *what {
                "read" => {
                    let relationships = seen.iter().map(|name| link(name)).collect();
                    let request = Request::List {
                        mode: Mode::Minimal,
                        kind: "chain".to_owned(),
                        id: Some("c".to_owned()),
                        page: None,
                    };
                    (request, Outcome::Ok(Answer::Listed { index: None, beside: Beside::default(), relationships }))
                }
                name => {
                    let updates = vec![Update::Touch(link(name))];
                    let write = Write { op: name.to_owned(), only_if: vec![], updates, idempotency_key: None };
                    (Request::Write(write), if *end == 0 { unknown } else { Outcome::Ok(Answer::written(1)) })
                }
            };
            let index = number as u64;
            Operation {
                index,
                process: index,
                workload: Workload::Order,
                node: 1,
                start: *start,
                end: *end,
                request,
                outcome,
            }
        };
        let mut record = specimen::clean(1, 1);
        record.operations = steps.iter().enumerate().map(operation).collect();
        check(&record).violations
    }

    #[test]
    fn missing_causes_and_long_forks_are_found_and_nothing_else() {
        let none: &[&str] = &[];
        let cases: [(&str, Vec<Step>, u64); 6] = [
            (
                "in turn",
                vec![("a", 1, 2, none), ("b", 3, 4, none), ("read", 1, 9, &["a"]), ("read", 1, 9, &["a", "b"])],
                0,
            ),
            ("an effect without its cause", vec![("a", 1, 2, none), ("b", 3, 4, none), ("read", 5, 6, &["b"])], 1),
            ("at the same time", vec![("a", 1, 4, none), ("b", 3, 5, none), ("read", 6, 7, &["b"])], 0),
            (
                "a long fork",
                vec![("a", 1, 4, none), ("b", 3, 5, none), ("read", 6, 7, &["b"]), ("read", 6, 7, &["a"])],
                1,
            ),
            (
                "an unknown write need not be seen",
                vec![("a", 1, 0, none), ("b", 3, 4, none), ("read", 5, 6, &["b"])],
                0,
            ),
            (
                "an old state",
                vec![("a", 1, 2, none), ("b", 3, 4, none), ("read", 50, 60, none), ("read", 5, 6, &["a"])],
                0,
            ),
        ];
        for (name, steps, expected) in cases {
            assert_eq!(judged(&steps), expected, "{name}");
        }
    }
}
