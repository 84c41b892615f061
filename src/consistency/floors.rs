//! Floors: from what a request asks for, and what the floors demand of its types, to what its view must satisfy. Pure.
//!
//! Invariants: the result promises all that was asked for and all that the floor demands; what cannot promise both is
//! refused. The node's ceiling holds whatever is asked for: a node that is cut off stops answering by itself. Only one exact
//! state is as right on such a node as anywhere; but where floors are in use, the ceiling holds for it as well, since a node
//! can only judge by the floors that it has applied, and this bounds for how long it may be wrong about them.

use std::fmt;
use std::time::Duration;

use super::Requirement;
use crate::model::{Error, ErrorCode, Floor, Floors, Revision, TypeName};

/// Which objects an answer is about.
#[derive(Debug, Clone)]
pub enum Scope<'a> {
    /// Those of one type.
    Type(&'a TypeName),
    /// Those of several types: one answer, so the strictest floor of them counts.
    Types(Vec<&'a TypeName>),
    /// Whatever there is.
    Everything,
}

impl Scope<'_> {
    fn floor(&self, floors: &Floors) -> Option<(Floor, TypeName)> {
        match self {
            Self::Type(name) => floors.strictest([*name]),
            Self::Types(names) => floors.strictest(names.iter().copied()),
            Self::Everything => floors.strictest_of_all(),
        }
    }
}

/// A floor that made a request stricter than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// What it was raised to.
    pub to: Floor,
    /// The type that the floor is of.
    pub by: TypeName,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.to, self.by)
    }
}

/// Why a request cannot be raised to a floor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BelowFloor {
    /// One state is asked for, and a state does not get younger.
    #[error(
        "objects of type `{by}` have the floor {floor}, which an answer at one exact state cannot promise; ask with \
         at_least_as_fresh and the same token"
    )]
    ExactSnapshot {
        /// What the floor demands.
        floor: Floor,
        /// Whose it is.
        by: TypeName,
    },
    /// The leader would have to be asked, and the request forbids that.
    #[error(
        "objects of type `{by}` have the floor fully_consistent, for which the leader must be asked; leave \
         quorate-local-only out"
    )]
    LocalOnly {
        /// Whose floor it is.
        by: TypeName,
    },
}

impl From<BelowFloor> for Error {
    fn from(error: BelowFloor) -> Self {
        let (floor, by) = match &error {
            BelowFloor::ExactSnapshot { floor, by } => (*floor, by.clone()),
            BelowFloor::LocalOnly { by } => (Floor::FullyConsistent, by.clone()),
        };
        Self::new(ErrorCode::BelowFloor, error.to_string()).with("floor", floor).with("object_type", by)
    }
}

/// All that a view must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// At exactly this revision. `age`: how old the node's own state may be when it judges that it may answer.
    Exact { revision: Revision, age: Age },
    /// At this revision or later, and not more than so much behind.
    Bounds { at_least: Option<Revision>, lag: Option<u64>, age: Age },
}

/// How old the node's state may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Any,
    Ceiling,
    Within { bound: Duration, local_only: bool },
    Confirmed,
}

impl Age {
    /// The bound that it stands for; `None` for none.
    fn bound(self, ceiling: Duration) -> Option<Duration> {
        match self {
            Self::Any => None,
            Self::Ceiling => Some(ceiling),
            Self::Within { bound, .. } => Some(bound),
            Self::Confirmed => Some(Duration::ZERO),
        }
    }

    fn local_only(self) -> bool {
        match self {
            Self::Any | Self::Ceiling | Self::Confirmed => false,
            Self::Within { local_only, .. } => local_only,
        }
    }

    /// The same, or within `bound` where that is less.
    fn at_most(self, bound: Duration, ceiling: Duration) -> Self {
        match self.bound(ceiling) {
            Some(own) if own <= bound => self,
            Some(_) | None => Self::Within { bound, local_only: self.local_only() },
        }
    }
}

