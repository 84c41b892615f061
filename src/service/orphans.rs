//! Looking for the tuples that a change of schema would orphan: one walk over the tuples of each type that it touches, however
//! many guards there are.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::model::{
    Error, FilterIndex, SubjectFilter, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TypeName,
};
use crate::raft::monotonic;
use crate::schema::guards::Guard;
use crate::store::ReadView;

/// Tuples that are kept of those in the way of one guard.
const EXAMPLES: usize = 3;
/// Tuples between two glances at the clock.
const BETWEEN_GLANCES: usize = 1024;

/// How far a search may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchBounds {
    /// Tuples that may be looked at.
    pub(super) rows: usize,
    /// When the answer is of no use any more.
    pub(super) until: Instant,
}

/// The tuples in the way of one guard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct InTheWay {
    /// How many.
    pub(super) count: u64,
    /// Some of them.
    pub(super) examples: Vec<TupleKey>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphans {
    /// For each guard, in their order.
    pub(super) by_guard: Vec<InTheWay>,
    /// The latest expiration of a tuple that was left out because it has expired; 0 without any.
    pub(super) expired_by: TimestampMs,
    /// The bounds ended the search: there may be more.
    pub(super) incomplete: bool,
}

impl Orphans {
    /// The first guard that something is in the way of, and one such tuple.
    pub(super) fn first(&self) -> Option<(usize, &TupleKey)> {
        let mut found = self.by_guard.iter().enumerate().filter_map(|(at, found)| Some((at, found.examples.first()?)));
        found.next()
    }
}

/// Looks at every tuple that a guard could mean. What has expired at `now` is in nobody's way.
pub(super) fn search(
    view: &dyn ReadView,
    guards: &[Guard],
    now: TimestampMs,
    bounds: SearchBounds,
) -> Result<Orphans, Error> {
    let by_guard = vec![InTheWay::default(); guards.len()];
    let found = Orphans { by_guard, expired_by: TimestampMs(0), incomplete: false };
    let mut search = Search { view, now, found, rows: bounds.rows, until: bounds.until };
    let filters = || guards.iter().map(|guard| &guard.filter).enumerate();
    let resource_types: BTreeSet<&TypeName> =
        filters().filter_map(|(_, filter)| filter.resource_type.as_ref()).collect();
    let of_resources = FilterIndex::new(filters().filter(|(_, filter)| filter.resource_type.is_some()));
    for resource_type in resources(resource_types) {
        search.walk(&resource_type, &of_resources)?;
    }
    let of_subjects = FilterIndex::new(filters().filter(|(_, filter)| filter.resource_type.is_none()));
    let open = filters().filter(|(_, filter)| filter.resource_type.is_none());
    let subject_types: BTreeSet<Option<&TypeName>> =
        open.map(|(_, filter)| filter.subject.as_ref().map(|subject| &subject.subject_type)).collect();
    for subject_type in subject_types {
        search.walk(&subjects(subject_type), &of_subjects)?;
    }
    Ok(search.found)
}

fn resources(types: BTreeSet<&TypeName>) -> impl Iterator<Item = TupleFilter> {
    types.into_iter().map(|name| TupleFilter { resource_type: Some(name.clone()), ..TupleFilter::default() })
}

/// All tuples with subjects of a type, or all there are.
fn subjects(of: Option<&TypeName>) -> TupleFilter {
    let subject = of.map(|name| SubjectFilter {
        subject_type: name.clone(),
        subject_id: None,
        relation: SubjectRelationFilter::Any,
    });
    TupleFilter { subject, ..TupleFilter::default() }
}

struct Search<'a> {
    view: &'a dyn ReadView,
    now: TimestampMs,
    found: Orphans,
    /// How many more may be looked at.
    rows: usize,
    until: Instant,
}

impl Search<'_> {
    fn walk(&mut self, all: &TupleFilter, guards: &FilterIndex<'_>) -> Result<(), Error> {
        let view = self.view;
        view.scan(all, None, &mut |row| {
            let late = self.rows.is_multiple_of(BETWEEN_GLANCES) && monotonic() >= self.until;
            if self.found.incomplete || self.rows == 0 || late {
                self.found.incomplete = true;
                return ControlFlow::Break(());
            }
            self.rows -= 1;
            self.look(row.tuple, guards);
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    fn look(&mut self, Tuple { key, qualifiers }: Tuple, guards: &FilterIndex<'_>) {
        let Orphans { by_guard, expired_by, incomplete: _ } = &mut self.found;
        let expired = qualifiers.expired(self.now).then_some(qualifiers.expires_at).flatten();
        guards.matches(&key, &qualifiers, |position| match expired {
            Some(at) => *expired_by = at.max(*expired_by),
            None => {
                let found = &mut by_guard[position];
                found.count += 1;
                if found.examples.len() < EXAMPLES {
                    found.examples.push(key.clone());
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Requirement;
    use crate::model::UpdateKind;
    use crate::schema::guards::orphaning;
    use crate::schema::{Schema, spicedb};
    use crate::service::WriteTuples;
    use crate::service::testing::{SCHEMA, TestNode, call, update};

    #[tokio::test]
    async fn a_search_ends_within_its_bounds_and_says_so() {
        let (_, services) = TestNode::start();
        services.write_schema(call(), SCHEMA.to_owned()).await.expect("valid");
        let updates = (0..10).map(|n| update(UpdateKind::Touch, &format!("document:d{n}#viewer@user:b"))).collect();
        services.write_tuples(call(), WriteTuples { updates, ..WriteTuples::default() }).await.expect("valid");
        let view = services.view(call(), Requirement::FullyConsistent).await.expect("there");
        let guards = orphaning(&spicedb::parse(SCHEMA).expect("valid"), &Schema::default());
        let document = guards.iter().position(|guard| guard.what.contains("`document`")).expect("one of them");
        let user = guards.iter().position(|guard| guard.what.contains("`user` cannot be removed: a relationship has"));
        let user = user.expect("one of them");
        let late = Instant::now();
        for (rows, until, counted, incomplete) in [
            (20, call().deadline, (10, 10), false),
            (19, call().deadline, (10, 9), true),
            (4, call().deadline, (4, 0), true),
            (1024, late, (0, 0), true),
        ] {
            let found = search(view.as_ref(), &guards, TimestampMs(0), SearchBounds { rows, until }).expect("readable");
            let counts = (found.by_guard[document].count, found.by_guard[user].count);
            assert_eq!((counts, found.incomplete), (counted, incomplete), "{rows}");
            assert!(found.by_guard[document].examples.len() <= EXAMPLES);
        }
    }
}