impl Wish {
    /// What the request demands by its consistency, and by a bound beside it, on a node with this `ceiling`. A bound only ever
    /// makes an answer fresher: full consistency is fresher than any, and whoever names one state wants that one.
    fn new(requirement: Requirement, beside: Option<Requirement>, ceiling: Duration) -> Self {
        let bounds = |at_least, lag, age| Self::Bounds { at_least, lag, age };
        match (requirement, beside) {
            (Requirement::FullyConsistent, _) => bounds(None, None, Age::Confirmed),
            (Requirement::AtExactSnapshot(revision), _) => Self::Exact { revision, age: Age::Any },
            (Requirement::MinimizeLatency, Some(bound)) => Self::new(bound, None, ceiling),
            (Requirement::MinimizeLatency, None) => bounds(None, None, Age::Ceiling),
            (Requirement::MaxStaleness { bound, local_only }, _) => {
                bounds(None, None, Age::Within { bound, local_only }.at_most(ceiling, ceiling))
            }
            (Requirement::MaxLag(entries), _) => bounds(None, Some(entries), Age::Ceiling),
            (Requirement::AtLeastAsFresh(revision), beside) => {
                match beside.map(|bound| Self::new(bound, None, ceiling)) {
                    Some(Self::Bounds { at_least: _, lag, age }) => bounds(Some(revision), lag, age),
                    Some(Self::Exact { .. }) | None => bounds(Some(revision), None, Age::Ceiling),
                }
            }
        }
    }

    fn age(&mut self) -> &mut Age {
        match self {
            Self::Exact { age, .. } | Self::Bounds { age, .. } => age,
        }
    }

    /// The requirements to be met one after the other. The view of the last one has what all of them waited for, since what a
    /// node has applied only grows. The age comes last: what was young enough must not grow old while waiting for the rest.
    fn steps(self) -> Vec<Requirement> {
        let of_age = |age| match age {
            Age::Any => None,
            Age::Ceiling => Some(Requirement::MinimizeLatency),
            Age::Within { bound, local_only } => Some(Requirement::MaxStaleness { bound, local_only }),
            Age::Confirmed => Some(Requirement::FullyConsistent),
        };
        match self {
            Self::Exact { revision, age } => {
                let exact = Requirement::AtExactSnapshot(revision);
                of_age(age).map_or(vec![exact], |age| vec![Requirement::AtLeastAsFresh(revision), age, exact])
            }
            Self::Bounds { at_least, lag, age } => {
                let at_least = at_least.map(Requirement::AtLeastAsFresh);
                at_least.into_iter().chain(lag.map(Requirement::MaxLag)).chain(of_age(age)).collect()
            }
        }
    }
}

/// What a view must satisfy, in steps, and whether a floor made it stricter than the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Never none. To be met one after the other; the view of the last one counts.
    pub steps: Vec<Requirement>,
    /// The floor that raised it.
    pub raised: Option<Raised>,
}

impl Demand {
    /// What a request demands where no floor concerns it.
    #[must_use]
    pub fn unraised(requirement: Requirement, beside: Option<Requirement>, ceiling: Duration) -> Self {
        Self { steps: Wish::new(requirement, beside, ceiling).steps(), raised: None }
    }

    /// What a request about `scope` demands under `floors`, on a node with this `ceiling`.
    pub fn raised(
        floors: &Floors,
        scope: &Scope<'_>,
        requirement: Requirement,
        beside: Option<Requirement>,
        ceiling: Duration,
    ) -> Result<Self, BelowFloor> {
        if floors.version == Revision::ZERO {
            return Ok(Self::unraised(requirement, beside, ceiling));
        }
        let mut wish = Wish::new(requirement, beside, ceiling);
        let found = scope.floor(floors);
        if let (Wish::Exact { .. }, Some((floor, by))) = (wish, &found) {
            return Err(BelowFloor::ExactSnapshot { floor: *floor, by: by.clone() });
        }
        let age = wish.age();
        *age = age.at_most(ceiling, ceiling);
        let asked = *age;
        if let Some((floor, by)) = &found {
            *age = match floor {
                Floor::FullyConsistent if asked.local_only() => return Err(BelowFloor::LocalOnly { by: by.clone() }),
                Floor::FullyConsistent => Age::Confirmed,
                Floor::MaxStaleness(bound) => asked.at_most(*bound, ceiling),
            };
        }
        let is_raised = *age != asked;
        let raised = found.filter(|_| is_raised).map(|(to, by)| Raised { to, by });
        Ok(Self { steps: wish.steps(), raised })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Duration = Duration::from_secs(10);
    const Z: Revision = Revision::new(7);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn within(count: u64) -> Requirement {
        Requirement::MaxStaleness { bound: seconds(count), local_only: false }
    }

    fn locally(count: u64) -> Requirement {
        Requirement::MaxStaleness { bound: seconds(count), local_only: true }
    }

    /// What a type with this floor, or with none, makes of a request: the steps, and whether the floor raised them.
    fn demand(
        floor: Option<Floor>,
        requirement: Requirement,
        beside: Option<Requirement>,
    ) -> Result<(Vec<Requirement>, bool), BelowFloor> {
        let name = |text| TypeName::new(text).unwrap();
        // Another type's floor must never count.
        let mut floors =
            Floors { version: Revision::new(1), by_type: [(name("other"), Floor::FullyConsistent)].into() };
        floors.by_type.extend(floor.map(|floor| (name("payment"), floor)));
        let found = Demand::raised(&floors, &Scope::Type(&name("payment")), requirement, beside, CEILING)?;
        if let Some(raised) = &found.raised {
            assert_eq!((Some(raised.to), raised.by.as_str()), (floor, "payment"));
        }
        Ok((found.steps, found.raised.is_some()))
    }

    #[test]
    fn every_mode_meets_every_floor() {
        use Requirement::{AtExactSnapshot, AtLeastAsFresh, FullyConsistent, MaxLag, MinimizeLatency};
        type Case<'a> = (Requirement, Option<Requirement>, [(&'a [Requirement], bool); 4]);
        let full = FullyConsistent;
        // Columns: no floor, fully consistent, 5 s (below the ceiling), 60 s (above it).
        let cases: &[Case<'_>] = &[
            (full, None, [(&[full], false), (&[full], false), (&[full], false), (&[full], false)]),
            (full, Some(within(1)), [(&[full], false), (&[full], false), (&[full], false), (&[full], false)]),
            (full, Some(locally(1)), [(&[full], false), (&[full], false), (&[full], false), (&[full], false)]),
            (
                MinimizeLatency,
                None,
                [(&[MinimizeLatency], false), (&[full], true), (&[within(5)], true), (&[MinimizeLatency], false)],
            ),
            (
                MinimizeLatency,
                Some(within(1)),
                [(&[within(1)], false), (&[full], true), (&[within(1)], false), (&[within(1)], false)],
            ),
            (
                MinimizeLatency,
                Some(within(8)),
                [(&[within(8)], false), (&[full], true), (&[within(5)], true), (&[within(8)], false)],
            ),
            (
                MinimizeLatency,
                Some(within(99)),
                [(&[within(10)], false), (&[full], true), (&[within(5)], true), (&[within(10)], false)],
            ),
            (
                MinimizeLatency,
                Some(MaxLag(3)),
                [
                    (&[MaxLag(3), MinimizeLatency], false),
                    (&[MaxLag(3), full], true),
                    (&[MaxLag(3), within(5)], true),
                    (&[MaxLag(3), MinimizeLatency], false),
                ],
            ),
            (
                AtLeastAsFresh(Z),
                None,
                [
                    (&[AtLeastAsFresh(Z), MinimizeLatency], false),
                    (&[AtLeastAsFresh(Z), full], true),
                    (&[AtLeastAsFresh(Z), within(5)], true),
                    (&[AtLeastAsFresh(Z), MinimizeLatency], false),
                ],
            ),
            (
                AtLeastAsFresh(Z),
                Some(within(1)),
                [
                    (&[AtLeastAsFresh(Z), within(1)], false),
                    (&[AtLeastAsFresh(Z), full], true),
                    (&[AtLeastAsFresh(Z), within(1)], false),
                    (&[AtLeastAsFresh(Z), within(1)], false),
                ],
            ),
            (
                AtLeastAsFresh(Z),
                Some(MaxLag(3)),
                [
                    (&[AtLeastAsFresh(Z), MaxLag(3), MinimizeLatency], false),
                    (&[AtLeastAsFresh(Z), MaxLag(3), full], true),
                    (&[AtLeastAsFresh(Z), MaxLag(3), within(5)], true),
                    (&[AtLeastAsFresh(Z), MaxLag(3), MinimizeLatency], false),
                ],
            ),
        ];
        let columns = [
            None,
            Some(Floor::FullyConsistent),
            Some(Floor::MaxStaleness(seconds(5))),
            Some(Floor::MaxStaleness(seconds(60))),
        ];
        for (requirement, beside, expected) in cases {
            for (floor, (steps, raised)) in columns.into_iter().zip(expected) {
                let found = demand(floor, *requirement, *beside);
                assert_eq!(found, Ok((steps.to_vec(), *raised)), "{requirement:?} {beside:?} {floor:?}");
            }
        }
        // One state cannot be raised; without a floor it is given by a node that knows the floors of not long ago.
        let exact = AtExactSnapshot(Z);
        for beside in [None, Some(within(1)), Some(MaxLag(3))] {
            assert_eq!(demand(None, exact, beside), Ok((vec![AtLeastAsFresh(Z), within(10), exact], false)));
            for floor in columns.into_iter().flatten() {
                let refused = demand(floor.into(), exact, beside).unwrap_err();
                assert!(matches!(&refused, BelowFloor::ExactSnapshot { floor: f, .. } if *f == floor), "{refused}");
            }
        }
    }

    #[test]
    fn what_must_be_answered_locally_is_raised_to_what_can_be_or_refused() {
        for requirement in [Requirement::MinimizeLatency, Requirement::AtLeastAsFresh(Z)] {
            let last = |floor, bound| {
                demand(floor, requirement, Some(locally(bound))).map(|(steps, raised)| (*steps.last().unwrap(), raised))
            };
            assert_eq!(last(None, 99), Ok((locally(10), false)));
            assert_eq!(last(Some(Floor::MaxStaleness(seconds(5))), 8), Ok((locally(5), true)));
            assert_eq!(last(Some(Floor::MaxStaleness(seconds(5))), 2), Ok((locally(2), false)));
            let refused = last(Some(Floor::FullyConsistent), 2).unwrap_err();
            assert!(matches!(refused, BelowFloor::LocalOnly { .. }), "{refused}");
        }
    }

    #[test]
    fn where_no_floor_was_ever_set_the_ceiling_holds_for_all_but_one_state() {
        use Requirement::{AtExactSnapshot, AtLeastAsFresh, FullyConsistent, MaxLag, MinimizeLatency};
        let cases: [(Requirement, Option<Requirement>, &[Requirement]); 9] = [
            (MinimizeLatency, None, &[MinimizeLatency]),
            (MinimizeLatency, Some(within(99)), &[within(10)]),
            (MinimizeLatency, Some(locally(99)), &[locally(10)]),
            (MinimizeLatency, Some(locally(1)), &[locally(1)]),
            (MinimizeLatency, Some(MaxLag(3)), &[MaxLag(3), MinimizeLatency]),
            (AtLeastAsFresh(Z), None, &[AtLeastAsFresh(Z), MinimizeLatency]),
            (AtLeastAsFresh(Z), Some(MaxLag(3)), &[AtLeastAsFresh(Z), MaxLag(3), MinimizeLatency]),
            (AtExactSnapshot(Z), Some(within(1)), &[AtExactSnapshot(Z)]),
            (FullyConsistent, Some(MaxLag(3)), &[FullyConsistent]),
        ];
        for (requirement, beside, steps) in cases {
            let expected = Ok(Demand { steps: steps.to_vec(), raised: None });
            let found = Demand::raised(&Floors::default(), &Scope::Everything, requirement, beside, CEILING);
            assert_eq!(found, expected, "{requirement:?} {beside:?}");
        }
    }

    #[test]
    fn an_answer_about_several_types_meets_the_strictest_floor() {
        let [a, b, c] = ["aaa", "bbb", "ccc"].map(|text| TypeName::new(text).unwrap());
        let by_type = [(a.clone(), Floor::MaxStaleness(seconds(5))), (b.clone(), Floor::FullyConsistent)];
        let floors = Floors { version: Revision::new(1), by_type: by_type.into() };
        let raised = |scope: Scope<'_>| {
            let found = Demand::raised(&floors, &scope, Requirement::MinimizeLatency, None, CEILING).unwrap();
            found.raised.map(|raised| raised.to_string())
        };
        assert_eq!(raised(Scope::Types(vec![&c, &a])).as_deref(), Some("max_staleness=5s (aaa)"));
        assert_eq!(raised(Scope::Types(vec![&a, &b])).as_deref(), Some("fully_consistent (bbb)"));
        assert_eq!(raised(Scope::Everything).as_deref(), Some("fully_consistent (bbb)"));
        assert_eq!(raised(Scope::Types(vec![])), None);
        assert_eq!(raised(Scope::Type(&c)), None);
    }
}
